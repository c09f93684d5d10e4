// How each sample is drawn, by the column that colours it; its legend.
import { h, note } from "./dom.js";
import { clamp, fmt, quantile } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {Column, Group, Look, Shape} from "./types.js" */

/** @type {Shape[]} */
export const SHAPES = ["circle", "square", "triangle", "diamond", "plus"];

export class Colouring {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** @type {Map<Column, number[]>} */
    this.reaches = new Map();
    /** The column found last: it is asked for once a point. @type {Column | undefined} */
    this.found = undefined;
  }

  /** The column that colours; undefined for "modality". */
  get column() {
    const name = this.app.get("color");
    if (this.found?.name !== name) this.found = this.app.data.table.columns.find((c) => c.name === name);
    return this.found;
  }

  /** A sample's look. @param {number} row @returns {Look} */
  of(row) {
    const { theme, data } = this.app;
    const column = this.column;
    if (!column) {
      const index = data.table.modalities.indexOf(this.app.get("modality"));
      return { color: theme.modality(index), shape: "circle" };
    }
    const value = column.values.v[row];
    if (column.kind === "category") return this.category(column, value);
    const [low, high] = this.reach(column);
    const part = Math.round(31 * clamp((value - low) / (high - low || 1), 0, 1)) / 31;
    return { color: theme.ramp(0.05 + 0.9 * part), shape: "circle" };
  }

  /** @param {Column} column @param {number} value @returns {Look} */
  category(column, value) {
    const { theme } = this.app;
    const { categories, right } = theme.shades;
    if (value < 0) return { color: theme.ink(0.35), shape: "circle" };
    const isError = column.name === "error" || column.name === "error b";
    if (isError && value === 0) return { color: right, shape: "circle" };
    if (isError) return { color: categories[4], shape: SHAPES[(value + 1) % SHAPES.length] };
    return { color: categories[value % categories.length], shape: SHAPES[value % SHAPES.length] };
  }

  /** The range of a column of numbers, but for the outermost hundredths. @param {Column} column */
  reach(column) {
    const cached = this.reaches.get(column);
    if (cached) return cached;
    const sorted = Array.from(column.values.v)
      .filter(Number.isFinite)
      .sort((a, b) => a - b);
    const reach = [quantile(sorted, 0.01), quantile(sorted, 0.99)];
    this.reaches.set(column, reach);
    return reach;
  }

  /** @returns {Group[]} */
  groups() {
    const column = this.column;
    const { data, theme } = this.app;
    if (column?.kind !== "category") {
      const look = { color: theme.ink(0.6), shape: /** @type {Shape} */ ("circle") };
      return [{ name: "all samples", rows: data.ids.map((_, i) => i), look }];
    }
    /** @type {number[][]} */
    const rows = column.names.map(() => []);
    Array.from(column.values.v).forEach((v, i) => {
      if (v >= 0) rows[v].push(i);
    });
    return column.names
      .map((name, v) => ({ name, rows: rows[v], look: this.category(column, v) }))
      .filter((group) => group.rows.length);
  }

  /** @param {HTMLElement} parent */
  fillLegend(parent) {
    const { app } = this;
    const key = [app.get("color"), app.theme.name, app.get("space"), app.get("modality")].join("|");
    if (parent.dataset.key === key) return;
    parent.dataset.key = key;
    parent.replaceChildren(h("span", { class: "clcr-legend-title", text: app.get("color") }));
    const column = this.column;
    if (!column) this.fillModalities(parent);
    else if (column.kind === "number") this.fillRamp(parent, column);
    else for (const group of this.groups()) parent.append(this.item(group.look, group.name, group.rows));
  }

  /** @param {Look} look @param {string} label @param {number[]} [rows] */
  item(look, label, rows) {
    const icon = this.app.theme.sprite(look, 5, 2);
    const picture = h("img", { alt: "", src: icon.toDataURL(), width: icon.width / 2, height: icon.height / 2 });
    const text = h("span", { text: label });
    if (!rows) return h("span", {}, picture, text);
    const title = `select all ${rows.length} of ${label}`;
    /** @param {MouseEvent} event */
    const onclick = (event) => this.app.select(rows, event.shiftKey);
    return h("button", { type: "button", title, onclick }, picture, text);
  }

  /** @param {HTMLElement} parent */
  fillModalities(parent) {
    const { app } = this;
    const { modalities } = app.data.table;
    const shared = app.get("space") === "shared";
    for (const m of shared ? modalities : [app.get("modality")]) {
      const i = modalities.indexOf(m);
      parent.append(
        this.item({ color: app.theme.modality(i), shape: shared ? SHAPES[i % SHAPES.length] : "circle" }, m),
      );
    }
    if (!shared) {
      parent.append(note("all modalities together: only in the shared space, which they have in common"));
    }
  }

  /** @param {HTMLElement} parent @param {Column} column */
  fillRamp(parent, column) {
    const [low, high] = this.reach(column);
    const stops = [0.05, 0.25, 0.5, 0.75, 0.95].map((t) => this.app.theme.ramp(t));
    parent.append(
      h("div", { class: "clcr-rampbar", style: `background:linear-gradient(90deg,${stops.join(",")})` }),
      h("div", { class: "clcr-rampends" }, h("span", { text: fmt(low) }), h("span", { text: fmt(high) })),
    );
  }
}
