// The samples that lie nearest to the picked one in the plane that is drawn.
import { line, pen } from "./canvas.js";
import { button, h, note } from "./dom.js";
import { fmt } from "./numbers.js";

/** @import {Subspaces} from "./subspaces.js" */
/** @import {Numbers, Place} from "./types.js" */

/** A sample and how far it is. @typedef {{row: number, distance: number}} Neighbour */

const COUNT = 8;

/**
 * The nearest samples, nearest first, of equal ones the earlier; NaN is nowhere.
 * @param {ArrayLike<number>} values pairs, one for each sample
 * @param {number} start of the pairs
 * @param {Place} from
 * @param {number} samples
 * @param {(row: number) => boolean} counts is it one of those to look at?
 * @param {number} [count]
 * @returns {Neighbour[]}
 */
export function nearestRows(values, start, [x, y], samples, counts, count = COUNT) {
  /** @type {Neighbour[]} */
  const found = [];
  for (let row = 0; row < samples; row++) {
    const distance = Math.hypot(values[start + 2 * row] - x, values[start + 2 * row + 1] - y);
    const full = found.length === count;
    if (!(distance < (full ? found[count - 1].distance : Number.POSITIVE_INFINITY)) || !counts(row)) continue;
    if (full) found.pop();
    let at = found.length;
    while (at && found[at - 1].distance > distance) at--;
    found.splice(at, 0, { row, distance });
  }
  return found;
}

export class Neighbours {
  /** @param {Subspaces} subspaces */
  constructor(subspaces) {
    this.subspaces = subspaces;
    this.app = subspaces.app;
    this.key = "";
    /** @type {Neighbour[]} */
    this.found = [];
    this.list = h("ol");
    this.all = button("select these", () => this.app.select([this.app.data.row, ...this.found.map((f) => f.row)]));
    this.all.setAttribute("aria-label", "select these nearest samples");
    this.about = note("");
    const ontoggle = () => this.app.refresh();
    const head = h("summary", { text: "Nearest samples" });
    this.body = h("div", { hidden: true }, this.list, this.all, this.about);
    this.el = h("details", { class: "clcr-neighbours", ontoggle }, head, this.body);
  }

  /** The points of the chosen modality as they are drawn. @returns {{values: Numbers, start: number, width: number}} */
  drawn() {
    const { app, other } = this.subspaces;
    const places = app.data.placesOf(app.get("modality"), app.get("epoch"), other);
    return places ?? { values: new Float32Array(), start: 0, width: 1 };
  }

  update() {
    const { app, subspaces } = this;
    const { data } = app;
    this.body.hidden = !this.el.open;
    if (!this.el.open) return;
    const modality = app.get("modality");
    const key = [subspaces.key(), modality, data.picked].join("|");
    if (key === this.key) return;
    this.key = key;
    const { values, start } = this.drawn();
    const { present } = data.table;
    /** @param {number} row */
    const isThere = (row) => subspaces.isCode || Boolean(present[modality].v[row]);
    const from = /** @type {Place} */ ([values[start + 2 * data.row], values[start + 2 * data.row + 1]]);
    const others = (/** @type {number} */ row) => row !== data.row && isThere(row);
    this.found = isThere(data.row) ? nearestRows(values, start, from, data.ids.length, others) : [];
    this.all.hidden = !this.found.length;
    const of = subspaces.isCode ? "" : `, of ${modality}`;
    this.about.textContent = this.found.length
      ? `Distances in the plane drawn${of}; what the projection leaves out may tell them apart.`
      : `id ${data.picked} has no ${modality}.`;
    this.list.replaceChildren(...this.found.map((each) => this.item(each)));
  }

  /** @param {Neighbour} neighbour */
  item({ row, distance }) {
    const { data } = this.app;
    const id = data.ids[row];
    const pick = button(`id ${id}`, () => this.app.show(id));
    pick.setAttribute("aria-label", `pick id ${id}`);
    const label = data.fact("label", row);
    return h("li", {}, pick, h("span", { text: label ?? "", title: label && `label ${label}` }), fmt(distance));
  }

  /** A line to each, while the list is open. @param {CanvasRenderingContext2D} ctx */
  draw(ctx) {
    if (!this.el.open || !this.found.length) return;
    const { subspaces } = this;
    const { values, start, width } = this.drawn();
    /** @param {number} row */
    const seen = (row) => subspaces.toCanvas([values[start + 2 * row] / width, values[start + 2 * row + 1] / width]);
    pen(ctx, this.app.theme.ink(0.7), 1);
    const from = seen(this.app.data.row);
    for (const { row } of this.found) line(ctx, [from, seen(row)]);
  }
}
