// Some samples as a table of a few lines, with the next ones behind a button.
import { button, h } from "./dom.js";
import { clamp, counted } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {Column} from "./types.js" */

const LINES = 10;
const NARROW = 4; // columns beside the id on a narrow page; the others need room

export class Listing {
  /** @param {App} app @param {string} label @param {Column[]} columns */
  constructor(app, label, columns) {
    this.app = app;
    this.columns = columns;
    /** @type {number[]} */
    this.rows = [];
    this.from = 0;
    this.key = "";
    this.body = h("tbody");
    const heads = ["id", ...columns.map((c) => c.name)].map((text, i) =>
      h("th", { scope: "col", title: text, text, class: i > NARROW ? "clcr-roomy" : null }),
    );
    this.range = h("span");
    this.back = button("‹", () => this.turn(-LINES));
    this.on = button("›", () => this.turn(LINES));
    this.back.setAttribute("aria-label", `${label}: earlier lines`);
    this.on.setAttribute("aria-label", `${label}: further lines`);
    this.pages = h("div", { class: "clcr-row clcr-pages" }, this.back, this.range, this.on);
    this.el = h(
      "div",
      { class: "clcr-listing" },
      h("table", { "aria-label": label }, h("thead", {}, h("tr", {}, ...heads)), this.body),
      this.pages,
    );
  }

  /** @param {number} by */
  turn(by) {
    this.from = clamp(this.from + by, 0, Math.max(0, this.rows.length - 1));
    this.from -= this.from % LINES;
    this.update(this.rows);
  }

  /** @param {number[]} rows of the samples, in the order of the table */
  update(rows) {
    const { app } = this;
    if (rows !== this.rows) this.from = 0;
    this.rows = rows;
    const picked = app.data.row;
    const key = `${this.from} ${picked} ${rows.length} ${rows[0]} ${rows.at(-1)}`;
    this.pages.hidden = rows.length <= LINES;
    if (key === this.key) return;
    this.key = key;
    const shown = rows.slice(this.from, this.from + LINES);
    this.range.textContent = `${this.from + 1} to ${this.from + shown.length} of ${counted(rows.length)}`;
    this.back.disabled = this.from === 0;
    this.on.disabled = this.from + LINES >= rows.length;
    const focused = this.body.contains(document.activeElement) ? document.activeElement?.textContent : null;
    this.body.replaceChildren(...shown.map((row) => this.line(row, row === picked)));
    // the line was written anew under the hand that chose it
    if (focused)
      this.buttons()
        .find((b) => b.textContent === focused)
        ?.focus();
  }

  buttons() {
    return Array.from(this.body.querySelectorAll("button"));
  }

  /** @param {number} row @param {boolean} isPicked */
  line(row, isPicked) {
    const { app } = this;
    const id = button(app.data.ids[row], () => app.show(app.data.ids[row]));
    id.setAttribute("aria-label", `pick id ${app.data.ids[row]}`);
    const cells = this.columns.map((c, i) => {
      const whole = c.kind === "number" && Number.isInteger(c.values.v[row]) && !c.names.length;
      const text = whole ? String(c.values.v[row]) : app.data.valueOf(c, row);
      return h("td", { title: text, text, class: i >= NARROW ? "clcr-roomy" : null });
    });
    return h("tr", { "aria-current": isPicked ? "true" : null }, h("th", { scope: "row" }, id), ...cells);
  }
}
