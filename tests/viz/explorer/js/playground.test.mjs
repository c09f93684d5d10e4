import assert from "node:assert/strict";
import { test } from "node:test";
import { arranged, sing } from "../../../../clcrkit/viz/explorer/js/clip.js";
import { Sheet } from "../../../../clcrkit/viz/explorer/js/drawing.js";

test("a pen blackens the share of a cell that it covers, and an eraser takes all away", () => {
  const sheet = new Sheet();
  sheet.stroke([0, 4.5], [8, 4.5], false);
  const cells = sheet.cells();
  for (let column = 0; column < 8; column++) {
    assert.equal(cells[4 * 8 + column], 1); // the pen is wider than a cell
    assert.equal(cells[2 * 8 + column], 0);
    assert.ok(cells[5 * 8 + column] < 0.5);
  }
  sheet.lay(new Float32Array(64).fill(0.25));
  assert.ok(sheet.cells().every((v) => v === 0.25));
  sheet.stroke([0.5, 0.5], [0.5, 0.5], false);
  assert.ok(sheet.cells()[0] > 0.8);
  sheet.stroke([0.5, 0.5], [0.5, 0.5], true);
  assert.equal(sheet.cells()[0], 0);
  sheet.set(63, 0.5);
  assert.equal(sheet.cells()[63], 0.5);
});

test("a clip is cut at both ends and comes later", () => {
  const frames = Float32Array.of(1, 2, 3, 4, 5, 6); // three frames of two bands
  assert.deepEqual([...arranged({ from: 1, to: 3, later: 1 }, frames, 2)], [0, 0, 3, 4, 5, 6]);
});

test("frames become a WAV file of their length, silent where they are 0", () => {
  const tones = { hertz: [100, 200], rate: 1000, hop: 20, floor: -70 };
  const file = sing(Float32Array.of(0, 0, 1, 0.5), tones);
  const view = new DataView(file.buffer);
  assert.equal(file.length, 44 + 2 * 40);
  assert.equal(view.getUint32(24, true), 1000);
  assert.equal(view.getUint32(40, true), 80);
  const wave = Array.from({ length: 40 }, (_, t) => view.getInt16(44 + 2 * t, true));
  assert.ok(wave.slice(0, 20).every((v) => v === 0));
  assert.ok(Math.abs(Math.max(...wave.map(Math.abs)) - 16384) < 2);
});
