// The tokens of one modality: what each asks for, what the budget cuts off, what it gets.
import { Canvas, KeptImage, line, mark, pen, write } from "./canvas.js";
import { Caption } from "./caption.js";
import { walkTokens } from "./controls.js";
import { h, hovered } from "./dom.js";
import { clamp, fmt, signed } from "./numbers.js";
import { drawFeatures, drawGain, drawPictures, GAIN, pictureHeight } from "./strips.js";
import { cutOf } from "./tokens.js";

/** @import {App} from "./app.js" */
/** @import {Mute, Share, Tokens, Values} from "./types.js" */

// in CSS pixels: room on both sides, and the heights from the top down
const LEFT = 58;
const RIGHT = 62;
const TOP = 8;
const HIGH = 66; // of the highest activation of the sample, or of 1 where that is more
const BASE = TOP + HIGH;
const TRUTH = 12;
const STICKS = 24;
const WIDEST = 42; // of one token

/** Of the little picture of the input. @param {number} bins */
const stripHeight = (bins) => bins * clamp(34 / bins, 1, 6);

export class TokenLane {
  /** @param {App} app @param {HTMLElement} parent @param {string} modality @param {number} index */
  constructor(app, parent, modality, index) {
    this.app = app;
    this.modality = modality;
    this.index = index;
    /** @type {Tokens | null} */
    this.tokens = null;
    /** @type {Share} */
    this.share = { budget: 0, cutoff: 0, allocation: [] };
    /** @type {number[] | null} */
    this.gain = null;
    /** @type {Values | null} */
    this.picture = null;
    this.inputs = new KeptImage();
    this.mostEvidence = 1;
    this.highest = 1;
    this.step = 0; // width of one token
    this.every = 1; // so many tokens share one text
    this.hasText = false;
    this.caption = new Caption(app, modality, index);
    this.listen = app.data.table.audible.includes(modality)
      ? h("button", { type: "button", class: "clcr-listen", onclick: () => app.player.toggle(modality) })
      : null;
    const head = h("div", { class: "clcr-lane-head" }, this.listen, this.caption.el);
    this.el = h("div", { class: "clcr-lane", "data-modality": modality }, head);
    parent.append(this.el);
    const label = `Tokens of ${modality}. Arrow keys move between tokens, Enter mutes one.`;
    this.canvas = new Canvas(app, this.el, 120, label, (ctx) => {
      if (this.tokens) this.draw(ctx, this.tokens);
    });
    this.listenToPointer();
    this.listenToKeys();
  }

  listenToPointer() {
    const { app, modality } = this;
    const { el } = this.canvas;
    /** @param {PointerEvent} event */
    const over = (event) => {
      const i = this.under(event);
      app.point(i < 0 ? null : { modality, i });
      if (i < 0) app.untip();
      else app.tip(event, this.describe(i));
    };
    hovered(el, over, () => app.leave());
    el.addEventListener("click", (event) => this.mute(this.under(event)));
  }

  listenToKeys() {
    const { app, modality } = this;
    const { el } = this.canvas;
    const count = () => this.tokens?.positions.length ?? 0;
    walkTokens(
      app,
      el,
      count,
      () => modality,
      (i) => {
        const box = el.getBoundingClientRect();
        const lines = this.describe(i);
        app.tip({ clientX: box.left + LEFT + (i + 0.5) * this.step, clientY: box.top + 50 }, lines);
        app.say(lines.join(". "));
      },
    );
    el.addEventListener("keydown", (event) => {
      const now = app.tokenOf(modality);
      if (!(event.key === "Enter" || event.key === " ") || now < 0) return;
      this.mute(now);
      event.preventDefault();
    });
  }

  /** The token under the pointer, or -1. @param {MouseEvent} event */
  under(event) {
    const i = Math.floor((this.canvas.at(event)[0] - LEFT) / this.step);
    return this.tokens && this.step && i >= 0 && i < this.tokens.positions.length ? i : -1;
  }

  /** Mute a token, or let it speak again. @param {number} i */
  mute(i) {
    const { app } = this;
    if (i < 0 || !this.tokens) return;
    if (!app.get("live")) return app.say("Muting needs a live model: Explorer(trace, model)");
    /** @type {Mute} */
    const token = [this.modality, app.get("level"), this.tokens.positions[i]];
    const muted = app.get("muted");
    const others = muted.filter((other) => other.some((part, k) => part !== token[k]));
    app.set({ muted: others.length < muted.length ? others : [...muted, token] });
  }

