import assert from "node:assert/strict";
import test from "node:test";
import { splat, stampFrom } from "../../../../clcrkit/viz/explorer/js/splat.js";
import { near } from "./near.mjs";

const blank = (width, height) => ({ data: new Uint8ClampedArray(4 * width * height), width, height });
const dot = stampFrom({ data: [10, 20, 200, 255], width: 1, height: 1 });

test("a mark on an empty picture keeps its colour, and takes the strength as its opacity", () => {
  const picture = blank(3, 3);
  splat(picture, dot, 1.4, 2.9, 0.5);
  assert.deepEqual([...picture.data.slice(28, 32)], [10, 20, 200, 128]);
  assert.equal(picture.data.filter((v) => v).length, 4);
});

test("laid over each other, marks come out as one on paper and the other on it", () => {
  const picture = blank(1, 1);
  const red = stampFrom({ data: [250, 0, 0, 255], width: 1, height: 1 });
  splat(picture, dot, 0, 0, 0.6);
  splat(picture, red, 0, 0, 0.3);
  const alpha = picture.data[3] / 255;
  [10, 20, 200].forEach((below, c) => {
    const above = [250, 0, 0][c];
    const shown = picture.data[c] * alpha + 255 * (1 - alpha);
    const onPaper = below * 0.6 + 255 * 0.4;
    near([shown], [above * 0.3 + onPaper * 0.7], 2);
  });
});

test("what lies outside the picture changes nothing, and does not come in at the other side", () => {
  const wide = stampFrom({ data: Array(4 * 25).fill(255), width: 5, height: 5 });
  for (const [x, y, seen] of [
    [-3, 4, 0],
    [8, -1e6, 0],
    [0, 4, 15],
    [7, 7, 9],
  ]) {
    const picture = blank(8, 8);
    splat(picture, wide, x, y, 1);
    assert.equal(picture.data.filter((v, i) => i % 4 === 3 && v).length, seen);
  }
});
