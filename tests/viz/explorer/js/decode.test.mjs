import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, revive, unpack } from "../../../../clcrkit/viz/explorer/js/decode.js";

const bytes = (array) => new Uint8Array(array.buffer);

test("every type of number comes back", () => {
  const arrays = {
    f4: Float32Array.of(1.5, -2),
    f8: Float64Array.of(1e300, -0.1),
    i4: Int32Array.of(-7, 2147483647),
    u2: Uint16Array.of(0, 65535),
    u1: Uint8Array.of(0, 255),
  };
  for (const [dtype, array] of Object.entries(arrays)) {
    assert.deepEqual(unpack({ dtype, shape: [2], data: bytes(array) }), array);
  }
});

test("bytes may lie anywhere in a larger buffer", () => {
  const buffer = new ArrayBuffer(11);
  const data = new Uint8Array(buffer, 3, 8);
  data.set(bytes(Float32Array.of(0.25, 4)));
  assert.deepEqual([...unpack({ dtype: "f4", shape: [2], data })], [0.25, 4]);
  assert.deepEqual([...unpack({ dtype: "f4", shape: [2], data: new DataView(buffer, 3, 8) })], [0.25, 4]);
  assert.deepEqual([...unpack({ dtype: "u1", shape: [1], data: Uint8Array.of(9).buffer })], [9]);
});

test("whole steps become values", () => {
  const [low, high] = unpack({ dtype: "u2", shape: [2], scale: 0.5, data: bytes(Uint16Array.of(0, 7)) });
  assert.deepEqual([low, high], [0, 3.5]);
});

test("arrays are decoded wherever they stand, and all else stays", () => {
  const packed = { dtype: "u1", shape: [1], reach: 2, data: Uint8Array.of(3) };
  const message = decode({ a: [packed, null], b: { c: "text", d: packed }, e: 1, f: false });
  assert.deepEqual([...message.a[0].v], [3]);
  assert.equal(message.a[1], null);
  assert.deepEqual(message.b.d.shape, [1]);
  assert.equal(message.b.d.reach, 2);
  assert.deepEqual([message.b.c, message.e, message.f], ["text", 1, false]);
});

test("a saved page's arrays find their bytes", () => {
  const blob = Uint8Array.of(1, 2, 3, 4).buffer;
  const state = revive({ _x: [{ dtype: "u1", shape: [2], at: 2, bytes: 2 }], gamma: 1, names: ["at"] }, blob);
  assert.deepEqual([...decode(state)._x[0].v], [3, 4]);
  assert.equal(state.gamma, 1);
  assert.deepEqual(state.names, ["at"]);
});
