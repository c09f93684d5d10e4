// Samples found by id, by what their columns say, or by the text of a token.
import { h } from "./dom.js";
import { counted } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {Data} from "./data.js" */
/** @import {Column, State} from "./types.js" */

/** @param {string} query */
const normal = (query) => query.trim().toLowerCase();

/**
 * The column that "column: value" asks for, and the value.
 * @param {Data} data
 * @param {string} query
 * @returns {[column: Column | undefined, value: string]}
 */
function columnAsked(data, query) {
  const [name, value] = normal(query)
    .split(/:(.*)/s)
    .map((part) => part.trim());
  if (value === undefined) return [undefined, ""];
  return [data.table.columns.find((c) => c.name.toLowerCase() === name), value];
}

/**
 * The positions of the samples that a text is found in, whatever its case; "column: value" asks one column for the
 * whole value. Texts of tokens are known of the samples whose tokens are here, and of those that the kernel names.
 * @param {Data} data
 * @param {string} query
 * @param {State["_found"]} named by the kernel
 * @returns {number[]}
 */
export function found(data, query, named = {}) {
  const text = normal(query);
  if (!text) return [];
  const rows = data.ids.map((_, row) => row);
  const [column, value] = columnAsked(data, query);
  if (column) return rows.filter((row) => data.valueOf(column, row).toLowerCase() === value);
  const spoken = samplesSaying(data, text);
  for (const id of (named.asked === text && named.ids) || []) spoken.add(id);
  return rows.filter(
    (row) =>
      data.ids[row] === text ||
      data.table.columns.some((c) => c.kind === "category" && data.valueOf(c, row).toLowerCase().includes(text)) ||
      spoken.has(data.ids[row]),
  );
}

/**
 * The ids of the samples whose tokens spell a text, next to each other or with blanks between them. A modality whose
 * tokens are named alike in all samples, by their position, says nothing. In Python: `tokens.spelt`.
 * @param {Data} data
 * @param {string} text
 */
function samplesSaying({ block }, text) {
  /** @type {Set<string>} */
  const ids = new Set();
  for (const lane of Object.values(block?.lanes ?? {})) {
    const [, length] = lane.mask.shape;
    const spelt = (block?.ids ?? []).map((_, row) => {
      const places = Array.from({ length }, (_, t) => row * length + t).filter((at) => lane.mask.v[at]);
      return places.map((at) => block?.texts[lane.text.v[at]].toLowerCase());
    });
    if (new Set(spelt.flatMap((texts) => texts.slice(0, 1))).size < 2) continue;
    spelt.forEach((texts, row) => {
      const says = [texts.join(""), texts.join(" ")].some((line) => line.includes(text));
      if (says) ids.add(block?.ids[row] ?? "");
    });
  }
  return ids;
}

export class Search {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.box = h("input", {
      type: "search",
      class: "clcr-search",
      placeholder: "id, text or column: value",
      "aria-label": "Find samples",
      onchange: () => this.find(),
      // JupyterLab keeps Enter from becoming a change
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Enter") return;
        this.asked = "";
        this.find();
        event.preventDefault();
      },
    });
    this.count = h("output", { class: "clcr-found" });
    this.el = h("label", { class: "clcr-control" }, h("span", { text: "Find" }), this.box, this.count);
    this.asked = "";
    app.on("_found", () => {
      if (app.get("_found").asked === normal(this.asked)) this.select();
    });
  }

  find() {
    const { app } = this;
    const query = this.box.value;
    if (query === this.asked) return;
    this.asked = query;
    this.select();
    const text = normal(query);
    // it alone has the tokens of all samples
    if (app.data.kernel && text && app.get("_found").asked !== text) app.model.send({ find: text });
  }

  /** What is found becomes the selection, through which the arrows step. */
  select() {
    const { data } = this.app;
    const rows = found(data, this.asked, this.app.get("_found"));
    this.app.select(rows);
    const [column] = columnAsked(data, this.asked);
    const part = `; words looked for in ${counted(data.blockRows.size)} of ${counted(data.ids.length)} samples`;
    const within = data.lacking && !column && !data.rowOf.has(normal(this.asked)) ? part : "";
    this.count.textContent = this.asked.trim() ? `${counted(rows.length)} found${within}` : "";
  }
}
