import assert from "node:assert/strict";
import { test } from "node:test";
import { Viewport } from "../../../../clcrkit/viz/explorer/js/viewport.js";
import { near } from "./near.mjs";

const SIZE = [400, 300];

test("what is under the pointer stays there, and zooming back gives back the whole", () => {
  const view = new Viewport();
  const under = [130, 90];
  view.zoom(2.5, view.see(under), SIZE);
  near(view.see(under), under);
  const at = view.see([200, 40]);
  view.zoom(3, at, SIZE);
  near(view.see([200, 40]), at);
  near([view.see([210, 40])[0] - at[0]], [75]);
  view.zoom(1e-6, [10, 10], SIZE);
  assert.equal(view.times, 1);
  near(view.see([17, 18]), [17, 18]);
});

test("the picture never leaves its frame", () => {
  const view = new Viewport();
  view.pan([50, -70], SIZE);
  near(view.see([0, 0]), [0, 0]);
  view.zoom(4, [0, 0], SIZE);
  for (const by of [
    [900, 900],
    [-5000, -5000],
    [123, -77],
  ]) {
    view.pan(by, SIZE);
    const [left, top] = view.see([0, 0]);
    const [right, bottom] = view.see(SIZE);
    assert.ok(left <= 0 && top <= 0 && right >= SIZE[0] && bottom >= SIZE[1]);
  }
  view.reset();
  near(view.see([3, 4]), [3, 4]);
});

test("no number of steps leads beyond the largest zoom", () => {
  const view = new Viewport();
  for (let i = 0; i < 100; i++) view.zoom(1.5, [400, 300], SIZE);
  assert.ok(view.times > 100 && Number.isFinite(view.see([399, 299])[0]));
  near(view.see(SIZE), SIZE);
});
