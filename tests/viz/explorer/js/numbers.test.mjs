import assert from "node:assert/strict";
import { test } from "node:test";
import {
  clamp,
  extent,
  fmt,
  nearestIndex,
  project,
  quantile,
  rampColor,
  rgbOf,
  scattered,
  sigmoids,
  softmax,
  sum,
} from "../../../../clcrkit/viz/explorer/js/numbers.js";
import { near } from "./near.mjs";

/** Activations that are the same at every run. */
const activations = (count, seed) => Array.from({ length: count }, (_, i) => scattered(i + 1000 * seed));

test("the projection stays in the truncated simplex and spends the budget where it binds", () => {
  for (let seed = 0; seed < 50; seed++) {
    const a = activations(1 + seed, seed).map((v) => 9 * v - 1); // below 0 and far above 1 as well
    const asked = sum(a.map((v) => clamp(v, 0, 1)));
    for (const budget of [0, 0.1, 1, seed / 3, asked, 2 * a.length]) {
      const { cutoff, allocation } = project(a, budget);
      assert.ok(allocation.every((share) => share >= 0 && share <= 1));
      near([sum(allocation)], [Math.min(budget, asked)]);
      near(
        allocation,
        a.map((v) => clamp(v - cutoff, 0, 1)),
        1e-9,
      );
      assert.equal(cutoff > 0, asked > budget + 1e-9);
    }
  }
});

test("no point of the truncated simplex is nearer than the projection", () => {
  const a = activations(12, 7);
  const distance = (x) => sum(x.map((v, i) => (v - a[i]) ** 2));
  const { allocation } = project(a, 2);
  for (let seed = 0; seed < 300; seed++) {
    const other = activations(12, seed + 100).map((v) => v ** (1 + (seed % 7)));
    const feasible = other.map((v) => v * Math.min(1, 2 / sum(other)));
    assert.ok(distance(feasible) >= distance(allocation) - 1e-9);
  }
});

test("nothing is funded of nothing", () => {
  assert.deepEqual(project([], 3), { cutoff: 0, allocation: [] });
  near([sum(project([0.4, 0.9], 0).allocation)], [0]);
});

test("quantiles are those of linear interpolation", () => {
  assert.equal(quantile([3], 0.9), 3);
  assert.equal(quantile([0, 10], 0.25), 2.5);
  assert.equal(quantile([1, 2, 4, 8], 0.5), 3);
  assert.equal(quantile([1, 2, 4, 8], 1), 8);
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

test("extent, sum and nearest index", () => {
  assert.deepEqual(extent([3, -1, 2]), [-1, 3]);
  assert.deepEqual(extent(Float32Array.of(0.5)), [0.5, 0.5]);
  assert.equal(extent([])[1], Number.NEGATIVE_INFINITY);
  assert.equal(sum(Float32Array.of(1, 2, 3)), 6);
  assert.equal(nearestIndex([0, 0.5, 1], 0.7), 1);
  assert.equal(nearestIndex([0, 1, 2], 0.5), 0);
});

test("probabilities sum to 1, whatever the logits", () => {
  for (const logits of [[0, 0], [1000, -1000, 3], [-5], [2, 2, 2, 2]]) near([sum(softmax(logits))], [1], 1e-9);
  near(softmax([Math.log(3), 0]), [0.75, 0.25], 1e-9);
  assert.deepEqual(sigmoids([0, 800, -800]), [0.5, 1, 0]);
});

test("numbers as text", () => {
  assert.equal(fmt(1.005), "1.00");
  assert.equal(fmt(-0.0001), "0.00");
  assert.equal(fmt(-0.4, 0), "0");
  assert.equal(fmt(-1.25, 1), "-1.3");
  assert.equal(fmt(Number.NaN), "–");
});

test("jitter is in 0..1, even, and the same at every call", () => {
  const values = Array.from({ length: 2000 }, (_, i) => scattered(i));
  assert.ok(values.every((v) => v >= 0 && v < 1));
  near([sum(values) / 2000], [0.5], 0.02);
  assert.equal(new Set(values).size, 2000);
  assert.equal(scattered(5), values[5]);
});

test("a ramp passes through its stops and holds its ends", () => {
  const stops = [
    [0, 0, 0],
    [10, 20, 30],
    [255, 255, 255],
  ];
  assert.deepEqual(rampColor(stops, 0), [0, 0, 0]);
  assert.deepEqual(rampColor(stops, 0.5), [10, 20, 30]);
  assert.deepEqual(rampColor(stops, 0.25), [5, 10, 15]);
  assert.deepEqual(rampColor(stops, 7), [255, 255, 255]);
  assert.deepEqual(rgbOf("#0a14ff"), [10, 20, 255]);
});
