// Samples in groups, and how right the answers are in each. Pure.
import { fmt, quantile } from "./numbers.js";

/** @import {Column, Table} from "./types.js" */

/** Some samples that share a value. @typedef {{name: string, rows: number[]}} Slice */

const QUANTILES = 4; // numbers are cut into so many parts of the same size

/**
 * These samples by the value of a column; numbers by quarters of the samples. Groups without a sample are left out.
 * @param {Column} column
 * @param {number[]} rows
 * @returns {Slice[]}
 */
export function slicesOf(column, rows) {
  const { v } = column.values;
  if (column.kind === "category") {
    /** @type {Map<number, number[]>} */
    const found = new Map();
    for (const i of rows) {
      const group = found.get(v[i]);
      if (group) group.push(i);
      else found.set(v[i], [i]);
    }
    return [...found]
      .sort(([a], [b]) => a - b)
      .map(([value, rows]) => ({ name: column.names[value] ?? "unknown", rows }));
  }
  const sorted = rows
    .map((i) => v[i])
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  const cuts = Array.from({ length: QUANTILES + 1 }, (_, k) => quantile(sorted, k / QUANTILES));
  const parts = cuts.slice(1).map((high, k) => {
    const low = cuts[k];
    const last = k === QUANTILES - 1;
    return {
      name: `${fmt(low)} to ${last ? "" : "below "}${fmt(high)}`,
      rows: rows.filter((i) => v[i] >= low && (v[i] < high || (last && v[i] === high))),
    };
  });
  return parts.filter((part) => part.rows.length);
}

/** What `score` measures. @param {Table} table */
export const metricOf = ({ task }) => (task === "regression" ? "mean error" : "accuracy");

/**
 * How right the answers of one trace are: the value, and for classes the ends of Wilson's 95 % interval.
 * @param {Table} table
 * @param {Column} error the column "error" or "error b"
 * @param {number[]} rows
 */
export function score({ task, outputs }, error, rows) {
  const total = rows.reduce((all, i) => all + error.values.v[i], 0);
  const n = rows.length;
  if (task === "regression") return { value: total / n };
  if (task === "multilabel") return { value: 1 - total / n / outputs.length };
  return { value: 1 - total / n, ends: wilson(n - total, n) };
}

/**
 * Wilson's interval for a share, at 95 %.
 * @param {number} hits
 * @param {number} n
 * @returns {[number, number]}
 */
export function wilson(hits, n) {
  const z = 1.959964;
  const share = hits / n;
  const middle = (share + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z / (1 + (z * z) / n)) * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
