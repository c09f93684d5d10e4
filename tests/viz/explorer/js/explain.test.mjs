import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { leftOut } from "../../../../clcrkit/viz/explorer/js/explain.js";

test("what a trace leaves out is said in words", () => {
  assert.equal(leftOut(["allocation"]), "This model has no budget to show.");
  assert.equal(
    leftOut(["allocation", "private", "level_gate"]),
    "This model has no budget, private coordinates or level gates to show.",
  );
});

test("every field that a model may lack has words", () => {
  const source = readFileSync(new URL("../../../../clcrkit/naming.py", import.meta.url), "utf8");
  const lists = [...source.matchAll(/^(?:BY_MODALITY|OF_THE_SAMPLE) = \((.*?)\)/gms)].map((match) => match[1]);
  assert.equal(lists.length, 2);
  const names = [...lists.join().matchAll(/"(\w+)"/g)].map((match) => match[1]);
  assert.ok(names.length > 10);
  const said = leftOut(["allocation", ...names]);
  assert.ok(!said.includes("_") && !said.includes("allocation"), said);
});
