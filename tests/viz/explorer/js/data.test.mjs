import assert from "node:assert/strict";
import { test } from "node:test";
import { Data } from "../../../../clcrkit/viz/explorer/js/data.js";
import { shareOf, tokensOf, weightsOf } from "../../../../clcrkit/viz/explorer/js/tokens.js";

const IDS = ["a", "b"];
const LEVELS = 2;
const TOKENS = 3;

// numbers that anybody can make again: the same seed, the same numbers
function numbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function message(next, modalities, ids) {
  const values = (...shape) => ({
    shape,
    v: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => next()),
  });
  const lane = () => ({
    mask: { shape: [ids.length, TOKENS], v: Uint8Array.from({ length: ids.length * TOKENS }, () => 1) },
    evidence: values(ids.length, LEVELS, TOKENS),
    activation: values(ids.length, LEVELS, TOKENS),
    budget: values(ids.length, LEVELS),
    text: { shape: [ids.length, TOKENS], v: new Int32Array(ids.length * TOKENS) },
  });
  return { ids, texts: [""], lanes: Object.fromEntries(modalities.map((m) => [m, lane()])) };
}

function attention(next, ids) {
  const length = ids.length * LEVELS * TOKENS;
  const listener = (other) => ({
    others: [[other, TOKENS]],
    top: { shape: [ids.length, LEVELS, 1, TOKENS], v: Float32Array.from({ length }, () => next()) },
    weights: {
      shape: [ids.length, LEVELS, 1, TOKENS, TOKENS],
      v: Uint8Array.from({ length: length * TOKENS }, () => 255 * next()),
    },
  });
  return { ids, pool: 1, levels: [0, 1], head: null, asked: [], of: { see: listener("hear"), hear: listener("see") } };
}

test("whatever changes, in whatever order, what is kept is what would be computed anew", () => {
  for (let seed = 0; seed < 20; seed++) {
    const next = numbers(seed);
    const pick = (...of) => of[Math.floor(next() * of.length)];
    const modalities = ["see", "hear"];
    const sparse = seed % 2 === 0;
    const state = {
      _table: { ids: IDS, sparse, modalities, levels: ["low", "high"] },
      _block: message(next, modalities, IDS),
      _attention: attention(next, IDS),
      picked: "a",
      gamma: 1,
      level: 0,
      head: -1,
      muted: [],
    };
    const data = new Data({ get: (name) => state[name] }, "kernel");
    const changes = [
      () => Object.assign(state, { picked: pick(...IDS) }),
      () => Object.assign(state, { gamma: pick(0.2, 0.5, 1, 2) }),
      () => Object.assign(state, { muted: next() < 0.5 ? [] : [[pick(...modalities), pick(0, 1), pick(0, 1, 2)]] }),
      () => {
        state._block = message(next, modalities, pick(IDS, ["b"], ["b", "a"]));
        data.take("_block");
      },
      () => {
        state._attention = attention(next, pick(IDS, ["b"]));
        data.take("_attention");
      },
    ];
    for (let step = 0; step < 30; step++) {
      pick(...changes)();
      const [modality, level] = [pick(...modalities), pick(0, 1)];
      const row = state._block.ids.indexOf(state.picked);
      const fresh = (m) => tokensOf(state._block, row, m, level, state.muted);
      const tokens = data.tokens(modality, level);
      assert.deepEqual(tokens, fresh(modality));
      if (tokens) assert.deepEqual(data.share(tokens), shareOf(fresh(modality), state.gamma, sparse));
      const heard = state._attention.ids.includes(state.picked);
      const weights = heard ? weightsOf(state._attention, state.picked, modality, level, -1, fresh) : null;
      assert.deepEqual(data.weights(modality, level), weights);
    }
  }
});
