// What stands out in a cloud.
import { line, pen, ring } from "./canvas.js";

/** @import {Theme} from "./theme.js" */
/** @import {Place} from "./types.js" */

/**
 * The picked sample; as a ghost, where it lay before.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Theme} theme
 * @param {number} x
 * @param {number} y
 * @param {boolean} ghost
 */
export function paintPicked(ctx, theme, x, y, ghost) {
  if (ghost) {
    pen(ctx, theme.ink(0.5), 1.2);
    return ring(ctx, x, y, 4);
  }
  pen(ctx, theme.paper, 4.5);
  ring(ctx, x, y, 8);
  pen(ctx, theme.ink(1), 2.2);
  ring(ctx, x, y, 8);
  for (const [dx, dy] of [
    [1, 0],
    [-1, 0],
    [0, 1],
    [0, -1],
  ]) {
    line(ctx, [
      [x + dx * 8, y + dy * 8],
      [x + dx * 13, y + dy * 13],
    ]);
  }
}

/** A loop that is being drawn. @param {CanvasRenderingContext2D} ctx @param {Theme} theme @param {Place[]} loop */
export function paintLoop(ctx, theme, loop) {
  ctx.fillStyle = theme.ink(0.08);
  ctx.strokeStyle = theme.ink(0.8);
  line(ctx, [...loop, loop[0]], [4, 3]);
  ctx.fill();
}
