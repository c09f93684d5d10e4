// View 3: which tokens of the picked sample listen to which.
import { Canvas, KeptImage } from "./canvas.js";
import { markWaiting, panel, picker, term, walkTokens } from "./controls.js";
import { button, h, hovered, inputValue, isTicked, note } from "./dom.js";
import { drawHeat, heatPlaces, pixels } from "./heatmap.js";
import { drawLinks, linkPlaces, linksOf } from "./links.js";
import { multiples } from "./multiples.js";
import { clamp, counted, fmt } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {AttentionPlaces, Drawn, Speaker, TokenPlace, Weights} from "./types.js" */

/**
 * What is under the pointer: a token, and in a heat map also a cell (listener, speaker).
 * @typedef {{token: TokenPlace, cell?: [number, number]}} Under
 */

const LONG = 2500; // from this many pairs of tokens on, a heat map is the better picture

export class Attention {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.mode = "auto";
    this.budgeted = !app.data.table.absent.includes("allocation"); // other models listen without shares
    this.weighted = this.budgeted;
    /** Was the kernel asked for all levels? */
    this.asked = false;
    /** @type {Drawn | null} */
    this.data = null;
    /** @type {AttentionPlaces | null} */
    this.places = null;
    /** @type {[number, number] | null} */
    this.cell = null;
    this.image = new KeptImage();
    this.modes = h("select", { "aria-label": "Drawn as" });
    const main = h("div", { class: "clcr-main" });
    this.el = panel(app, "attention", "Exchange attention", "attention", this.controls(), [main]);
    const label = "Who listens to whom. Arrow keys move between listening tokens.";
    this.canvas = new Canvas(app, main, 250, label, (ctx, width, height) => {
      if (this.data) this.draw(ctx, this.data, width, height);
    });
    this.grid = h("div", { class: "clcr-multiples", hidden: true });
    this.note = note("", "clcr-links-note");
    main.append(this.grid, this.note);
    this.limit(main);
    this.listen();
  }

  controls() {
    const { app } = this;
    const { modalities, heads } = app.data.table;
    const modes = [
      ["auto", "links or heat map"],
      ["links", "links"],
      ["heat", "heat map"],
      ["all", "all heads and levels"],
    ].map(([value, text]) => h("option", { value, text }));
    /** @param {Event} event */
    const onMode = (event) => {
      this.mode = inputValue(event);
      app.refresh();
    };
    /** @param {Event} event */
    const onWeighted = (event) => {
      this.weighted = isTicked(event);
      app.refresh();
    };
    /** @type {[number, string][]} */
    const each = Array.from({ length: heads }, (_, i) => [i, `head ${i + 1}`]);
    this.modes.append(...modes);
    this.modes.addEventListener("change", onMode);
    const weighted = h(
      "label",
      { class: "clcr-control clcr-check" },
      h("input", { type: "checkbox", checked: true, onchange: onWeighted }),
      term(app, "weighted", "weighted by allocation"),
    );
    return [
      picker(
        app,
        "modality",
        "Listener",
        modalities.map((m) => [m, m]),
      ),
      picker(app, "head", "Head", [[-1, "mean of all"], ...each]),
      h("label", { class: "clcr-control" }, h("span", { text: "Drawn as" }), this.modes),
      ...(this.budgeted ? [weighted] : []),
    ];
  }

  /** What a page says of how much it keeps. @param {HTMLElement} parent */
  limit(parent) {
    const { app } = this;
    const { ids = [], pool = 1 } = app.data.attentions ?? {};
    const all = app.data.ids.length;
    if (pool > 1)
      parent.append(note(`To fit the page, attention is averaged over blocks of ${pool} × ${pool} tokens.`));
    if (app.data.complete || ids.length >= all) return;
    const text = note(`This page keeps the attention of ${counted(ids.length)} of its ${counted(all)} samples. `);
    const next = button("next sample with attention", () => {
      app.pickId(ids[(ids.indexOf(app.get("picked")) + 1) % ids.length]);
    });
    text.append(next);
    parent.append(text);
  }

  listen() {
    const { app } = this;
    const { el } = this.canvas;
    /** @param {PointerEvent} event */
    const over = (event) => {
      const under = this.under(...this.canvas.at(event));
      app.point(under?.token ?? null);
      this.cell = under?.cell ?? null;
      if (under) app.tip(event, this.describe(under));
      else app.untip();
      if (this.cell) this.canvas.paint();
    };
    hovered(el, over, () => {
      this.cell = null;
      app.leave();
      this.canvas.paint();
    });
    const count = () => this.data?.rows ?? 0;
    const modality = () => app.get("modality");
    walkTokens(app, el, count, modality, (i) => {
      app.say(this.describe({ token: { modality: modality(), i } }).join(". "));
    });
  }

  /** @param {Drawn} data */
  isHeat(data) {
    return this.mode === "heat" || (this.mode === "auto" && data.rows * data.speakers.length > LONG);
  }

  /** @param {number} x @param {number} y @returns {Under | null} */
  under(x, y) {
    const { data, places } = this;
    if (!data || !places) return null;
    const modality = this.app.get("modality");
    const j = data.speakers.findIndex((_, at) => Math.abs(places.k(at) - x) <= places.speakers / 2);
    if (this.isHeat(data)) {
      const t = Math.floor((y - places.top) / places.rowHeight);
      return t >= 0 && t < data.rows && j >= 0 ? { token: { modality, i: t }, cell: [t, j] } : null;
    }
    if (y < 90) {
      const t = Math.floor((x - places.left) / places.listeners);
      return t >= 0 && t < data.rows ? { token: { modality, i: t } } : null;
    }
    if (y <= 150 || j < 0) return null;
    return { token: { modality: data.speakers[j].modality, i: data.speakers[j].i } };
  }

  /** @param {Under} under */
  describe({ token, cell }) {
    const { data } = this;
    if (!data) return [];
    const { tokens, share, speakers, weights, drawn } = data;
    const columns = speakers.length;
    /** @param {string} modality @param {number} position @param {string} text */
    const name = (modality, position, text) => `${modality} ${position}${text ? ` (${text})` : ""}`;
    /** @param {Speaker} s */
    const speaker = (s) => name(s.modality, s.position, s.text);
    /** @param {number} t */
    const listener = (t) => name(tokens.modality, tokens.positions[t], tokens.text[t]);
    if (cell) {
      const [t, j] = cell;
      const q = t * columns + j;
      return [
        `${listener(t)} listens to ${speaker(speakers[j])}`,
        `attention ${fmt(weights[q], 4)}`,
        ...(data.budgeted ? [`allocation α ${fmt(share.allocation[t])}, weighted ${fmt(drawn[q], 4)}`] : []),
      ];
    }
    const { i } = token;
    if (token.modality !== tokens.modality) {
      const j = speakers.findIndex((s) => s.modality === token.modality && s.i === i);
      return j < 0 ? [] : [speaker(speakers[j]), `heard: ${fmt(data.heard[j], 3)} in all (the sum of its links)`];
    }
    const most = speakers
      .map((s, j) => ({ s, weight: weights[i * columns + j] }))
      .sort((p, q) => q.weight - p.weight)
      .slice(0, 3)
      .map(({ s, weight }) => `${fmt(100 * weight, 1)} % to ${speaker(s)}`);
    if (!data.budgeted) return [`${listener(i)} listens`, ...most];
    const lines = [`${listener(i)} listens, allocation α = ${fmt(share.allocation[i])}`, ...most];
    return share.allocation[i] > 0 ? lines : [...lines, "not funded: nothing of this reaches it"];
  }

  update() {
    const { app } = this;
    const isAll = this.mode === "all" && app.data.table.heads > 0;
    const here = isAll ? app.data.everyMapIsHere : app.data.attentionIsHere;
    const waiting = app.data.kernel && !here;
    markWaiting(this.el, waiting);
    if (waiting && isAll && !this.asked) {
      app.model.send({ levels: true });
      this.asked = true;
    }
    if (waiting) return;
    this.grid.hidden = !isAll;
    const weights = app.data.weights(app.get("modality"));
    this.data = weights && this.drawnOf(weights);
    this.canvas.el.hidden = !this.data || isAll;
    if (!this.data) {
      this.grid.replaceChildren();
      this.note.textContent = this.whyNone();
      return;
    }
    if (isAll) return this.showAll();
    this.canvas.setHeight(this.isHeat(this.data) ? clamp(this.data.rows * 7, 140, 340) + 60 : 250);
    this.canvas.show(this.data, this.mode, app.token);
    this.note.textContent = this.noteOf(this.data);
  }

  showAll() {
    const { app } = this;
    /** @param {number} level @param {number} head */
    const open = (level, head) => {
      this.mode = "heat";
      this.modes.value = "heat";
      app.set({ level, head });
      this.modes.focus();
    };
    const { rows, peak } = multiples(app, (weights) => this.toDraw(weights), open);
    this.grid.replaceChildren(...rows);
    this.note.textContent =
      `Rows of a map: tokens of ${app.get("modality")}, listening; columns: those of the others, whose colours are ` +
      `below. One scale for all, darkest: ${fmt(peak, 3)}. A click opens one.`;
  }

  /** The same as long as all that it is made of is the same. @param {Weights} weights */
  drawnOf(weights) {
    const { data } = this;
    const share = this.app.data.share(weights.tokens);
    if (data?.weights === weights.weights && data.share === share && data.weighted === this.weighted) return data;
    return this.toDraw(weights);
  }

  /** @param {Weights} weights @returns {Drawn} */
  toDraw(weights) {
    const { rows, speakers } = weights;
    const share = this.app.data.share(weights.tokens);
    const drawn = new Float32Array(weights.weights.length);
    const heard = new Float64Array(speakers.length);
    let peak = 0;
    for (let t = 0; t < rows; t++) {
      const times = this.weighted ? share.allocation[t] : 1;
      for (let j = 0; j < speakers.length; j++) {
        const w = weights.weights[t * speakers.length + j] * times;
        drawn[t * speakers.length + j] = w;
        heard[j] += w;
        if (w > peak) peak = w;
      }
    }
    const others = [...new Set(speakers.map((s) => s.modality))];
    return { ...weights, share, others, budgeted: this.budgeted, weighted: this.weighted, drawn, peak, heard };
  }

  whyNone() {
    const { data } = this.app;
    if (data.blockRow < 0 || !data.attention) return data.missingNote("attention");
    if (data.table.heads === 0) return "This model has no exchange, so nobody listens to anybody.";
    const modality = this.app.get("modality");
    return `In this sample ${modality} or every other modality is missing, so there is no attention to show.`;
  }

  /** @param {Drawn} data */
  noteOf(data) {
    const who = data.tokens.modality;
    const what = this.weighted ? "attention × allocation" : "attention";
    if (this.isHeat(data)) {
      const darkest = fmt(data.peak, 3);
      return `Rows: tokens of ${who}, listening. Columns: tokens of the others. Darkest: ${darkest} (${what}).`;
    }
    const { links, all, part } = linksOf(data);
    const percent = fmt(100 * part, 0);
    const some =
      `The ${links.length} strongest of ${counted(all)} links are drawn; ` + `they carry ${percent} % of the weight. `;
    const every =
      all === 0
        ? `No link: ${this.budgeted ? `no token of ${who} is funded` : "nothing is heard"}. `
        : `All ${all} links are drawn. `;
    return (
      `${links.length < all ? some : every}Width: ${what}. ` +
      (this.budgeted ? "Bars above: allocation α of each listener; bars below: " : "Bars below: ") +
      "how much each token is heard. Point at a token to follow it."
    );
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Drawn} data @param {number} width @param {number} height */
  draw(ctx, data, width, height) {
    ctx.font = this.app.theme.font(11);
    if (this.isHeat(data)) {
      this.places = heatPlaces(data, width, height);
      const { theme } = this.app;
      const image = this.image.of([data, theme.name, theme.paper], () => pixels(this.app, data));
      drawHeat(ctx, this.app, data, image, this.places, width, height, this.cell);
    } else {
      this.places = linkPlaces(data, width);
      drawLinks(ctx, this.app, data, this.places, height);
    }
  }
}