  /** @param {number} i */
  describe(i) {
    const { tokens, share } = this;
    if (!tokens) return [];
    const { truth } = tokens;
    const cut = cutOf(tokens, share.cutoff);
    const v = tokens.activation[i];
    const text = tokens.text[i] ? `: ${tokens.text[i]}` : "";
    const lines = [
      `${this.modality}, token ${tokens.positions[i]}${text}`,
      `evidence e = ${fmt(tokens.evidence[i])}${cut === null ? "" : `, cut ${fmt(cut)}`}`,
      tokens.muted[i]
        ? "muted by you: activation set to 0"
        : `activation v = ${fmt(v)}, cut-off λ = ${fmt(share.cutoff)}`,
    ];
    if (share.allocation[i] > 0) lines.push(`allocation α = v − λ = ${fmt(share.allocation[i])}`);
    else if (tokens.muted[i]) lines.push("allocation α = 0");
    else lines.push(`cut off: short of λ by ${fmt(share.cutoff - v, 3)}`);
    if (this.gain) lines.push(`allocation b − a = ${signed(this.gain[i])}`);
    if (truth) lines.push(truth[i] ? "known to carry shared evidence at this level" : "known distractor at this level");
    return lines;
  }

  /** Take the picked sample's tokens. */
  read() {
    const { data } = this.app;
    this.tokens = data.tokens(this.modality, this.app.get("level"));
    if (this.tokens) this.share = data.share(this.tokens);
    const picture = data.pictureOf(this.modality);
    this.picture = picture?.shape[0] === this.tokens?.positions.length ? picture : null;
    this.gain = this.tokens && data.gain(this.tokens, this.share);
  }

  /**
   * @param {boolean} here are the sample's tokens in the browser?
   * @param {number} mostEvidence
   * @param {number} highest activation
   */
  update(here, mostEvidence, highest) {
    const { tokens, canvas } = this;
    this.mostEvidence = mostEvidence;
    this.highest = highest;
    this.el.hidden = !here;
    canvas.el.hidden = !tokens;
    if (this.listen) this.updateListen(this.listen);
    this.caption.update(tokens, this.share);
    if (!tokens) return;
    const widest = Math.max(...tokens.text.map((text) => text.length));
    const step = Math.min(WIDEST, ((canvas.width || 700) - LEFT - RIGHT) / tokens.positions.length);
    this.hasText = widest > 0;
    this.every = Math.max(1, Math.ceil((widest * 6.6 + 6) / step));
    const picture = this.picture ? pictureHeight(this.picture, step) + 3 : 0;
    const strip = (tokens.bins ? stripHeight(tokens.bins) + 3 : 0) + picture;
    const gain = this.gain ? GAIN : 0;
    canvas.setHeight(BASE + 6 + gain + (tokens.truth ? TRUTH : 0) + STICKS + 4 + strip + (this.hasText ? 16 : 4));
    canvas.show(tokens, this.share, this.gain, this.picture, mostEvidence, highest, this.app.tokenOf(this.modality));
  }

