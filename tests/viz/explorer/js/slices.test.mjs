import assert from "node:assert/strict";
import { test } from "node:test";
import { csvOf } from "../../../../clcrkit/viz/explorer/js/csv.js";
import { differencesOf } from "../../../../clcrkit/viz/explorer/js/differences.js";
import { score, slicesOf, wilson } from "../../../../clcrkit/viz/explorer/js/slices.js";
import { near } from "./near.mjs";

const column = (name, kind, names, v) => ({
  name,
  kind,
  names,
  values: { shape: [v.length], v: Float32Array.from(v) },
});

test("groups keep their order, and samples without a value are a group of their own", () => {
  const voice = column("voice", "category", ["Ada", "Bo"], [1, 0, -1, 1]);
  assert.deepEqual(slicesOf(voice, [0, 1, 2, 3]), [
    { name: "unknown", rows: [2] },
    { name: "Ada", rows: [1] },
    { name: "Bo", rows: [0, 3] },
  ]);
  assert.deepEqual(slicesOf(voice, [0, 3]), [{ name: "Bo", rows: [0, 3] }]);
});

test("numbers are cut into quarters, each sample in one of them", () => {
  const values = [5, 1, 2, 3, 4, 6, 7, 8];
  const slices = slicesOf(column("pitch", "number", [], values), [0, 1, 2, 3, 4, 5, 6, 7]);
  assert.equal(slices.length, 4);
  assert.deepEqual(slices.flatMap((s) => s.rows).sort(), [0, 1, 2, 3, 4, 5, 6, 7]);
  for (const { rows } of slices) assert.equal(rows.length, 2);
  const same = slicesOf(column("pitch", "number", [], [3, 3, 3]), [0, 1, 2]);
  assert.deepEqual(
    same.map((s) => s.rows),
    [[0, 1, 2]],
  );
});

test("accuracy, with Wilson's interval as R's prop.test(correct = FALSE) has it", () => {
  const table = { task: "classification", outputs: ["a", "b"] };
  const { value, ends } = score(table, column("error", "category", ["right", "wrong"], [0, 0, 1, 0]), [0, 1, 2]);
  near([value], [2 / 3], 1e-12);
  assert.deepEqual(ends, wilson(2, 3));
  near(wilson(8, 10), [0.4901625, 0.9433178], 1e-6);
  near(wilson(0, 5), [0, 0.4344825], 1e-6);
  const errors = column("error", "number", [], [0.5, 1.5, 9]);
  assert.deepEqual(score({ task: "regression", outputs: ["value"] }, errors, [0, 1]), { value: 1 });
  const wrong = column("error", "category", ["0 wrong", "1 wrong", "2 wrong"], [0, 2]);
  assert.deepEqual(score({ task: "multilabel", outputs: ["x", "y"] }, wrong, [0, 1]), { value: 0.5 });
});

test("commas, quotes and line ends stay within their cell", () => {
  const columns = [
    column("a, b", "category", ['say "hi"', "two\nlines"], [0, 1, -1]),
    column("time", "number", [], [0.1, 2, 16777216]),
    { ...column("id2", "number", ["9223372036854775807", "2", "3"], [0, 0, 0]) },
  ];
  assert.equal(
    csvOf(["7", "8", "9"], columns, [0, 1, 2]),
    'id,"a, b",time,id2\r\n7,"say ""hi""",0.1,9223372036854775807\r\n8,"two\nlines",2,2\r\n9,,16777216,3\r\n',
  );
});

test("differences are b minus a, without the samples that lack the modality", () => {
  const values = (shape, v) => ({ shape, v: Float32Array.from(v) });
  const table = {
    ids: ["1", "2", "3"],
    levels: ["deep"],
    modalities: ["see", "hear"],
    present: { see: values([3], [1, 1, 1]), hear: values([3], [1, 0, 1]) },
    level_gate: values([3, 1], [1, 1, 1]),
    modality_gate: values([3, 2], [0.5, 0.5, 1, 0, 0.25, 0.75]),
    private_gate: values([3, 2], [0, 0, 0, 0, 0, 0]),
    participation: { see: values([3, 1], [0.25, 0.5, 0.5]), hear: values([3, 1], [0, 0, 0]) },
  };
  const compared = {
    modality_gate: values([3, 2], [0.25, 0.75, 1, 0, 0.5, 0.5]),
    participation: { see: values([3, 1], [0.5, 0.5, 0.25]) },
  };
  const found = differencesOf(table, compared);
  assert.deepEqual(
    found.map((d) => `${d.group}/${d.name}`),
    ["modality gate/see", "modality gate/hear", "participation r, see/deep"],
  );
  near(found[0].values, [-0.25, 0, 0.25], 1e-6);
  assert.equal(found[1].values[0], 0.25);
  assert.ok(Number.isNaN(found[1].values[1]));
  near([found[1].mean, found[2].mean], [0, 0], 1e-6);
});
