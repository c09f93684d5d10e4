// View 4: how levels and modalities are weighed, for all samples.
import { panel, picker, term, tickBox } from "./controls.js";
import { h } from "./dom.js";
import { GateBars } from "./gatebars.js";
import { sum } from "./numbers.js";
import { PrivateGates } from "./privategates.js";
import { GateTriangle } from "./triangle.js";

/** @import {App} from "./app.js" */
/** @import {EXPLAIN} from "./explain.js" */
/** @import {Gate, Group, Numbers} from "./types.js" */

/** A group and its mean gates. @typedef {Group & {mean: number[]}} GroupMean */

export class Gates {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.zoom = false;
    /** @type {Map<Gate, {key: string, groups: GroupMean[]}>} */
    this.groups = new Map();
    const { table } = app.data;
    const alone = !app.get("views").includes("subspaces");
    const zoom = tickBox(app, "zoom", "zoom in", (on) => {
      this.zoom = on;
    });
    const colors = table.columns.map((c) => /** @type {[string, string]} */ ([c.name, c.name]));
    const controls = alone ? [picker(app, "color", "Group by", colors), zoom] : [zoom];
    const main = h("div", { class: "clcr-main" });
    this.el = panel(app, "gates", "Gates", "levelgate", controls, [main]);
    const pair = h("div", { class: "clcr-pair" });
    main.append(pair);
    this.parts = [
      this.part(pair, "level_gate", "levelgate", "Level gate ω", table.levels),
      this.part(pair, "modality_gate", "modalitygate", "Modality gate", table.modalities),
    ];
    main.append(term(app, "privategate", "Private gate η"));
    this.parts.push(new PrivateGates(this, main));
    this.legend = alone ? h("div", { class: "clcr-legend clcr-flat" }) : null;
    if (this.legend) main.append(this.legend);
  }

  /**
   * Gates that sum to 1: a triangle where there are three, else bars.
   * @param {HTMLElement} parent
   * @param {Gate} gate
   * @param {keyof typeof EXPLAIN} explain
   * @param {string} title
   * @param {string[]} names
   * @returns {{update(): void}}
   */
  part(parent, gate, explain, title, names) {
    const box = h("div", { class: "clcr-gate", "data-gate": gate }, term(this.app, explain, title));
    parent.append(box);
    return names.length === 3 ? new GateTriangle(this, box, gate, title, names) : new GateBars(this, box, gate, names);
  }

  /**
   * The picked sample's gates at this gamma, and before them, as ghosts, those traced where they differ.
   * @param {Gate} gate
   * @returns {[values: Numbers, ghost: boolean][]}
   */
  nowAndTraced(gate) {
    const { data } = this.app;
    const now = data.answer()[gate];
    const traced = data.table[gate].v.subarray(data.row * now.length, (data.row + 1) * now.length);
    const moved = Array.from(now).some((v, i) => Math.abs(v - traced[i]) > 1e-3);
    return moved
      ? [
          [traced, true],
          [now, false],
        ]
      : [[now, false]];
  }

  /** The mean gates of each group, until the colouring changes. @param {Gate} gate */
  means(gate) {
    const { app } = this;
    const key = `${app.get("color")}|${app.theme.name}`;
    const cached = this.groups.get(gate);
    if (cached?.key === key) return cached.groups;
    const { v, shape } = app.data.table[gate];
    const k = shape[1];
    const groups = app.colouring.groups().map((group) => {
      const mean = Array.from({ length: k }, (_, j) => sum(group.rows.map((i) => v[i * k + j])) / group.rows.length);
      return { ...group, mean };
    });
    this.groups.set(gate, { key, groups });
    return groups;
  }

  update() {
    for (const part of this.parts) part.update();
    if (this.legend) this.app.colouring.fillLegend(this.legend);
  }
}
