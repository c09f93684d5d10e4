import assert from "node:assert/strict";
import { test } from "node:test";
import { answerOf, readings } from "../../../../clcrkit/viz/explorer/js/answers.js";

const values = (shape, v) => ({ shape, v: Float32Array.from(v) });
const table = {
  gamma: 1,
  prediction: values([2, 2], [1, 2, 3, 4]),
  level_gate: values([2, 1], [1, 1]),
  modality_gate: values([2, 2], [0.5, 0.5, 0.25, 0.75]),
  private_gate: values([2, 2], [0.1, 0.2, 0.3, 0.4]),
};
const answer = {
  ids: ["8"],
  gammas: [0.5, 1],
  prediction: values([1, 2, 2], [5, 6, 3, 4]),
  level_gate: values([1, 2, 1], [1, 1]),
  modality_gate: values([1, 2, 2], [0.5, 0.5, 0.25, 0.75]),
  private_gate: values([1, 2, 2], [0, 1, 0.25, 0.5]),
};
const page = { row: 1, sample: "8", gamma: 1, muted: [], waits: false };
const widget = { ...page, waits: true };

test("without an answer all is as traced, and said to be", () => {
  const now = answerOf(table, null, page);
  assert.deepEqual([...now.prediction], [3, 4]);
  assert.deepEqual([...now.modality_gate], [0.25, 0.75]);
  assert.equal(now.note, "at γ = 1.00");
  assert.match(answerOf(table, null, { ...page, gamma: 0.5 }).note, /^as traced at γ = 1.00; without a model/);
  assert.match(answerOf(table, answer, { ...page, row: 0, sample: "7", gamma: 0.5 }).note, /not in the page$/);
  assert.equal(answerOf(table, null, widget).note, "waiting for the model…");
});

test("the answer at this gamma, else the nearest one", () => {
  const now = answerOf(table, answer, { ...page, gamma: 0.5 });
  assert.deepEqual([...now.prediction], [5, 6]);
  assert.deepEqual([...now.traced], [3, 4]);
  assert.deepEqual([...now.private_gate], [0, 1]);
  assert.equal(now.note, "at γ = 0.50");
  assert.equal(answerOf(table, answer, { ...page, gamma: 0.6 }).note, "at γ = 0.50, the nearest kept");
});

test("a live answer counts for the tokens that it was muted with", () => {
  const muted = [["see", 1, 2]];
  assert.equal(answerOf(table, { ...answer, muted }, { ...widget, muted }).note, "at γ = 1.00, 1 muted");
  assert.equal(answerOf(table, { ...answer, muted: [] }, { ...widget, muted }).note, "waiting for the model…");
});

test("outputs are read as the task has them", () => {
  assert.deepEqual(readings([1.5], "regression"), [1.5]);
  assert.deepEqual(readings([0, 0], "multilabel"), [0.5, 0.5]);
  assert.deepEqual(readings([7, 7, 7, 7], "classification"), [0.25, 0.25, 0.25, 0.25]);
});
