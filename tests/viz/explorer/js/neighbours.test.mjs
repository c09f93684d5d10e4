import assert from "node:assert/strict";
import { test } from "node:test";
import { nearestRows } from "../../../../clcrkit/viz/explorer/js/neighbours.js";

test("the nearest are those that sorting finds, ties in order, absent ones never", () => {
  for (let samples = 0; samples < 60; samples++) {
    const values = Array.from({ length: 2 * samples + 6 }, (_, i) => (i * 7919 + samples * 31) % 17);
    const there = (row) => row % 5 !== 2;
    const from = [8, 3];
    const expected = Array.from({ length: samples }, (_, row) => row)
      .filter(there)
      .map((row) => ({ row, distance: Math.hypot(values[6 + 2 * row] - 8, values[7 + 2 * row] - 3) }))
      .sort((a, b) => a.distance - b.distance || a.row - b.row)
      .slice(0, 8);
    assert.deepEqual(nearestRows(values, 6, from, samples, there), expected);
  }
});

test("a place that is not a number is nowhere", () => {
  assert.deepEqual(
    nearestRows([Number.NaN, 0, 1, 0], 0, [0, 0], 2, () => true),
    [{ row: 1, distance: 1 }],
  );
});
