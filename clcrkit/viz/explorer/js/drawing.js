// A digit drawn on 8 x 8 cells. As with the scans of the data set, a pen blackens some of the 4 x 4 points of a cell,
// and the cell's value is their share.
import { Canvas, pen } from "./canvas.js";
import { clamp, fmt } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {Place} from "./types.js" */

export const CELLS = 8;
const POINTS = 4 * CELLS;
const PEN = 0.62; // its radius in cells

/** A sheet: `base` is what lay on it, `points` what the pen blackened. */
export class Sheet {
  constructor() {
    this.base = new Float32Array(CELLS * CELLS);
    this.points = new Uint8Array(POINTS * POINTS);
  }

  /** @param {ArrayLike<number>} values of the cells, 0 to 1 */
  lay(values) {
    this.base.set(values);
    this.points.fill(0);
  }

  /** The cells, row by row. */
  cells() {
    return this.base.map((laid, i) => {
      const [row, column] = [4 * Math.floor(i / CELLS), 4 * (i % CELLS)];
      let black = 0;
      for (let y = row; y < row + 4; y++)
        for (let x = column; x < column + 4; x++) black += this.points[y * POINTS + x];
      return Math.max(laid, black / 16);
    });
  }

  /** Draw from one place to another, in cells. @param {Place} from @param {Place} to @param {boolean} erase */
  stroke(from, to, erase) {
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    const square = dx * dx + dy * dy || 1;
    for (let y = 0; y < POINTS; y++) {
      for (let x = 0; x < POINTS; x++) {
        const [px, py] = [(x + 0.5) / 4, (y + 0.5) / 4];
        const along = clamp(((px - from[0]) * dx + (py - from[1]) * dy) / square, 0, 1);
        if (Math.hypot(from[0] + along * dx - px, from[1] + along * dy - py) > PEN) continue;
        this.points[y * POINTS + x] = erase ? 0 : 1;
        if (erase) this.base[Math.floor(y / 4) * CELLS + Math.floor(x / 4)] = 0;
      }
    }
  }

  /** Give one cell a value. @param {number} cell @param {number} value */
  set(cell, value) {
    const [row, column] = [4 * Math.floor(cell / CELLS), 4 * (cell % CELLS)];
    for (let y = row; y < row + 4; y++) this.points.fill(0, y * POINTS + column, y * POINTS + column + 4);
    this.base[cell] = value;
  }
}

export class Drawing {
  /** @param {App} app @param {HTMLElement} parent @param {(cells: Float32Array) => void} onchange */
  constructor(app, parent, onchange) {
    this.app = app;
    this.onchange = onchange;
    this.sheet = new Sheet();
    this.erase = false;
    this.cursor = 0;
    /** @type {Place | null} */
    this.last = null;
    const label =
      "Drawing on 8 by 8 cells. Draw with mouse or finger; arrow keys move between cells, " +
      "the space bar darkens one in steps, Delete clears it.";
    this.canvas = new Canvas(app, parent, 200, label, (ctx, width) => this.draw(ctx, width));
    const { el } = this.canvas;
    el.classList.add("clcr-drawing");
    el.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      el.setPointerCapture(event.pointerId);
      this.last = this.place(event);
      this.stroke(event);
    });
    el.addEventListener("pointermove", (event) => {
      for (const one of event.getCoalescedEvents?.() ?? [event]) if (this.last) this.stroke(one);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      el.addEventListener(end, () => {
        this.last = null;
      });
    }
    el.addEventListener("keydown", (event) => this.press(event));
    for (const name of ["focus", "blur"]) el.addEventListener(name, () => this.canvas.paint());
  }

  /** @param {ArrayLike<number>} cells */
  lay(cells) {
    this.sheet.lay(cells);
    this.update();
  }

  /** Cells are squares. */
  update() {
    this.canvas.setHeight(this.canvas.width);
    this.canvas.paint();
  }

  clear() {
    this.lay(new Float32Array(CELLS * CELLS));
    this.onchange(this.sheet.cells());
  }

  /** @param {PointerEvent} event @returns {Place} */
  place(event) {
    const [x, y] = this.canvas.at(event);
    return [(x / this.canvas.width) * CELLS, (y / this.canvas.width) * CELLS];
  }

  /** @param {PointerEvent} event */
  stroke(event) {
    const place = this.place(event);
    this.sheet.stroke(this.last ?? place, place, this.erase);
    this.last = place;
    this.changed();
  }

  changed() {
    this.canvas.paint();
    this.onchange(this.sheet.cells());
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    /** @type {Record<string, Place>} */
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    const step = steps[event.key];
    let [row, column] = [Math.floor(this.cursor / CELLS), this.cursor % CELLS];
    const value = this.sheet.cells()[this.cursor];
    if (step) {
      row = clamp(row + step[0], 0, CELLS - 1);
      column = clamp(column + step[1], 0, CELLS - 1);
      this.cursor = row * CELLS + column;
      this.canvas.paint();
    } else if (event.key === " ") {
      this.sheet.set(this.cursor, value >= 1 ? 0 : Math.min(1, Math.floor(value * 2 + 1) / 2));
      this.changed();
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.sheet.set(this.cursor, 0);
      this.changed();
    } else return;
    this.app.say(`row ${row + 1}, column ${column + 1}: ${fmt(this.sheet.cells()[this.cursor], 1)}`);
    event.preventDefault();
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width */
  draw(ctx, width) {
    const { theme } = this.app;
    const side = width / CELLS;
    this.sheet.cells().forEach((value, i) => {
      ctx.fillStyle = theme.ink(0.04 + 0.96 * clamp(value, 0, 1));
      ctx.fillRect((i % CELLS) * side + 0.5, Math.floor(i / CELLS) * side + 0.5, side - 1, side - 1);
    });
    if (document.activeElement !== this.canvas.el || !this.canvas.el.matches(":focus-visible")) return;
    pen(ctx, theme.shades.warning, 2);
    ctx.strokeRect((this.cursor % CELLS) * side + 1, Math.floor(this.cursor / CELLS) * side + 1, side - 2, side - 2);
  }
}
