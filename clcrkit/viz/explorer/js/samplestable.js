// Under the views: the selection as a table, how right the answers are in each slice of it, and its CSV file.
import { csvOf } from "./csv.js";
import { button, h, inputValue, note } from "./dom.js";
import { Listing } from "./listing.js";
import { counted, fmt } from "./numbers.js";
import { metricOf, score, slicesOf } from "./slices.js";

/** @import {App} from "./app.js" */
/** @import {Column} from "./types.js" */

const MOST = 30; // slices shown

export class SamplesTable {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    const { columns } = app.data.table;
    /** What the slices drawn are of. @type {[rows: number[], by: Column] | null} */
    this.filled = null;
    this.title = h("span");
    /** @type {number[]} */
    this.rows = [];
    /** @type {string[] | null} */
    this.of = null;
    const options = columns.map((c) => h("option", { value: c.name, text: c.name }));
    this.by = columns[0];
    /** @param {Event} event */
    const onchange = (event) => {
      const name = inputValue(event);
      this.by = columns.find((c) => c.name === name) ?? this.by;
      this.update();
    };
    const slice = h("select", { "aria-label": "Slice by", onchange }, ...options);
    this.slices = h("div", { class: "clcr-listing clcr-slices" });
    this.listing = new Listing(app, "Samples", columns);
    const download = button("download CSV", () => this.download());
    download.setAttribute("aria-label", "download CSV");
    const controls = h(
      "div",
      { class: "clcr-controls" },
      h("label", { class: "clcr-control" }, h("span", { text: "Slice by" }), slice),
      download,
    );
    this.body = h("div", { hidden: true }, controls, this.slices, this.listing.el);
    const head = h("summary", {}, this.title);
    this.el = h("details", { class: "clcr-drawer", ontoggle: () => this.update() }, head, this.body);
  }

  update() {
    const { app } = this;
    const selection = app.get("selection");
    if (this.of !== selection) {
      this.of = selection;
      this.rows = selection.length ? [...app.selected].filter((i) => i >= 0) : app.data.ids.map((_, i) => i);
    }
    const all = counted(app.data.ids.length);
    const some = selection.length ? `the ${counted(this.rows.length)} selected of ${all}` : `all ${all}`;
    this.title.textContent = `Samples as a table: ${some}`;
    this.body.hidden = !this.el.open;
    if (!this.el.open) return;
    this.listing.update(this.rows);
    this.fill();
  }

  /** A line for each slice: how many samples, and how right the answers are. */
  fill() {
    const { app, rows, by } = this;
    const { table } = app.data;
    if (this.filled?.[0] === rows && this.filled[1] === by) return;
    this.filled = [rows, by];
    const errors = ["error", "error b"].flatMap((name) => table.columns.find((c) => c.name === name) ?? []);
    const slices = [{ name: "all of these", rows }, ...slicesOf(by, rows)];
    const metric = metricOf(table);
    const heads = errors.map((_, i) => (errors.length > 1 ? `${metric} ${"ab"[i]}` : metric));
    const lines = slices.slice(0, MOST).map((slice) => {
      /** @param {MouseEvent} event */
      const onclick = (event) => app.select(slice.rows, event.shiftKey);
      const name = h("button", { type: "button", text: slice.name, title: `select ${slice.name}`, onclick });
      const cells = errors.map((error) => h("td", { text: this.says(error, slice.rows) }));
      return h("tr", {}, h("th", { scope: "row" }, name), h("td", { text: counted(slice.rows.length) }), ...cells);
    });
    const titles = [by.name, "samples", ...heads].map((text) => h("th", { scope: "col", text }));
    const focused = this.slices.contains(document.activeElement) ? document.activeElement?.textContent : null;
    this.slices.replaceChildren(
      h("table", { "aria-label": "Slices" }, h("thead", {}, h("tr", {}, ...titles)), h("tbody", {}, ...lines)),
      note(
        [
          errors.length ? "" : "Without labels nothing is right or wrong.",
          table.task === "classification" && errors.length ? "In brackets: Wilson's 95 % interval." : "",
          slices.length > MOST ? `${slices.length - MOST} more slices are not shown.` : "",
        ].join(" "),
      ),
    );
    const again = Array.from(this.slices.querySelectorAll("button")).find((b) => b.textContent === focused);
    if (focused) again?.focus();
  }

  /** @param {Column} error @param {number[]} rows */
  says(error, rows) {
    const { value, ends } = score(this.app.data.table, error, rows);
    return ends ? `${fmt(value)} (${fmt(ends[0])} to ${fmt(ends[1])})` : fmt(value, 3);
  }

  download() {
    const { ids, table } = this.app.data;
    // the mark at the start tells Excel that this is UTF-8
    const text = `\ufeff${csvOf(ids, table.columns, this.rows)}`;
    const href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    h("a", { href, download: "samples.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10_000);
    this.app.say(`${this.rows.length} samples written to samples.csv`);
  }
}
