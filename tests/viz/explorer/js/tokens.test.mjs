import assert from "node:assert/strict";
import { test } from "node:test";
import { cutOf, gainOf, shareOf, strongest, tokensOf, weightsOf } from "../../../../clcrkit/viz/explorer/js/tokens.js";
import { near } from "./near.mjs";

const values = (shape, v) => ({ shape, v: Float32Array.from(v) });

// two samples, two levels; "see" has three tokens of which sample 1 has no second, "hear" has two, sample 0 none
const block = {
  ids: ["10", "11"],
  texts: ["", "a", "b", "c"],
  threshold: values([2, 2], [0.1, 0.2, 0.3, 0.4]),
  lanes: {
    see: {
      mask: values([2, 3], [1, 1, 1, 1, 0, 1]),
      evidence: values([2, 2, 3], [0, 1, 2, 3, 4, 5, 6, 0, 8, 9, 0, 11]),
      activation: values([2, 2, 3], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0, 0.9, 0.8, 0, 0.6]),
      budget: values([2, 2], [1, 2, 0.5, 0.25]),
      text: values([2, 3], [1, 2, 3, 3, 0, 1]),
      features: values([2, 3, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    },
    hear: {
      mask: values([2, 2], [0, 0, 1, 1]),
      evidence: values([2, 2, 2], [0, 0, 0, 0, 1, 2, 3, 4]),
      activation: values([2, 2, 2], [0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4]),
      budget: values([2, 2], [0, 0, 1, 1]),
      text: values([2, 2], [0, 0, 1, 2]),
      truth: values([2, 2, 2], [0, 0, 0, 0, 1, 0, 0, 1]),
    },
  },
};

test("a lane holds the real tokens of its sample and level, and no others", () => {
  const tokens = tokensOf(block, 1, "see", 1, []);
  assert.deepEqual(tokens.positions, [0, 2]);
  assert.deepEqual(tokens.evidence, [9, 11]);
  near(tokens.activation, [0.8, 0.6]);
  assert.deepEqual(tokens.text, ["c", "a"]);
  assert.deepEqual([...tokens.features], [6, 7, 10, 11]);
  assert.equal(tokens.truth, null);
  near([tokens.threshold, tokens.budget], [0.4, 0.25]);
  assert.deepEqual(tokensOf(block, 1, "hear", 1, []).truth, [0, 1]);
});

test("a missing modality or sample has no lane", () => {
  assert.equal(tokensOf(block, 0, "hear", 0, []), null);
  assert.equal(tokensOf(block, -1, "see", 0, []), null);
  assert.equal(tokensOf(block, 0, "smell", 0, []), null);
  assert.equal(tokensOf({ ...block, threshold: undefined }, 0, "see", 0, []).threshold, null);
});

test("muting silences that token of that level only", () => {
  const mutes = [
    ["see", 1, 2],
    ["see", 0, 0],
    ["hear", 1, 0],
  ];
  near(tokensOf(block, 1, "see", 1, mutes).activation, [0.8, 0]);
  assert.deepEqual(tokensOf(block, 1, "see", 1, mutes).muted, [false, true]);
  near(tokensOf(block, 1, "hear", 1, mutes).activation, [0, 0.4]);
});

test("gamma turns the budget, and dense exchange knows none", () => {
  const tokens = tokensOf(block, 0, "see", 1, []);
  const half = shareOf(tokens, 0.5, true);
  assert.equal(half.budget, 1);
  near([half.allocation.reduce((a, b) => a + b)], [1]);
  near(shareOf(tokens, 1, true).allocation, tokens.activation);
  assert.equal(shareOf(tokens, 0, true).allocation.filter((share) => share > 1e-9).length, 0);
  assert.deepEqual(shareOf(tokens, 0, false), { budget: 2, cutoff: 0, allocation: tokens.activation });
});

test("what another trace gives more: at the same gamma, with the same tokens muted", () => {
  const other = values([2, 2, 3], [0, 0, 0, 0.9, 0.2, 0.1, 0, 0, 0, 0, 0, 0]);
  const see = { ...block.lanes.see, other, other_budget: values([2, 2], [0, 0.3, 0, 0]) };
  const tokens = tokensOf({ ...block, lanes: { see } }, 0, "see", 1, [["see", 1, 0]]);
  // a: 0.5 and 0.6 of a budget of 1; b: 0.2 and 0.1 of one of 0.15
  near(gainOf(tokens, shareOf(tokens, 0.5, true), 0.5, true), [0, 0.125 - 0.45, 0.025 - 0.55]);
  near(gainOf(tokens, shareOf(tokens, 0.5, true), 0.5, false), [0, 0.2 - 0.45, 0.1 - 0.55]);
  assert.equal(gainOf({ ...tokens, other: null }, shareOf(tokens, 0.5, true), 0.5, true), null);
});

test("above the cut tokens have a share, below it none", () => {
  // activation = scale (evidence - threshold)
  const tokens = { ...tokensOf(block, 0, "see", 1, []), evidence: [1, 1.5, 2], threshold: 0.5, scale: 4 };
  tokens.activation = tokens.evidence.map((e) => 4 * (e - 0.5));
  for (const gamma of [0.1, 0.4, 1]) {
    const { cutoff, allocation } = shareOf(tokens, gamma, true);
    tokens.evidence.forEach((e, i) => {
      assert.equal(allocation[i] > 1e-9, e > cutOf(tokens, cutoff) + 1e-9);
    });
  }
  assert.equal(cutOf({ ...tokens, threshold: null }, 0), null);
});

// sample 11, level 1: two heads, three listening tokens of "see" (the second is padding), two tokens of "hear"
const attention = {
  ids: ["11"],
  pool: 1,
  levels: [1],
  head: null,
  asked: ["see"],
  of: {
    see: {
      others: [["hear", 2]],
      top: values([1, 1, 2, 3], [1, 0, 0.5, 0.8, 0, 1]),
      weights: values([1, 1, 2, 3, 2], [255, 0, 9, 9, 255, 255, 51, 255, 9, 9, 0, 255]),
    },
  },
};
const tokensAt = (modality) => tokensOf(block, 1, modality, 1, []);

test("attention of one head, and the mean of all", () => {
  const first = weightsOf(attention, "11", "see", 1, 0, tokensAt);
  near(first.weights, [1, 0, 0.5, 0.5]);
  near(weightsOf(attention, "11", "see", 1, 1, tokensAt).weights, [0.16, 0.8, 0, 1]);
  near(weightsOf(attention, "11", "see", 1, -1, tokensAt).weights, [0.58, 0.4, 0.25, 0.75]);
  assert.deepEqual(
    first.speakers.map((s) => [s.modality, s.position, s.text]),
    [
      ["hear", 0, "a"],
      ["hear", 1, "b"],
    ],
  );
});

test("attention of which one head was sent, or the mean, and no other", () => {
  const { others } = attention.of.see;
  const sent = (head) => {
    const see = {
      others,
      top: values([1, 1, 1, 3], [1, 0.5, 0]),
      weights: values([1, 1, 1, 3, 2], [255, 0, 0, 51, 9, 9]),
    };
    return { ...attention, head, of: { see } };
  };
  for (const head of [-1, 1]) {
    for (const asked of [-1, 0, 1]) {
      const found = weightsOf(sent(head), "11", "see", 1, asked, tokensAt);
      if (asked === head) near(found.weights, [1, 0, 0, 0]);
      else assert.equal(found, null);
    }
  }
});

test("tokens of one block share its mean", () => {
  const of = {
    see: {
      others: [["hear", 1]],
      top: values([1, 1, 2, 2], [0.5, 0.25, 1, 1]),
      weights: values([1, 1, 2, 2, 1], [255, 255, 51, 102]),
    },
  };
  const blocks = { ...attention, pool: 2, of };
  near(weightsOf(blocks, "11", "see", 1, 0, tokensAt).weights, [0.5, 0.5, 0.25, 0.25]);
  near(weightsOf(blocks, "11", "see", 1, 1, tokensAt).weights, [0.2, 0.2, 0.4, 0.4]);
});

test("no attention where nobody listens, speaks or was sent", () => {
  assert.equal(weightsOf(attention, "11", "hear", 1, 0, tokensAt), null);
  assert.equal(weightsOf(attention, "11", "see", 0, 0, tokensAt), null);
  assert.equal(
    weightsOf(attention, "11", "see", 1, 0, (m) => (m === "see" ? tokensAt(m) : null)),
    null,
  );
});

test("the strongest links, and what they carry", () => {
  const weights = Float32Array.of(0, 0.5, 0.25, 0, 0.125, 0.125);
  assert.deepEqual(strongest(weights, 10), { links: [1, 2, 4, 5], all: 4, peak: 0.5, part: 1 });
  assert.deepEqual(strongest(weights, 2), { links: [1, 2], all: 4, peak: 0.5, part: 0.75 });
  assert.equal(strongest(weights, 3).links.length, 3); // of equal ones as many as there is room for
  assert.deepEqual(strongest(new Float32Array(4), 2), { links: [], all: 0, peak: 0, part: 0 });
});
