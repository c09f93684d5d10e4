// The whole: state, selection, and the views that share them.
import { Attention } from "./attention.js";
import { Budget } from "./budget.js";
import { Colouring } from "./colouring.js";
import { Comparison } from "./comparison.js";
import { Data, MESSAGES } from "./data.js";
import { h, note } from "./dom.js";
import { leftOut } from "./explain.js";
import { Gates } from "./gates.js";
import { clamp } from "./numbers.js";
import { SamplesTable } from "./samplestable.js";
import { Player } from "./sound.js";
import { Subspaces } from "./subspaces.js";
import { Theme } from "./theme.js";
import { Toolbar } from "./toolbar.js";

/** @import {Canvas} from "./canvas.js" */
/** @import {Pickable} from "./controls.js" */
/** @import {Driver, Model, State, TokenPlace, View} from "./types.js" */

/** @type {Record<string, new (app: App) => View>} */
const VIEWS = { subspaces: Subspaces, gates: Gates, budget: Budget, attention: Attention };
const TRAITS = "selection picked gamma level modality space projection color head epoch muted error _probes".split(" ");

export class App {
  /**
   * @param {Model} model
   * @param {HTMLElement} root
   * @param {Driver} driver
   */
  constructor(model, root, driver) {
    this.model = model;
    this.root = root;
    /** @type {(() => void)[]} */
    this.cleanups = [];
    /** @type {{name: Pickable, select: HTMLSelectElement}[]} */
    this.pickers = [];
    /** The token under the pointer, common to budget and attention. @type {TokenPlace | null} */
    this.token = null;
    this.frame = 0;
    /** Canvases that wait for the end of an update. @type {Set<Canvas> | null} */
    this.unpainted = null;
    /** @type {string[]} */
    this.selectedIds = [];
    /** The selected samples' positions. @type {Set<number>} */
    this.selected = new Set();
    /** Another number for each selection that dims the others. */
    this.dimmingKey = 0;
    this.dimmings = 0;
    root.classList.add("clcr");
    this.data = new Data(model, driver);
    this.player = new Player(this);
    this.colouring = new Colouring(this);
    this.theme = new Theme(root, this.data.table.palette, () => this.refresh());
    this.cleanups.push(() => this.theme.close());
    for (const name of MESSAGES) {
      this.on(name, () => {
        this.data.take(name);
        this.refresh();
      });
    }
    for (const name of TRAITS) this.on(name, () => this.refresh());

    this.error = h("div", { class: "clcr-error", role: "alert", hidden: true });
    this.status = h("div", { class: "clcr-hidden", "aria-live": "polite" });
    this.tipBox = h("div", { class: "clcr-tip", role: "tooltip", hidden: true });
    this.toolbar = new Toolbar(this);
    const shown = this.get("views");
    this.views = Object.keys(VIEWS)
      .filter((name) => shown.includes(name))
      .map((name) => new VIEWS[name](this));
    if (this.data.compared) this.views.unshift(new Comparison(this, this.data.compared));
    const single = !(shown.includes("subspaces") && shown.includes("gates"));
    const grid = h("div", { class: `clcr-grid${single ? " clcr-single" : ""}` }, ...this.views.map((view) => view.el));
    this.samples = new SamplesTable(this);
    const { absent } = this.data.table;
    const lacks = absent.length ? note(leftOut(absent)) : "";
    root.replaceChildren(this.toolbar.el, this.error, grid, this.samples.el, lacks, this.tipBox, this.status);
    // what another touch has opened
    root.addEventListener("pointerdown", (event) => event.pointerType === "touch" && this.leave(), { capture: true });
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.untip();
      if (this.get("selection").length) this.select([]);
    });
    this.refresh();
  }

  /** @template {keyof State} K @param {K} name @returns {State[K]} */
  get(name) {
    return this.model.get(name);
  }

  /** @param {Partial<State>} values */
  set(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(/** @type {any} */ (name), value);
    this.model.save_changes();
    this.refresh();
  }

  /** @param {string} name @param {() => void} run */
  on(name, run) {
    const event = `change:${name}`;
    this.model.on(event, run);
    this.cleanups.push(() => this.model.off(event, run));
  }

  /** Draw at the next frame. */
  refresh() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.update();
    });
  }

  close() {
    this.player.stop();
    cancelAnimationFrame(this.frame);
    for (const run of this.cleanups) run();
  }

  update() {
    const selection = this.get("selection");
    if (this.selectedIds !== selection) {
      this.selectedIds = selection;
      this.selected = new Set(selection.map((id) => this.data.rowOf.get(id) ?? -1));
      this.dimmingKey = selection.length > 1 ? ++this.dimmings : 0;
    }
    this.player.update();
    const error = this.get("error");
    this.error.hidden = !error;
    this.error.textContent = error;
    for (const { name, select } of this.pickers) {
      const value = String(this.get(name));
      if (select.value !== value) select.value = value;
    }
    // a canvas asks for the style of its font: between two changes of the page each would have it computed anew
    const canvases = /** @type {Set<Canvas>} */ (new Set());
    this.unpainted = canvases;
    this.toolbar.update();
    for (const view of this.views) view.update();
    this.samples.update();
    this.unpainted = null;
    for (const canvas of canvases) canvas.redraw();
  }

  // -- saying things

  /** To those who do not see. @param {string} text */
  say(text) {
    this.status.textContent = text;
  }

  /** @param {{clientX: number, clientY: number}} at @param {string[]} lines */
  tip(at, lines) {
    const box = this.root.getBoundingClientRect();
    const items = lines.map((text, i) => h(i || lines.length === 1 ? "div" : "strong", { text }));
    this.tipBox.replaceChildren(...items);
    this.tipBox.hidden = false;
    const width = this.tipBox.offsetWidth;
    this.tipBox.style.left = `${clamp(at.clientX - box.left + 14, 4, Math.max(4, box.width - width - 4))}px`;
    this.tipBox.style.top = `${at.clientY - box.top + 16}px`;
  }

  untip() {
    this.tipBox.hidden = true;
  }

  /** Nothing is under the pointer any longer. */
  leave() {
    this.point(null);
    this.untip();
  }

  /** What is known of a sample. @param {number} row @param {number} [layer] */
  describe(row, layer) {
    const { table, ids } = this.data;
    const modality = layer != null && this.get("color") === "modality" ? `, ${table.modalities[layer]}` : "";
    const facts = table.columns.slice(0, 7).map((c) => `${c.name}: ${this.data.valueOf(c, row)}`);
    return [`id ${ids[row]}${modality}`, ...facts];
  }

  // -- choosing samples and tokens

  /** @param {number[]} rows @param {boolean} [add] to the selection; a single one that is in it leaves it */
  select(rows, add = false) {
    let ids = rows.map((i) => this.data.ids[i]);
    if (add) {
      const now = this.get("selection");
      const leaves = ids.length === 1 && now.includes(ids[0]);
      const has = new Set(now);
      ids = leaves ? now.filter((id) => id !== ids[0]) : [...now, ...ids.filter((id) => !has.has(id))];
    }
    /** @type {Partial<State>} */
    const changes = { selection: ids };
    const picked = this.get("picked");
    const single = rows.length === 1 ? this.data.ids[rows[0]] : null;
    if (ids.length && (!ids.includes(picked) || single !== null)) {
      changes.picked = single !== null && ids.includes(single) ? single : ids[0];
      if (changes.picked !== picked && this.get("muted").length) changes.muted = [];
    }
    this.set(changes);
    this.say(ids.length ? `${ids.length} selected, id ${changes.picked ?? picked} picked` : "selection cleared");
  }

  /** @param {string} id */
  pickId(id) {
    const row = this.data.rowOf.get(id);
    if (row !== undefined) return this.select([row]);
    this.toolbar.idBox.value = this.get("picked");
    this.say(`no sample ${id}`);
  }

  /** Among the selected ones if there are several, else among all. @param {number} by */
  stepSample(by) {
    const selection = this.get("selection");
    const list = selection.length > 1 ? selection : this.data.ids;
    this.show(list[(list.indexOf(this.get("picked")) + by + list.length) % list.length]);
  }

  /** Pick a sample; a selection of several that holds it stays. @param {string} id */
  show(id) {
    const selection = this.get("selection");
    if (selection.length < 2 || !selection.includes(id)) this.pickId(id);
    else this.set(this.get("muted").length ? { picked: id, muted: [] } : { picked: id });
  }

  /** @param {KeyboardEvent} event */
  stepKeys(event) {
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const by = steps[event.key];
    if (!by) return;
    this.stepSample(by);
    event.preventDefault();
  }

  /** @param {TokenPlace | null} token */
  point(token) {
    if (token?.modality === this.token?.modality && token?.i === this.token?.i) return;
    this.token = token;
    this.refresh();
  }

  /** The number of the token under the pointer if it is of this modality, else -1. @param {string} modality */
  tokenOf(modality) {
    return this.token?.modality === modality ? this.token.i : -1;
  }
}
