import assert from "node:assert/strict";
import { test } from "node:test";
import { readAddress, writeAddress } from "../../../../clcrkit/viz/explorer/js/address.js";

const data = {
  rowOf: new Map([["7", 0], ["a&b=c#d", 1]]), // biome-ignore format: one line each is enough
  points: { "pca/shared": {}, "umap/shared": {} },
  driver: "precomputed",
  answers: { gammas: [0.25, 0.5, 1, 2] },
  table: {
    levels: ["shallow", "deep"],
    heads: 2,
    epochs: 3,
    modalities: ["vision", "language"],
    spaces: ["shared", "private_code"],
    columns: [{ name: "label" }, { name: "a&b" }],
  },
};
const start = {
  picked: "7",
  level: 1,
  head: 0,
  epoch: 2,
  modality: "vision",
  space: "shared",
  color: "label",
  projection: "pca",
  gamma: 1,
};
const before = new Map(Object.entries(start));

test("what is written is read again, whatever it is called", () => {
  const shown = {
    ...start,
    picked: "a&b=c#d",
    level: 0,
    space: "private_code",
    color: "a&b",
    projection: "umap",
    gamma: 0.5,
  };
  const hash = writeAddress((name) => shown[name], before, [2, 0.25, 0.75]);
  const { state, view, unknown } = readAddress(`#${hash}`, data);
  assert.deepEqual({ ...start, ...state }, shown);
  assert.deepEqual(view, [2, 0.25, 0.75]);
  assert.deepEqual(unknown, []);
  assert.equal(
    writeAddress((name) => start[name], before, [1, 0.5, 0.5]),
    "",
  );
});

test("what this page has not is named and left out, and no text of a stranger's comes through", () => {
  const bad = {
    picked: ["8", "<img src=x>", ""],
    level: ["2", "-1", "1e0", "0x1", "1.5", "", "99999999999"],
    head: ["2", "NaN"],
    epoch: ["3"],
    modality: ["smell", "__proto__", "constructor"],
    space: ["private"],
    color: ["red"],
    projection: ["tsne"],
    gamma: ["-1", "Infinity", "1e9", "abc", "", "101"],
    view: ["1,2", "1,2,x", "1,-2,3", "Infinity,0,0", ""],
  };
  for (const [name, texts] of Object.entries(bad)) {
    for (const text of texts) {
      const found = readAddress(
        `#${new URLSearchParams({ [name]: text, level: name === "level" ? text : "0" })}`,
        data,
      );
      assert.deepEqual(found.unknown, [name], `${name}=${text}`);
      assert.deepEqual(found.state, name === "level" ? {} : { level: 0 });
    }
  }
  assert.deepEqual(readAddress("#toString=1&__proto__=2", data), { state: {}, view: null, unknown: [] });
});

test("of a page's gammas the nearest is shown; a live page takes any", () => {
  assert.equal(readAddress("#gamma=0.6", data).state.gamma, 0.5);
  assert.equal(readAddress("#gamma=0.6", { ...data, driver: "onnx" }).state.gamma, 0.6);
});
