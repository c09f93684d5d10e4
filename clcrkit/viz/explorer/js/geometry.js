// Pure functions of places in a picture.
import { clamp, extent } from "./numbers.js";

/** @import {CloudPoints, Numbers, Place} from "./types.js" */

/** Is the point within the closed loop? @param {number} x @param {number} y @param {Place[]} loop */
export function inside(x, y, loop) {
  let within = false;
  for (let i = 0, j = loop.length - 1; i < loop.length; j = i++) {
    const [xi, yi] = loop[i];
    const [xj, yj] = loop[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) within = !within;
  }
  return within;
}

/** The index of the nearest point less than `reach` away, or -1. @param {CloudPoints} points @param {Place} at */
export function nearest({ x, y }, [px, py], reach = 12) {
  let best = -1;
  let least = reach * reach;
  for (let i = 0; i < x.length; i++) {
    const d = (x[i] - px) ** 2 + (y[i] - py) ** 2;
    if (d < least) {
      least = d;
      best = i;
    }
  }
  return best;
}

/** The corners of an upright triangle that fills the picture. @param {number} width @param {number} height */
export function triangle(width, height) {
  const side = Math.min(width - 20, (height - 44) / 0.866);
  const left = (width - side) / 2;
  const base = height - 22;
  /** @type {Place[]} */
  const corners = [
    [left, base],
    [left + side, base],
    [left + side / 2, base - side * 0.866],
  ];
  return corners;
}

/**
 * The place of the i-th triple of weights that sum to 1: the weighted mean of the corners.
 * @param {Numbers | number[]} values
 * @param {number} i
 * @param {Place[]} corners
 * @returns {Place}
 */
export function barycentric(values, i, corners) {
  /** @param {0 | 1} axis */
  const along = (axis) =>
    values[3 * i] * corners[0][axis] + values[3 * i + 1] * corners[1][axis] + values[3 * i + 2] * corners[2][axis];
  return [along(0), along(1)];
}

/**
 * Enlarge around the middle of the points until they fill the picture but for a margin; never shrink.
 * @param {Iterable<number>} x
 * @param {Iterable<number>} y
 * @param {Place} size of the picture
 * @param {number} margin
 * @returns {(place: Place) => Place}
 */
export function enlarge(x, y, size, margin) {
  const ends = [extent(x), extent(y)];
  const times = clamp(
    Math.min(...ends.map(([low, high], axis) => (size[axis] - margin) / (high - low || 1e-3))),
    1,
    1000,
  );
  /** @param {number} v @param {0 | 1} axis */
  const move = (v, axis) => size[axis] / 2 + (v - (ends[axis][0] + ends[axis][1]) / 2) * times;
  return ([px, py]) => [move(px, 0), move(py, 1)];
}
