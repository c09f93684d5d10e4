// Where points crowd: lines around the densest regions. Pure, but for the drawing.
import { pen } from "./canvas.js";

/** @import {CloudPoints, Place} from "./types.js" */
/** @import {Theme} from "./theme.js" */

const CELL = 6; // pixels
const PASSES = 3; // of a running mean over three cells: about a bell of 8 pixels
const MARGIN = PASSES; // cells around the picture, which what is smoothed does not leave
export const CROWDED = 4000; // points: from here on the lines are there unasked
export const SHARES = [0.25, 0.5, 0.75, 0.95];

/** Points counted in cells, and these counts smoothed. */
/** @typedef {{columns: number, rows: number, counts: Float32Array, values: Float32Array}} Grid */

/**
 * The density of the points in view.
 * @param {Pick<CloudPoints, "x" | "y">} points
 * @param {number} width
 * @param {number} height
 * @returns {Grid}
 */
export function densityOf({ x, y }, width, height) {
  const columns = Math.ceil(width / CELL) + 2 * MARGIN;
  const rows = Math.ceil(height / CELL) + 2 * MARGIN;
  const counts = new Float32Array(columns * rows);
  let values = counts;
  for (let i = 0; i < x.length; i++) {
    if (!(x[i] >= 0 && y[i] >= 0 && x[i] < width && y[i] < height)) continue;
    counts[(MARGIN + Math.floor(y[i] / CELL)) * columns + MARGIN + Math.floor(x[i] / CELL)]++;
  }
  for (let pass = 0; pass < PASSES; pass++) {
    for (const step of [1, columns]) {
      const from = values;
      values = from.map((v, i) => (v + (from[i - step] ?? 0) + (from[i + step] ?? 0)) / 3);
    }
  }
  return { columns, rows, counts, values };
}

/**
 * For each share of the points the density of the least dense cell among the densest that hold it.
 * @param {Grid} grid
 * @param {number[]} shares in rising order
 */
export function levelsOf({ counts, values }, shares) {
  const full = Array.from(counts, (_, i) => i).filter((i) => counts[i]);
  full.sort((a, b) => values[b] - values[a]);
  const total = full.reduce((all, i) => all + counts[i], 0);
  let [held, at] = [0, -1];
  return shares.map((share) => {
    while (at + 1 < full.length && held < share * total) held += counts[full[++at]];
    return values[full[at]] ?? 0;
  });
}

/**
 * Pieces of the lines where the density crosses a level, in pixels: marching squares, which of a saddle cut both
 * corners.
 * @param {Grid} grid
 * @param {number} level
 * @returns {[Place, Place][]}
 */
export function contour({ columns, rows, values }, level) {
  /** @type {[Place, Place][]} */
  const pieces = [];
  /** @param {number} column @param {number} row @returns {Place} the middle of a cell */
  const middle = (column, row) => [(column - MARGIN + 0.5) * CELL, (row - MARGIN + 0.5) * CELL];
  for (let row = 0; row + 1 < rows; row++) {
    for (let column = 0; column + 1 < columns; column++) {
      const at = row * columns + column;
      const corners = [values[at], values[at + 1], values[at + columns + 1], values[at + columns]];
      const above = corners.map((v) => v >= level);
      if (above.every((is) => is === above[0])) continue;
      const places = [
        middle(column, row),
        middle(column + 1, row),
        middle(column + 1, row + 1),
        middle(column, row + 1),
      ];
      /** @type {Place[]} */
      const crossed = [];
      for (let side = 0; side < 4; side++) {
        const next = (side + 1) % 4;
        if (above[side] === above[next]) continue;
        const part = (level - corners[side]) / (corners[next] - corners[side]);
        const [a, b] = [places[side], places[next]];
        crossed.push([a[0] + part * (b[0] - a[0]), a[1] + part * (b[1] - a[1])]);
      }
      for (let i = 0; i + 1 < crossed.length; i += 2) pieces.push([crossed[i], crossed[i + 1]]);
    }
  }
  return pieces;
}

export class Density {
  constructor() {
    /** @type {CloudPoints | null} */
    this.of = null;
    /** @type {[Place, Place][][]} */
    this.lines = [];
  }

  /**
   * @param {CanvasRenderingContext2D} ctx
   * @param {Theme} theme
   * @param {CloudPoints} points
   * @param {Place} size
   */
  draw(ctx, theme, points, size) {
    if (this.of !== points) {
      const grid = densityOf(points, ...size);
      this.of = points;
      this.lines = levelsOf(grid, SHARES).map((level) => contour(grid, level));
    }
    for (const [color, width] of /** @type {[string, number][]} */ ([
      [theme.paper, 3],
      [theme.ink(0.85), 1.2],
    ])) {
      pen(ctx, color, width);
      ctx.beginPath();
      for (const [from, to] of this.lines.flat()) {
        ctx.moveTo(...from);
        ctx.lineTo(...to);
      }
      ctx.stroke();
    }
  }
}
