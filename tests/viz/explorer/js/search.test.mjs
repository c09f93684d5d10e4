import assert from "node:assert/strict";
import { test } from "node:test";
import { found } from "../../../../clcrkit/viz/explorer/js/search.js";

const VOICES = ["Ada", "Bo"];
const [voices, marks] = [
  [0, 1, 1, -1],
  [7, 70, 7, 1],
];
const data = {
  ids: ["7", "8", "9", "10"],
  table: {
    columns: [
      { name: "Voice", kind: "category" },
      { name: "mark", kind: "number" },
    ],
  },
  valueOf: (column, row) => (column.kind === "category" ? (VOICES[voices[row]] ?? "unknown") : String(marks[row])),
  // three of the samples are here; "frame" names its tokens by their position
  block: {
    ids: ["7", "9", "10"],
    texts: ["", "s", "i", "e", "row 1", "row 2"],
    lanes: {
      word: { mask: { shape: [3, 3], v: [1, 1, 1, 1, 1, 0, 0, 1, 1] }, text: { v: [1, 2, 3, 3, 1, 0, 0, 3, 1] } },
      frame: { mask: { shape: [3, 2], v: [1, 1, 1, 1, 1, 1] }, text: { v: [4, 5, 4, 5, 4, 5] } },
    },
  },
};

test("ids are found whole, names in part, whatever their case", () => {
  assert.deepEqual(found(data, " 7 "), [0]);
  assert.deepEqual(found(data, "bO"), [1, 2]);
  assert.deepEqual(found(data, "unk"), [3]);
  assert.deepEqual(found(data, "nobody"), []);
  assert.deepEqual(found(data, "  "), []);
});

test("a column can be asked, for a whole value", () => {
  assert.deepEqual(found(data, "mark: 7"), [0, 2]);
  assert.deepEqual(found(data, "MARK:70"), [1]);
  assert.deepEqual(found(data, "voice: ad"), []);
  assert.deepEqual(found(data, "other: 7"), []);
});

test("tokens are read one after the other, without padding, and not where they are only counted", () => {
  assert.deepEqual(found(data, "sie"), [0]);
  assert.deepEqual(found(data, "s i"), [0]);
  assert.deepEqual(found(data, "es"), [2, 3]);
  assert.deepEqual(found(data, "row 1"), []);
});

test("without tokens here, ids and columns are searched", () => {
  assert.deepEqual(found({ ...data, block: null }, "sie"), []);
  assert.deepEqual(found({ ...data, block: null }, "ada"), [0]);
});

test("the kernel names the samples whose tokens are not here", () => {
  const named = { asked: "sie", ids: ["8", "10"] };
  assert.deepEqual(found(data, "Sie ", named), [0, 1, 3]);
  assert.deepEqual(found(data, "es", named), [2, 3]);
  assert.deepEqual(found(data, "mark: 7", { asked: "mark: 7", ids: ["10"] }), [0, 2]);
});

test("a modality that is missing somewhere still only counts its tokens", () => {
  const { word, frame } = data.block.lanes;
  const lanes = { word, frame: { ...frame, mask: { shape: [3, 2], v: [0, 0, 1, 1, 1, 1] } } };
  assert.deepEqual(found({ ...data, block: { ...data.block, lanes } }, "row 2"), []);
});
