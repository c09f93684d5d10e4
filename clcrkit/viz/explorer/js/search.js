// Samples found by id, by what their columns say, or by the text of a token.
import { h } from "./dom.js";
import { counted } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {Data} from "./data.js" */

/**
 * The positions of the samples that a text is found in, whatever its case; "column: value" asks one column for the
 * whole value. Texts of tokens are known of the samples whose tokens are here.
 * @param {Data} data
 * @param {string} query
 * @returns {number[]}
 */
export function found(data, query) {
  const text = query.trim().toLowerCase();
  if (!text) return [];
  const rows = data.ids.map((_, row) => row);
  const { columns } = data.table;
  const [name, value] = text.split(/:(.*)/s).map((part) => part.trim());
  const column = value === undefined ? undefined : columns.find((c) => c.name.toLowerCase() === name);
  if (column) return rows.filter((row) => data.valueOf(column, row).toLowerCase() === value);
  const spoken = samplesSaying(data, text);
  return rows.filter(
    (row) =>
      data.ids[row] === text ||
      columns.some((c) => c.kind === "category" && data.valueOf(c, row).toLowerCase().includes(text)) ||
      spoken.has(data.ids[row]),
  );
}

/**
 * The ids of the samples whose tokens spell a text, next to each other or with blanks between them. A modality whose
 * tokens are named alike in all samples, by their position, says nothing.
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
    if (new Set(spelt.map((texts) => texts[0])).size < 2) continue;
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
  }

  /** What is found becomes the selection, through which the arrows step. */
  find() {
    const query = this.box.value;
    if (query === this.asked) return;
    this.asked = query;
    const rows = found(this.app.data, query);
    this.app.select(rows);
    this.count.textContent = query.trim() ? `${counted(rows.length)} found` : "";
  }
}
