// View 1: every sample in a shared or private space.
import { line, pen, write } from "./canvas.js";
import { Cloud } from "./cloud.js";
import { SHAPES } from "./colouring.js";
import { markWaiting, panel, picker, term, tickBox } from "./controls.js";
import { CROWDED, Density, SHARES } from "./density.js";
import { button, h, inputValue, note } from "./dom.js";
import { Epochs } from "./epochs.js";
import { enlarge } from "./geometry.js";
import { Neighbours } from "./neighbours.js";
import { counted, fmt } from "./numbers.js";
import { Probes } from "./probes.js";
import { STEP } from "./viewport.js";

/** @import {App} from "./app.js" */
/** @import {CloudPoints, Place} from "./types.js" */

/** @type {[string, string][]} */
const SPACES = [
  ["shared", "shared summary"],
  ["private", "private summary"],
  ["shared_code", "shared code"],
  ["private_code", "private code"],
];

export class Subspaces {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    const { table } = app.data;
    this.zoom = false;
    this.other = false; // is it the other trace's cloud?
    this.density = app.data.ids.length > CROWDED ? new Density() : null;
    /** From parts of the plot's range to the canvas. @type {(place: Place) => Place} */
    this.toCanvas = (place) => place;
    const side = h("div", { class: "clcr-side" });
    const main = h("div", { class: "clcr-main" });
    const colors = ["modality", ...table.columns.map((c) => c.name)];
    const spaces = SPACES.filter(([name]) => table.spaces.includes(name));
    const zoom = tickBox(app, "zoom", "zoom in", (on) => {
      this.zoom = on;
    });
    const controls = [
      picker(app, "space", "Space", spaces, "space"),
      picker(
        app,
        "modality",
        "Modality",
        table.modalities.map((m) => [m, m]),
      ),
      picker(
        app,
        "color",
        "Colour",
        colors.map((c) => [c, c]),
      ),
      picker(app, "projection", "Projection", this.projections(), "projection"),
      ...(app.data.compared ? [this.traces()] : []),
      zoom,
      tickBox(app, "density", "density", (on) => this.showDensity(on), app.data.ids.length > CROWDED),
      this.lens(),
    ];
    this.el = panel(app, "subspaces", "Subspaces", "space", controls, [main, side]);
    this.cloud = new Cloud(app, main, 400, "Samples in the chosen space. Arrow keys step through the samples.", {
      key: () => this.key(),
      place: (width, height) => this.place([width, height]),
      frame: (ctx, width, height) => this.frame(ctx, width, height),
      look: (row, layer) =>
        this.byModality
          ? { color: app.theme.modality(layer), shape: SHAPES[layer % SHAPES.length] }
          : app.colouring.of(row),
      above: (ctx, width, height) => this.above(ctx, [width, height]),
      overlay: () => [this.density, this.neighbours.el.open, this.neighbours.found],
      marks: () => this.marks(),
      animate: true,
      zooms: true,
    });
    this.legend = h("div", { class: "clcr-legend" });
    this.probes = new Probes(app);
    this.neighbours = new Neighbours(this);
    side.append(this.legend, this.neighbours.el, this.probes.el);
    this.note = note("");
    main.append(this.note);
    this.epochs = table.epochs > 1 ? new Epochs(app) : null;
    if (this.epochs) main.append(this.epochs.el);
  }

  /** A saved page has only the projections that were made for it. @returns {[string, string][]} */
  projections() {
    const { data } = this.app;
    /** @type {[string, string][]} */
    const all = [
      ["pca", "PCA"],
      ["umap", "UMAP"],
    ];
    return all.filter(([name]) => data.kernel || Object.keys(data.points).some((kind) => kind.startsWith(name)));
  }

  /** @param {boolean} on */
  showDensity(on) {
    this.density = on ? new Density() : null;
  }

  /** Which of the two traces is drawn. */
  traces() {
    /** @param {Event} event */
    const onchange = (event) => {
      this.other = inputValue(event) === "b";
      this.app.refresh();
    };
    const options = ["a", "b"].map((value) => h("option", { value, text: value }));
    return h(
      "label",
      { class: "clcr-control" },
      term(this.app, "trace", "Trace"),
      h("select", { "aria-label": "Trace", onchange }, ...options),
    );
  }

  /** Buttons for what wheel and keys do, too. */
  lens() {
    /** @type {[string, string, () => void][]} */
    const each = [
      ["−", "Shrink", () => this.cloud.zoom(1 / STEP)],
      ["+", "Enlarge", () => this.cloud.zoom(STEP)],
      ["all", "See all points", () => this.cloud.whole()],
    ];
    const buttons = each.map(([text, label, run]) => {
      const made = button(text, run);
      made.setAttribute("aria-label", label);
      made.title = `${label}: Ctrl and wheel, or + − 0; Alt and drag, or Shift and arrows, move`;
      return made;
    });
    return h("span", { class: "clcr-control" }, ...buttons);
  }

  get byModality() {
    return this.app.get("color") === "modality";
  }

  get isCode() {
    return this.app.get("space").endsWith("_code");
  }

  /** The modalities whose points are drawn. */
  get shown() {
    const { app } = this;
    return this.byModality && app.get("space") === "shared" ? app.data.table.modalities : [app.get("modality")];
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Place} size */
  above(ctx, size) {
    this.density?.draw(ctx, this.app.theme, this.cloud.points, size);
    this.neighbours.draw(ctx);
  }

  /** The picked sample where the answer puts it, and before it, as ghosts, where it lay as traced. */
  marks() {
    const { app } = this;
    const dots = this.cloud.picked();
    if (this.other) return [...this.placesAsTraced(), ...dots];
    const place = app.data.answer().place;
    if (!place || app.get("projection") !== "pca" || app.get("epoch") < app.data.table.epochs - 1) return dots;
    const level = app.get("level");
    const marks = this.shown.flatMap((m) => {
      const at = place[app.data.spaceKey(m)];
      const reach = app.data.pointsOf(m)?.reach;
      if (!reach || (!this.isCode && !app.data.tokens(m, level))) return [];
      const [x, y] = this.toCanvas([(at[0] / reach + 1) / 2, (at[1] / reach + 1) / 2]);
      return [/** @type {[number, number, boolean]} */ ([x, y, false])];
    });
    /** @param {[number, number, boolean]} dot */
    const moved = ([x, y]) => marks.every(([nx, ny]) => Math.hypot(nx - x, ny - y) > 1);
    return [...dots.filter(moved).map(([x, y]) => /** @type {[number, number, boolean]} */ ([x, y, true])), ...marks];
  }

  /** Where a has the picked sample, while b's cloud is drawn. @returns {[number, number, boolean][]} */
  placesAsTraced() {
    const { data } = this.app;
    return this.shown.flatMap((m) => {
      const places = data.placesOf(m, data.table.epochs - 1);
      if (!places || (!this.isCode && !data.table.present[m].v[data.row])) return [];
      const [x, y] = [0, 1].map((axis) => places.values[places.start + 2 * data.row + axis] / places.width);
      return [/** @type {[number, number, boolean]} */ ([...this.toCanvas([x, y]), true])];
    });
  }

  key() {
    const { app } = this;
    const modality = app.get("modality");
    const space = `${app.get("projection")}/${app.data.spaceKey(modality)}`;
    const here = Boolean(app.data.pointsOf(modality, this.other));
    return [space, here, app.get("epoch"), this.byModality, this.zoom, this.other].join();
  }

  /** @param {Place} size @returns {CloudPoints} */
  place(size) {
    const { app } = this;
    const { table, ids } = app.data;
    // a plot wider than high uses the width: the two axes keep one scale, and the reach is known to fit
    const side = Math.min(...size) - 26;
    const [left, top] = size.map((length) => (length - side) / 2);
    /** @type {(place: Place) => Place} */
    const fit = ([u, v]) => [left + u * side, top + (1 - v) * side];
    let toWhole = fit;
    const most = this.shown.length * ids.length;
    const [x, y] = [new Float32Array(most), new Float32Array(most)];
    const [sample, layer] = [new Int32Array(most), new Uint8Array(most)];
    let n = 0;
    for (const m of this.shown) {
      const places = app.data.placesOf(m, app.get("epoch"), this.other);
      if (!places) continue;
      const { values, start, width } = places;
      const number = table.modalities.indexOf(m);
      for (let i = 0; i < ids.length; i++) {
        if (!this.isCode && !table.present[m].v[i]) continue;
        x[n] = left + (values[start + 2 * i] / width) * side;
        y[n] = top + (1 - values[start + 2 * i + 1] / width) * side;
        sample[n] = i;
        layer[n] = number;
        n++;
      }
    }
    if (this.zoom && n) {
      const move = enlarge(x.subarray(0, n), y.subarray(0, n), size, 40);
      for (let i = 0; i < n; i++) [x[i], y[i]] = move([x[i], y[i]]);
      toWhole = (place) => move(fit(place));
    }
    const { view } = this.cloud;
    this.toCanvas = (place) => view.see(toWhole(place));
    return { x: x.subarray(0, n), y: y.subarray(0, n), sample: sample.subarray(0, n), layer: layer.subarray(0, n) };
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height */
  frame(ctx, width, height) {
    const { theme } = this.app;
    const [x, y] = this.toCanvas([0.5, 0.5]);
    pen(ctx, theme.ink(0.1), 1);
    line(ctx, [
      [x, 0],
      [x, height],
    ]);
    line(ctx, [
      [0, y],
      [width, y],
    ]);
    ctx.font = theme.font(11);
    const name = this.app.get("projection") === "pca" ? "PC" : "UMAP ";
    write(ctx, `${name}1 →`, width - 4, height - 5, "right", theme.ink(0.6));
    write(ctx, `↑ ${name}2`, 4, 12, "left", theme.ink(0.6));
  }

  update() {
    const { app } = this;
    for (const { name, select } of app.pickers) {
      if (name === "modality" && this.el.contains(select)) select.disabled = this.isCode;
    }
    const waiting = !app.data.pointsOf(app.get("modality"));
    markWaiting(this.el, waiting);
    this.note.textContent = waiting
      ? "The kernel is fitting this projection; a first UMAP takes some 20 s."
      : this.noteText();
    this.neighbours.update();
    if (!waiting) this.cloud.update(); // until the kernel's answer is here, what is drawn stays, pale
    app.colouring.fillLegend(this.legend);
    this.probes.update(waiting);
    this.epochs?.update();
  }

  noteText() {
    const { app } = this;
    if (this.other) return this.otherNote();
    const level = this.isCode ? "" : ` · ${app.data.table.levels[app.get("level")]} level`;
    const range = this.zoom ? "Enlarged around these points." : "One range for all levels and modalities of a space.";
    const pale = app.data.lacking ? " Pale: this page keeps no tokens of theirs." : "";
    const lines = SHARES.map((share) => 100 * share).join(", ");
    const dense = this.density ? ` Lines: the densest regions, with ${lines} % of the points in view.` : "";
    return `${counted(app.data.ids.length)} samples${level}. ${range} Click or draw a loop to select.${pale}${dense}`;
  }

  otherNote() {
    const { data } = this.app;
    const found = data.compared?.distance[data.spaceKey(this.app.get("modality"))];
    if (!found) return "The other trace has no such space.";
    return (
      `Trace b, turned and scaled as a whole to lie nearest to a (Procrustes): ${fmt(found[0])} of the spread is ` +
      `left over, ${fmt(found[1])} with its samples shuffled. Small ring: where a has the picked sample.`
    );
  }
}
