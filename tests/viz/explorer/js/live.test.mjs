import assert from "node:assert/strict";
import { test } from "node:test";
import { sampleOf } from "../../../../clcrkit/viz/explorer/js/live.js";
import { attentionFrom, blockFrom, placeOf } from "../../../../clcrkit/viz/explorer/js/messages.js";
import { Network } from "../../../../clcrkit/viz/explorer/js/network.js";
import { near } from "./near.mjs";

const values = (shape, v) => ({ shape, v: Float32Array.from(v) });

/** As onnxruntime-web's. */
class Tensor {
  constructor(type, data, dims) {
    Object.assign(this, { type, data, dims });
  }
}

test("what the model reads is padded to the longest sample, and muted where it is asked to be", () => {
  globalThis.ort = { Tensor };
  const input = (mask, v) => ({
    see: { size: 2, ids: false, mask: Uint8Array.from(mask), values: Float32Array.from(v) },
  });
  const network = new Network(null, 2, 1);
  const feeds = network.feeds([input([1], [1, 2]), input([1, 1], [3, 4, 5, 6])], 0.5, [
    ["see", 1, 1],
    ["hear", 0, 0],
  ]);
  assert.deepEqual(Object.keys(feeds).sort(), ["batch.masks/see", "batch.tokens/see", "gamma", "mute/see"]);
  assert.deepEqual(feeds["batch.tokens/see"].dims, [2, 2, 2]);
  assert.deepEqual([...feeds["batch.tokens/see"].data], [1, 2, 0, 0, 3, 4, 5, 6]);
  assert.deepEqual([...feeds["batch.masks/see"].data], [1, 0, 1, 1]);
  assert.deepEqual(feeds["mute/see"].dims, [2, 2, 2]);
  assert.deepEqual([...feeds["mute/see"].data], [0, 0, 0, 1, 0, 0, 0, 1]);
  assert.deepEqual([...feeds.gamma.data], [0.5]);
  const ids = { read: { size: 1, ids: true, mask: new Uint8Array(), values: new Float32Array() } };
  assert.deepEqual(network.feeds([ids], 1, [])["batch.tokens/read"].dims, [1, 1]); // a missing one has padding
});

test("runs come one after the other, also after one that failed", async () => {
  const order = [];
  const session = {
    run: async (feeds) => {
      order.push(feeds.gamma.data[0]);
      await new Promise((done) => setTimeout(done, 5));
      order.push(-feeds.gamma.data[0]);
      if (feeds.gamma.data[0] === 1) throw new Error("no");
      return { prediction: { dims: [1, 1], data: Float32Array.of(7) } };
    },
  };
  const network = new Network(session, 1, 1);
  const sample = { see: { size: 1, ids: false, mask: Uint8Array.of(1), values: Float32Array.of(1) } };
  const [first, second] = await Promise.allSettled([network.run([sample], 1, []), network.run([sample], 2, [])]);
  assert.deepEqual(order, [1, -1, 2, -2]);
  assert.equal(first.status, "rejected");
  assert.deepEqual([...second.value.prediction.v], [7]);
});

test("a kept input loses its padding, unless the model repeats its tokens", () => {
  const inputs = {
    ids: ["5"],
    tokens: { read: values([1, 4], [3, 4, 0, 0]) },
    masks: { read: values([1, 4], [1, 1, 0, 0]) },
  };
  assert.deepEqual([...sampleOf({ ...inputs, repeats: 1 }, 0).read.values], [3, 4]);
  assert.deepEqual([...sampleOf({ ...inputs, repeats: 2 }, 0).read.values], [3, 4, 0, 0]);
});

test("a place is a linear map of a summary of its level, or of a code", () => {
  const outputs = { "shared_summary/see": values([1, 2, 2], [9, 9, 1, 2]), shared_code: values([1, 2], [3, 4]) };
  const map = values([3, 2], [1, 10, 2, 20, 100, 1000]);
  assert.deepEqual(placeOf(outputs, "shared/1/see", map), [105, 1050]);
  assert.deepEqual(placeOf(outputs, "shared_code", map), [111, 1110]);
});

test("outputs become the messages that a kernel sends", () => {
  const outputs = {
    rho: values([1, 2], [0.5, 0.25]),
    threshold: values([1, 2], [0, 0]),
    scale: values([1, 2], [1, 1]),
    "evidence/see": values([1, 2, 3], [1, 2, 0, 3, 4, 0]),
    "activation/see": values([1, 2, 3], [1, 2, 0, 3, 4, 0]),
    "allocation/see": values([1, 2, 3], [1, 0, 0, 1, 0, 0]),
    "allocation/hear": values([1, 2, 1], [1, 1]),
    "attention/see": values([1, 2, 1, 3, 1], [0.5, 1, 0, 0.25, 1, 0]),
  };
  const see = { size: 2, ids: false, mask: Uint8Array.of(1, 1), values: Float32Array.of(0, 1, 2, 3) };
  const block = blockFrom(outputs, "5", { see }, { see: ["row 1", "row 1"] }, { see: [0, 2] });
  assert.deepEqual([...block.lanes.see.mask.v], [1, 1, 0]);
  near([...block.lanes.see.budget.v], [1, 0.5]);
  assert.deepEqual([...block.lanes.see.features.v], [0, 127, 255, 255, 0, 0]);
  assert.deepEqual(block.texts, ["", "row 1"]);
  assert.deepEqual([...block.lanes.see.text.v], [1, 1, 0]);
  const { of, levels } = attentionFrom(outputs, "5", ["see", "hear"]);
  assert.deepEqual(levels, [0, 1]);
  assert.deepEqual(of.see.others, [["hear", 1]]);
  assert.deepEqual(of.see.top.shape, [1, 2, 1, 3]);
  assert.ok([...of.see.top.v].every((v) => v === 255));
});
