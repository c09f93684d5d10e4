// Pure functions of numbers.
/** @import {Numbers, Range} from "./types.js" */

/** @param {number} x @param {number} [digits] */
export function fmt(x, digits = 2) {
  return Number.isFinite(x) ? x.toFixed(digits).replace(/^-(0(\.0+)?)$/, "$1") : "–";
}

/** A difference. @param {number} x @param {number} [digits] */
export const signed = (x, digits = 2) => (x >= 0.5 * 10 ** -digits ? "+" : "") + fmt(x, digits).replace("-", "−");

/** Thousands are set apart. @param {number} count */
export const counted = (count) => count.toLocaleString("en");

/** @param {number} x @param {number} low @param {number} high */
export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

/** @param {Numbers | number[]} values */
export function sum(values) {
  let total = 0;
  for (const v of values) total += v;
  return total;
}

/** The least and the largest value; infinite where there is none. @param {Iterable<number>} values @returns {Range} */
export function extent(values) {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  return [low, high];
}

/** Linear between neighbours; NaN for no values. @param {number[]} sorted @param {number} q */
export function quantile(sorted, q) {
  if (!sorted.length) return Number.NaN;
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

/** The position of the value nearest to x, the first of several. @param {number[]} values @param {number} x */
export function nearestIndex(values, x) {
  let best = 0;
  values.forEach((v, i) => {
    if (Math.abs(v - x) < Math.abs(values[best] - x)) best = i;
  });
  return best;
}

/** A fixed pseudo-random number in 0..1 for each sample, for jitter that never moves. @param {number} i */
export function scattered(i) {
  let x = Math.imul(i + 1, 2654435761) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 2246822519) >>> 0;
  return ((x ^ (x >>> 13)) >>> 0) / 4294967296;
}

/**
 * The projection on {0 <= x <= 1, sum x <= budget}: clip(a - λ, 0, 1), λ found by halving its interval.
 * @param {number[]} activation
 * @param {number} budget
 */
export function project(activation, budget) {
  /** @param {number} cut */
  const spent = (cut) => {
    let total = 0; // a loop of its own: it runs 50 times for each of all tokens at every step of the slider
    for (const a of activation) {
      const part = a - cut;
      if (part > 0) total += Math.min(part, 1);
    }
    return total;
  };
  let low = 0;
  let high = 0;
  if (spent(0) > budget + 1e-9) {
    high = Math.max(...activation);
    for (let i = 0; i < 50; i++) {
      const middle = (low + high) / 2;
      if (spent(middle) > budget) low = middle;
      else high = middle;
    }
  }
  return { cutoff: high, allocation: activation.map((a) => clamp(a - high, 0, 1)) };
}

/** @param {Numbers} logits */
export function softmax(logits) {
  const most = Math.max(...logits);
  const e = Array.from(logits, (v) => Math.exp(v - most));
  const total = sum(e);
  return e.map((v) => v / total);
}

/** @param {Numbers} logits */
export const sigmoids = (logits) => Array.from(logits, (v) => 1 / (1 + Math.exp(-v)));

/** "#rrggbb" as three numbers. @param {string} hex */
export const rgbOf = (hex) => [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));

/** Red, green and blue at t in 0..1 between the stops. @param {number[][]} stops @param {number} t */
export function rampColor(stops, t) {
  const at = clamp(t, 0, 1) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(at));
  const part = at - low;
  return stops[low].map((v, c) => Math.round(v + (stops[low + 1][c] - v) * part));
}
