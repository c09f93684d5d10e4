import assert from "node:assert/strict";
import { test } from "node:test";
import { asked, believed, mostHeard, only } from "../../../../clcrkit/viz/explorer/js/verdict.js";

const names = (questions) => questions.map(({ name }) => name);

test("what is asked depends on what is there", () => {
  assert.deepEqual(names(asked(["see"])), ["all together"]);
  assert.deepEqual(names(asked(["see", "hear"])), ["all together", "see alone", "hear alone"]);
  const [all, , , , without] = asked(["see", "hear", "read"]);
  assert.deepEqual(all.on, ["see", "hear", "read"]);
  assert.deepEqual(without, { name: "without see", on: ["hear", "read"] });
});

test("a modality that is not asked has no real token, and the others keep theirs", () => {
  const sample = { see: { mask: Uint8Array.of(1, 1) }, hear: { mask: Uint8Array.of(1) } };
  const one = only(sample, ["hear"]);
  assert.deepEqual([...one.see.mask], [0, 0]);
  assert.equal(one.hear, sample.hear);
});

test("whom it believes, in words", () => {
  const said = new Map([
    ["all together", "3"],
    ["see alone", "3"],
    ["hear alone", "8"],
    ["read alone", "7"],
    ["without see", "7"],
    ["without hear", "3"],
    ["without read", "3"],
  ]);
  const told = believed(["see", "hear", "read"], said);
  assert.equal(
    told,
    "Alone they say: see 3, hear 8, read 7. Together: 3. It believes see. Without see it would say 7.",
  );
  said.set("see alone", "8");
  assert.match(believed(["see", "hear", "read"], said), /None of them says so alone/);
  assert.equal(believed(["see"], new Map()), "Only see is on.");
  assert.equal(believed([], new Map()), "Every modality is switched off.");
});

test("the token that is heard most, with the allocation of those who listen", () => {
  const values = (shape, v) => ({ shape, v: Float32Array.from(v) });
  const outputs = {
    "allocation/see": values([1, 1, 2], [1, 0]),
    "allocation/hear": values([1, 1, 3], [0.5, 0, 0]),
    // (sample, level, head, listening, speaking); the second token of see listens to the last of hear, unfunded
    "attention/see": values([1, 1, 1, 2, 3], [0.1, 0.7, 0.2, 0, 0, 1]),
    "attention/hear": values([1, 1, 1, 3, 2], [0.6, 0.4, 0, 1, 0, 1]),
  };
  const heard = mostHeard(outputs, ["see", "hear"], 0);
  assert.equal(heard.modality, "hear");
  assert.equal(heard.token, 1);
  assert.equal(heard.listener, "see");
  for (const m of ["see", "hear"]) outputs[`allocation/${m}`].v.fill(0);
  assert.equal(mostHeard(outputs, ["see", "hear"], 0), null);
});
