// Participation of all samples, and of the picked one, for each modality and level.
import { Canvas, mark, pen, write } from "./canvas.js";
import { clamp, sum } from "./numbers.js";

/** @import {App} from "./app.js" */

const LEFT = 62;
const RIGHT = 10;
const HEAD = 12; // height of a modality's name
const ROW = 14; // height of a level

export class Participation {
  /** @param {App} app @param {HTMLElement} parent */
  constructor(app, parent) {
    this.app = app;
    const { modalities, levels } = app.data.table;
    const height = (ROW * levels.length + HEAD) * modalities.length + 22;
    const label =
      "Participation for each modality and level: " +
      "the middle 80 % and the median of all samples, and the picked sample.";
    this.canvas = new Canvas(app, parent, height, label, (ctx, width) => this.draw(ctx, width - LEFT - RIGHT));
  }

  update() {
    const { data } = this.app;
    this.canvas.show(data.keep(), this.app.get("gamma"));
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width of a share of 1 */
  draw(ctx, width) {
    const { theme, data } = this.app;
    const { modalities, levels } = data.table;
    ctx.font = theme.font(11);
    let y = 2;
    modalities.forEach((modality, index) => {
      write(ctx, modality, 0, y + 9, "left", theme.ink(0.85));
      y += HEAD;
      levels.forEach((name, level) => {
        write(ctx, name, LEFT - 6, y + 10, "right", theme.ink(0.65));
        this.drawLevel(ctx, modality, index, level, y, width);
        y += ROW;
      });
    });
    /** @type {[number, CanvasTextAlign][]} */
    const ticks = [
      [0, "left"],
      [0.5, "center"],
      [1, "right"],
    ];
    for (const [v, align] of ticks) write(ctx, String(v), LEFT + v * width, y + 12, align, theme.ink(0.65));
    write(ctx, "○ picked", LEFT - 6, y + 12, "right", theme.ink(0.65));
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {string} modality
   * @param {number} index
   * @param {number} level
   * @param {number} y
   * @param {number} width
   */
  drawLevel(ctx, modality, index, level, y, width) {
    const { theme, data } = this.app;
    /** @param {number} v */
    const x = (v) => LEFT + clamp(v, 0, 1) * width;
    const [low, middle, high] = data.participation(modality, level);
    ctx.fillStyle = theme.ink(0.08);
    ctx.fillRect(LEFT, y + 2, width, 9);
    ctx.fillStyle = theme.modality(index);
    ctx.globalAlpha = 0.45;
    ctx.fillRect(x(low), y + 2, Math.max(1, x(high) - x(low)), 9);
    ctx.globalAlpha = 1;
    ctx.fillRect(x(middle) - 1, y + 1, 2.5, 11);
    const tokens = data.tokens(modality, level);
    if (!tokens) return;
    const r = sum(data.share(tokens).allocation) / tokens.positions.length;
    mark(ctx, "circle", x(r), y + 6.5, 4);
    ctx.fillStyle = theme.paper;
    ctx.fill();
    pen(ctx, theme.ink(1), 1.8);
    ctx.stroke();
  }
}
