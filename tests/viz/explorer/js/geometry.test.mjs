import assert from "node:assert/strict";
import { test } from "node:test";
import { barycentric, enlarge, inside, nearest, triangle } from "../../../../clcrkit/viz/explorer/js/geometry.js";
import { near } from "./near.mjs";

const square = [
  [0, 0],
  [10, 0],
  [10, 10],
  [0, 10],
];

test("points within and without a loop", () => {
  assert.ok(inside(5, 5, square));
  for (const [x, y] of [
    [-1, 5],
    [11, 5],
    [5, -1],
    [5, 11],
  ])
    assert.ok(!inside(x, y, square));
  const horseshoe = [
    [0, 0],
    [10, 0],
    [10, 10],
    [7, 10],
    [7, 3],
    [3, 3],
    [3, 10],
    [0, 10],
  ];
  assert.ok(inside(1, 8, horseshoe));
  assert.ok(!inside(5, 8, horseshoe));
  assert.ok(!inside(5, 5, []));
});

test("the direction of a loop does not matter", () => {
  const back = [...square].reverse();
  for (let x = -1.5; x < 12; x += 1)
    for (let y = -1.5; y < 12; y += 1) assert.equal(inside(x, y, square), inside(x, y, back));
});

test("the nearest point, if it is near enough", () => {
  const points = { x: Float32Array.of(0, 10, 20), y: Float32Array.of(0, 0, 0), sample: [0, 1, 2] };
  assert.equal(nearest(points, [13, 2]), 1);
  assert.equal(nearest(points, [0, 12]), -1);
  assert.equal(nearest(points, [0, 12], 13), 0);
});

test("corners are at the corners, and the middle is the mean", () => {
  const corners = triangle(320, 260);
  near(barycentric([1, 0, 0], 0, corners), corners[0]);
  near(barycentric([9, 9, 9, 0, 0, 1], 1, corners), corners[2]);
  const third = 1 / 3;
  const mean = [0, 1].map((axis) => (corners[0][axis] + corners[1][axis] + corners[2][axis]) / 3);
  near(barycentric([third, third, third], 0, corners), mean);
  for (const [x, y] of corners) assert.ok(x >= 0 && x <= 320 && y >= 0 && y <= 260);
  const side = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
  assert.ok(Math.abs(side(corners[0], corners[1]) - side(corners[0], corners[2])) < 0.1);
});

test("enlarging fills the picture, keeps the shape and never shrinks", () => {
  const [x, y] = [
    [100, 110, 104],
    [50, 52, 58],
  ];
  const move = enlarge(x, y, [200, 200], 40);
  const places = x.map((v, i) => move([v, y[i]]));
  near([Math.max(...places.map((p) => p[0])) - Math.min(...places.map((p) => p[0]))], [160]);
  near(move([105, 54]), [100, 100]);
  near([(places[1][0] - places[0][0]) / 10], [(places[2][1] - places[1][1]) / 6]);
  const wide = enlarge([0, 1000], [0, 1], [200, 200], 40);
  near(wide([600, 0.5]), [200, 100]);
  near(enlarge([5], [5], [200, 200], 40)([5, 5]), [100, 100]);
});
