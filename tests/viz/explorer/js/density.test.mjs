import assert from "node:assert/strict";
import { test } from "node:test";
import { contour, densityOf, levelsOf } from "../../../../clcrkit/viz/explorer/js/density.js";

/** Two heaps and a little dust, drawn from a fixed sequence. */
function heaps(count) {
  let seed = 1;
  const random = () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647;
  };
  const bell = () => random() + random() + random() + random() - 2;
  const x = new Float32Array(count);
  const y = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const [cx, cy] = i % 3 ? [100, 100] : [220, 60];
    x[i] = cx + 20 * bell();
    y[i] = cy + 20 * bell();
  }
  return { x, y };
}

const total = ({ values }) => values.reduce((all, v) => all + v, 0);

test("every point in view counts once, wherever it is, and none that is out of view", () => {
  for (const [px, py] of [
    [0, 0],
    [299.9, 199.9],
    [150, 100],
    [0, 199],
  ]) {
    const grid = densityOf({ x: Float32Array.of(px, -1, 300, Number.NaN), y: Float32Array.of(py, 5, 5, 5) }, 300, 200);
    assert.ok(Math.abs(total(grid) - 1) < 1e-5, `${px}, ${py}: ${total(grid)}`);
  }
});

test("the cells from a share's level on hold that share of the points, and no more than that needs", () => {
  const grid = densityOf(heaps(5000), 300, 200);
  const held = (is) => grid.counts.reduce((all, count, i) => all + (is(grid.values[i]) ? count : 0), 0) / 5000;
  const shares = [0.25, 0.5, 0.75, 0.95];
  for (const [i, level] of levelsOf(grid, shares).entries()) {
    const share = shares[i];
    assert.equal(level, levelsOf(grid, [share])[0]);
    assert.ok(held((v) => v >= level) >= share && held((v) => v > level) < share);
  }
});

test("lines close around the heaps, and hold the share they say", () => {
  const points = heaps(5000);
  const pieces = contour(densityOf(points, 300, 200), levelsOf(densityOf(points, 300, 200), [0.75])[0]);
  const ends = new Map();
  for (const piece of pieces)
    for (const [x, y] of piece)
      ends.set(`${x.toFixed(3)},${y.toFixed(3)}`, (ends.get(`${x.toFixed(3)},${y.toFixed(3)}`) ?? 0) + 1);
  assert.ok([...ends.values()].every((count) => count % 2 === 0));
  const crossings = (px, py) =>
    pieces.filter(([[x0, y0], [x1, y1]]) => y0 > py !== y1 > py && px < ((x1 - x0) * (py - y0)) / (y1 - y0) + x0)
      .length;
  let within = 0;
  for (let i = 0; i < 5000; i++) within += crossings(points.x[i], points.y[i]) % 2;
  assert.ok(Math.abs(within / 5000 - 0.75) < 0.06, `${within / 5000}`);
  assert.equal(crossings(100, 100) % 2, 1);
  assert.equal(crossings(160, 150) % 2, 0);
});

test("no point, no line", () => {
  const grid = densityOf({ x: new Float32Array(), y: new Float32Array() }, 300, 200);
  assert.deepEqual(contour(grid, levelsOf(grid, [0.5])[0]), []);
});
