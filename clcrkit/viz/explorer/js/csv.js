// Samples as a text of comma-separated values, as RFC 4180 has them. Pure.
/** @import {Column} from "./types.js" */

/** @param {string} text */
const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/**
 * A value in full: a group's name, empty where it is unknown, or the number.
 * @param {Column} column
 * @param {number} row
 */
function cellOf({ kind, names, values }, row) {
  const v = values.v[row];
  if (kind === "category") return names[v] ?? "";
  if (names[row]) return names[row];
  // four bytes hold some 7 digits of a fraction; more would be noise
  return String(values.v instanceof Float32Array && !Number.isInteger(v) ? Number(v.toPrecision(7)) : v);
}

/** @param {string[]} ids @param {Column[]} columns @param {number[]} rows */
export function csvOf(ids, columns, rows) {
  const lines = [
    ["id", ...columns.map((c) => c.name)],
    ...rows.map((i) => [ids[i], ...columns.map((c) => cellOf(c, i))]),
  ];
  return lines.map((line) => `${line.map(quoted).join(",")}\r\n`).join("");
}
