// Gates and budgets of two traces as differences, b minus a: all samples, and the picked one.
import { Canvas, line, mark, pen, write } from "./canvas.js";
import { hovered } from "./dom.js";
import { clamp, fmt, quantile, signed, sum } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {Comparison, Table, Values} from "./types.js" */

/**
 * One difference: what it is of, and how it lies over the samples; NaN where a modality is missing.
 * @typedef {{group: string, name: string, modality: number, values: Float32Array, low: number, high: number,
 *   mean: number}} Difference
 */

const LEFT = 74;
const RIGHT = 46;
const HEAD = 16; // height of a group's name
const ROW = 14;

/** All that two traces both have. @param {Table} table @param {Comparison} compared @returns {Difference[]} */
export function differencesOf(table, compared) {
  /** @type {Difference[]} */
  const found = [];
  const count = table.ids.length;
  /**
   * @param {string} group
   * @param {string} name
   * @param {number} modality
   * @param {Values} a
   * @param {Values | undefined} b
   * @param {number} at
   */
  const add = (group, name, modality, a, b, at) => {
    if (!b) return;
    const width = a.shape[1];
    const here = modality < 0 ? null : table.present[table.modalities[modality]].v;
    const values = Float32Array.from({ length: count }, (_, i) =>
      here && !here[i] ? Number.NaN : b.v[i * width + at] - a.v[i * width + at],
    );
    const sorted = Array.from(values)
      .filter(Number.isFinite)
      .sort((p, q) => p - q);
    if (!sorted.length) return;
    const [low, high] = [0.1, 0.9].map((q) => quantile(sorted, q));
    found.push({ group, name, modality, values, low, high, mean: sum(sorted) / sorted.length });
  };
  table.levels.forEach((name, at) => {
    add("level gate ω", name, -1, table.level_gate, compared.level_gate, at);
  });
  table.modalities.forEach((name, at) => {
    add("modality gate", name, at, table.modality_gate, compared.modality_gate, at);
  });
  table.modalities.forEach((name, at) => {
    add("private gate η", name, at, table.private_gate, compared.private_gate, at);
  });
  table.modalities.forEach((m, at) => {
    table.levels.forEach((name, level) => {
      add(`participation r, ${m}`, name, at, table.participation[m], compared.participation[m], level);
    });
  });
  return found;
}

export class Differences {
  /** @param {App} app @param {HTMLElement} parent @param {Comparison} compared */
  constructor(app, parent, compared) {
    this.app = app;
    this.all = differencesOf(app.data.table, compared);
    /** @type {{y: number, difference: Difference}[]} */
    this.places = [];
    let y = 2;
    let group = "";
    for (const difference of this.all) {
      if (difference.group !== group) y += HEAD;
      group = difference.group;
      this.places.push({ y, difference });
      y += ROW;
    }
    const label = "Gates and budgets, b minus a: the middle 80 % and the mean of all samples, and the picked sample.";
    this.canvas = new Canvas(app, parent, y + 20, label, (ctx, width, height) => this.draw(ctx, width, height));
    this.canvas.el.hidden = !this.all.length;
    /** @param {PointerEvent} event */
    const over = (event) => {
      const at = this.canvas.at(event)[1];
      const under = this.places.find((place) => at >= place.y && at < place.y + ROW);
      if (under) app.tip(event, this.describe(under.difference));
      else app.untip();
    };
    hovered(this.canvas.el, over, () => app.untip());
  }

  /** @param {Difference} difference */
  describe({ group, name, values, low, high, mean }) {
    const { data } = this.app;
    return [
      `${group}, ${name}: b − a`,
      `mean of all samples ${signed(mean, 3)}`,
      `middle 80 %: ${signed(low, 3)} to ${signed(high, 3)}`,
      `id ${data.picked}: ${signed(values[data.row], 3)}`,
    ];
  }

  update() {
    this.canvas.show(this.app.data.row);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height */
  draw(ctx, width, height) {
    const { theme, data } = this.app;
    const reach = Math.max(1e-6, ...this.all.map((d) => Math.max(-d.low, d.high, Math.abs(d.values[data.row] || 0))));
    const half = (width - LEFT - RIGHT) / 2;
    const zero = LEFT + half;
    /** @param {number} v */
    const x = (v) => zero + clamp(v / reach, -1, 1) * (half - 5);
    ctx.font = theme.font(11);
    let group = "";
    for (const { y, difference } of this.places) {
      const { name, modality, values, low, high, mean } = difference;
      if (difference.group !== group) write(ctx, difference.group, 0, y - 4, "left", theme.ink(0.85));
      group = difference.group;
      write(ctx, name, LEFT - 6, y + 10, "right", theme.ink(0.65));
      ctx.fillStyle = theme.ink(0.06);
      ctx.fillRect(LEFT, y + 2, 2 * half, 9);
      ctx.fillStyle = modality < 0 ? theme.ink(0.7) : theme.modality(modality);
      ctx.globalAlpha = 0.45;
      ctx.fillRect(x(low), y + 2, Math.max(1, x(high) - x(low)), 9);
      ctx.globalAlpha = 1;
      ctx.fillRect(x(mean) - 1, y + 1, 2.5, 11);
      write(ctx, signed(mean, 3), width, y + 10, "right", theme.ink(0.85));
      if (!Number.isFinite(values[data.row])) continue;
      mark(ctx, "circle", x(values[data.row]), y + 6.5, 4);
      ctx.fillStyle = theme.paper;
      ctx.fill();
      pen(ctx, theme.ink(1), 1.8);
      ctx.stroke();
    }
    pen(ctx, theme.ink(0.45), 1);
    line(ctx, [
      [zero, HEAD],
      [zero, height - 16],
    ]);
    write(ctx, `−${fmt(reach)}`, LEFT, height - 5, "left", theme.ink(0.65));
    write(ctx, "0", zero, height - 5, "center", theme.ink(0.65));
    write(ctx, `+${fmt(reach)}`, LEFT + 2 * half, height - 5, "right", theme.ink(0.65));
    write(ctx, "○ picked", LEFT - 6, height - 5, "right", theme.ink(0.65));
    write(ctx, "mean", width, height - 5, "right", theme.ink(0.65));
  }
}
