// What a linear probe reads from the space shown.
import { term } from "./controls.js";
import { h, note } from "./dom.js";
import { clamp, fmt } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {ProbeRow} from "./types.js" */

const PATIENCE = 700; // milliseconds that a space must stay before the kernel is asked to measure it

export class Probes {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.el = h("div", { class: "clcr-probes" });
    this.key = "";
    this.waited = false;
    /** @type {ProbeRow[] | undefined} */
    this.rows = undefined;
    this.asking = 0;
    app.cleanups.push(() => clearTimeout(this.asking));
  }

  /** @param {boolean} waiting is the projection still on its way? */
  update(waiting) {
    const { app } = this;
    const key = app.data.spaceKey(app.get("modality"));
    const rows = app.get("_probes")?.[key];
    if (this.key === key && this.rows === rows && this.waited === waiting) return;
    Object.assign(this, { key, rows, waited: waiting });
    clearTimeout(this.asking);
    this.el.replaceChildren(term(app, "probe", "Read by a linear probe"));
    if (rows) this.fill(rows);
    else this.el.append(note(app.data.kernel ? "measuring…" : "not measured for this page"));
    if (!rows && app.data.kernel && !waiting) {
      this.asking = setTimeout(() => {
        app.model.send({ probe: [app.get("space"), app.get("level"), app.get("modality")] });
      }, PATIENCE);
    }
  }

  /** @param {ProbeRow[]} rows */
  fill(rows) {
    for (const { target, accuracy, shuffled, chance } of rows) {
      const control = `shuffled ${fmt(shuffled)}, chance ${fmt(chance)}`;
      const bar = h(
        "div",
        { class: "clcr-probe-bar", role: "img", "aria-label": `${target}: accuracy ${fmt(accuracy)}, ${control}` },
        h("i", { style: `width:${100 * clamp(accuracy, 0, 1)}%` }),
        h("b", { style: `left:${100 * clamp(shuffled, 0, 1)}%` }),
      );
      this.el.append(
        h(
          "div",
          { class: "clcr-probe", title: control },
          h("span", { title: target, text: target }),
          h("strong", { text: fmt(accuracy) }),
          h("small", { text: fmt(shuffled) }),
          bar,
        ),
      );
    }
    this.el.append(
      rows.length
        ? h("p", { class: "clcr-note" }, "accuracy, and the tick: ", term(this.app, "shuffled", "on shuffled labels"))
        : note("no label or attribute with groups to read"),
    );
  }
}
