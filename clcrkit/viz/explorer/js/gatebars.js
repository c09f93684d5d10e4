// Any number of gates that sum to 1: a bar for the picked sample, and one for each group.
import { h } from "./dom.js";
import { fmt } from "./numbers.js";

/** @import {GroupMean, Gates} from "./gates.js" */
/** @import {Gate} from "./types.js" */

const MOST = 14; // groups shown

export class GateBars {
  /** @param {Gates} gates @param {HTMLElement} parent @param {Gate} gate @param {string[]} names */
  constructor(gates, parent, gate, names) {
    this.gates = gates;
    this.app = gates.app;
    this.gate = gate;
    this.names = names;
    this.el = h("div", { class: "clcr-gatebars" });
    /** The groups whose bars are there. @type {GroupMean[]} */
    this.groups = [];
    this.picked = h("div");
    this.pickedKey = "";
    parent.append(this.el);
  }

  update() {
    const groups = this.gates.means(this.gate);
    if (this.groups !== groups) this.showGroups(groups);
    const now = Array.from(this.gates.nowAndTraced(this.gate).at(-1)?.[0] ?? []);
    const label = `id ${this.app.get("picked")}`;
    const key = `${label}|${now.join()}`;
    if (this.pickedKey === key) return;
    this.pickedKey = key;
    const picked = this.bar(h("span", { text: label }), now);
    this.picked.replaceWith(picked);
    this.picked = picked;
  }

  /** @param {GroupMean[]} groups */
  showGroups(groups) {
    this.groups = groups;
    this.pickedKey = ""; // its colours may be others, too
    const names = this.names.map((name, i) =>
      h("span", {}, h("i", { class: "clcr-dot", style: `background:${this.color(i)}` }), name),
    );
    this.el.replaceChildren(
      h("div", { class: "clcr-flat clcr-legend" }, ...names),
      this.picked,
      ...groups.slice(0, MOST).map(({ name, rows, mean }) => {
        /** @param {MouseEvent} event */
        const onclick = (event) => this.app.select(rows, event.shiftKey);
        return this.bar(h("button", { type: "button", text: name, title: `select ${name}`, onclick }), mean);
      }),
    );
  }

  /** @param {number} i */
  color(i) {
    const { theme } = this.app;
    return this.gate === "modality_gate" ? theme.modality(i) : theme.level(i, this.names.length);
  }

  /** @param {HTMLElement} label @param {number[]} values */
  bar(label, values) {
    const texts = this.names.map((name, i) => `${name} ${fmt(values[i])}`);
    const pieces = texts.map((title, i) =>
      h("i", { style: `width:${100 * values[i]}%;background:${this.color(i)}`, title }),
    );
    const stack = h("span", { class: "clcr-stack", role: "img", "aria-label": texts.join(", ") }, ...pieces);
    return h("div", { class: "clcr-gatebar" }, label, stack);
  }
}