  /** @param {HTMLButtonElement} listen */
  updateListen(listen) {
    const { app } = this;
    const sound = app.data.soundOf(this.modality);
    const playing = app.player.playing?.modality === this.modality;
    const why = app.data.kernel ? "the sound is on its way" : "this page does not keep the sound of this sample";
    listen.disabled = !sound;
    listen.hidden = !this.tokens;
    listen.textContent = playing ? "■ stop" : "▶ listen";
    listen.title = sound ? "" : why;
    listen.setAttribute("aria-label", `${playing ? "stop" : "listen"}: the sound of ${this.modality}`);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {Tokens} tokens */
  draw(ctx, tokens) {
    const { theme } = this.app;
    const n = tokens.positions.length;
    this.step = Math.min(WIDEST, (this.canvas.width - LEFT - RIGHT) / n);
    ctx.font = theme.font(11);
    this.drawBars(ctx, tokens);
    this.drawCutoff(ctx, n * this.step);
    const row = { left: LEFT, step: this.step };
    let below = BASE + 6;
    if (this.gain) {
      drawGain(ctx, this.app, this.gain, row, below);
      below += GAIN;
    }
    if (tokens.truth) {
      this.drawTruth(ctx, tokens.truth, below);
      below += TRUTH;
    }
    this.drawEvidence(ctx, tokens, below);
    below += STICKS + 4;
    if (tokens.features) {
      const height = stripHeight(tokens.bins);
      drawFeatures(ctx, this.app, this.inputs, tokens.features, tokens.bins, row, below, height);
      below += height + 3;
    }
    if (this.picture) {
      drawPictures(ctx, this.app, this.picture, row, below);
      below += pictureHeight(this.picture, this.step) + 3;
    }
    if (this.hasText) this.drawTexts(ctx, tokens.text, below + 11);
    const pointed = this.app.tokenOf(this.modality);
    if (pointed >= 0 && pointed < n) {
      pen(ctx, theme.ink(1), 1.5);
      const height = below - TOP + (this.hasText ? 16 : 4);
      ctx.strokeRect(LEFT + pointed * this.step, TOP - 4, this.step, height);
    }
  }

  /** Activation, and on it the allocation. @param {CanvasRenderingContext2D} ctx @param {Tokens} tokens */
  drawBars(ctx, tokens) {
    const { step } = this;
    const { theme } = this.app;
    const { cutoff, allocation } = this.share;
    const gap = step > 9 ? 2 : step > 4 ? 1 : 0.4;
    const end = LEFT + tokens.positions.length * step;
    write(ctx, fmt(this.highest, 1), LEFT - 8, TOP + 8, "right", theme.ink(0.65));
    write(ctx, "v, α", LEFT - 8, TOP + HIGH / 2 + 4, "right", theme.ink(0.65));
    write(ctx, "0", LEFT - 8, BASE, "right", theme.ink(0.65));
    pen(ctx, theme.ink(0.14), 1);
    line(ctx, [
      [LEFT - 4, TOP + 0.5],
      [end, TOP + 0.5],
    ]);
    /** @param {number} v */
    const y = (v) => BASE - (clamp(v, 0, this.highest) / this.highest) * HIGH;
    const [funded, cut, color] = [theme.ink(0.2), theme.ink(0.13), theme.modality(this.index)];
    const [width, ceiling] = [step - gap, y(cutoff)];
    tokens.activation.forEach((a, i) => {
      const [x, low] = [LEFT + i * step + gap / 2, y(Math.min(a, cutoff))];
      ctx.fillStyle = allocation[i] > 0 ? funded : cut;
      ctx.fillRect(x, low, width, BASE - low);
      if (allocation[i] > 0) {
        const top = y(cutoff + allocation[i]);
        ctx.fillStyle = color;
        ctx.fillRect(x, top, width, ceiling - top);
      }
      if (tokens.muted[i]) this.drawCross(ctx, x + width / 2, BASE - 10, Math.min(5, width / 2 + 1));
    });
    pen(ctx, theme.ink(0.5), 1);
    line(ctx, [
      [LEFT - 4, BASE + 0.5],
      [end, BASE + 0.5],
    ]);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} x @param {number} y @param {number} r */
  drawCross(ctx, x, y, r) {
    pen(ctx, this.app.theme.warning, 2);
    for (const side of [1, -1]) {
      line(ctx, [
        [x - r, y - side * r],
        [x + r, y + side * r],
      ]);
    }
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width */
  drawCutoff(ctx, width) {
    const { theme } = this.app;
    const { cutoff } = this.share;
    if (!(cutoff > 0)) return;
    const y = BASE - (clamp(cutoff, 0, this.highest) / this.highest) * HIGH;
    pen(ctx, theme.warning, 1.6);
    line(
      ctx,
      [
        [LEFT - 4, y],
        [LEFT + width + 4, y],
      ],
      [6, 3],
    );
    ctx.font = theme.font(11, true);
    write(ctx, `λ ${fmt(cutoff)}`, LEFT + width + 8, clamp(y + 4, TOP + 8, BASE), "left", theme.warning);
    ctx.font = theme.font(11);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number[]} truth @param {number} top */
  drawTruth(ctx, truth, top) {
    const { theme } = this.app;
    ctx.fillStyle = theme.ink(0.85);
    truth.forEach((carries, i) => {
      if (!carries) return;
      mark(ctx, "diamond", LEFT + (i + 0.5) * this.step, top + 3, Math.min(3, this.step / 2));
      ctx.fill();
    });
    write(ctx, "truth", LEFT - 8, top + 7, "right", theme.ink(0.65));
  }

  /** Evidence, and the cut. @param {CanvasRenderingContext2D} ctx @param {Tokens} tokens @param {number} top */
  drawEvidence(ctx, tokens, top) {
    const { step, mostEvidence } = this;
    const { theme } = this.app;
    const cut = cutOf(tokens, this.share.cutoff);
    const foot = top + STICKS;
    /** @param {number} v */
    const y = (v) => foot - (v / mostEvidence) * STICKS;
    write(ctx, "e", LEFT - 8, top + STICKS / 2 + 4, "right", theme.ink(0.65));
    ctx.fillStyle = theme.ink(0.5);
    tokens.evidence.forEach((e, i) => {
      const x = LEFT + (i + 0.5) * step - Math.min(2, step / 3);
      ctx.fillRect(x, y(e), Math.min(4, step / 1.5), foot - y(e));
    });
    if (cut === null || !(cut > 0 && cut < mostEvidence)) return;
    pen(ctx, theme.ink(0.75), 1);
    line(
      ctx,
      [
        [LEFT - 4, y(cut)],
        [LEFT + tokens.evidence.length * step + 4, y(cut)],
      ],
      [2, 2],
    );
  }

  /** @param {CanvasRenderingContext2D} ctx @param {string[]} texts @param {number} y */
  drawTexts(ctx, texts, y) {
    for (let i = 0; i < texts.length; i += this.every) {
      write(ctx, texts[i], LEFT + (i + 0.5) * this.step, y, "center", this.app.theme.ink(0.85));
    }
  }
}
