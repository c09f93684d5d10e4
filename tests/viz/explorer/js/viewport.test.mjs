import assert from "node:assert/strict";
import { test } from "node:test";
import { Viewport } from "../../../../clcrkit/viz/explorer/js/viewport.js";
import { near } from "./near.mjs";

const SIZE = [400, 300];
const sized = (size) => Object.assign(new Viewport(), { size });

test("what is under the pointer stays there, and zooming back gives back the whole", () => {
  const view = sized(SIZE);
  const under = [130, 90];
  view.zoom(2.5, view.see(under));
  near(view.see(under), under);
  const at = view.see([200, 40]);
  view.zoom(3, at);
  near(view.see([200, 40]), at);
  near([view.see([210, 40])[0] - at[0]], [75]);
  view.zoom(1e-6, [10, 10]);
  assert.equal(view.times, 1);
  near(view.see([17, 18]), [17, 18]);
});

test("the picture never leaves its frame", () => {
  const view = sized(SIZE);
  view.pan([50, -70]);
  near(view.see([0, 0]), [0, 0]);
  view.zoom(4, [0, 0]);
  for (const by of [
    [900, 900],
    [-5000, -5000],
    [123, -77],
  ]) {
    view.pan(by);
    const [left, top] = view.see([0, 0]);
    const [right, bottom] = view.see(SIZE);
    assert.ok(left <= 0 && top <= 0 && right >= SIZE[0] && bottom >= SIZE[1]);
  }
  view.reset();
  near(view.see([3, 4]), [3, 4]);
});

test("no number of steps leads beyond the largest zoom", () => {
  const view = sized(SIZE);
  for (let i = 0; i < 100; i++) view.zoom(1.5, [400, 300]);
  assert.ok(view.times > 100 && Number.isFinite(view.see([399, 299])[0]));
  near(view.see(SIZE), SIZE);
});

test("another size shows the same part in its middle, and what was told is shown again", () => {
  const view = sized(SIZE);
  view.zoom(3, [300, 40]);
  view.pan([20, -15]);
  const middle = [0, 1].map((axis) => (SIZE[axis] / 2 - view.shift[axis]) / (view.times * SIZE[axis]));
  const other = sized([180, 500]);
  other.show(view.told);
  near(other.see([middle[0] * 180, middle[1] * 500]), [90, 250]);
  view.size = [180, 500];
  near(view.see([10, 20]), other.see([10, 20]));
  other.show([7, 100, -100]); // nobody can lead the picture out of its frame
  assert.ok(other.see([0, 0])[0] <= 0 && other.see([180, 500])[0] >= 180 - 1e-9);
  assert.ok(other.see([0, 0])[1] <= 0 && other.see([180, 500])[1] >= 500 - 1e-9);
});
