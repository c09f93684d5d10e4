// Many points, one for each sample (or several): drawn, hovered, clicked, lassoed.
import { Canvas, contextOf, pen, ring } from "./canvas.js";
import { inside, nearest } from "./geometry.js";
import { paintLoop, paintPicked } from "./marks.js";
import { clamp } from "./numbers.js";
import { splat, stampOf } from "./splat.js";
import { STEP, Viewport } from "./viewport.js";

/** @import {App} from "./app.js" */
/** @import {CloudPoints, CloudSource, Place} from "./types.js" */

const TRAVEL = 320; // milliseconds
const MANY = 4000; // points: more are splatted
const VERY_MANY = 30_000; // more do not follow the wheel one by one
const REST = 120; // milliseconds until they do

export class Cloud {
  /**
   * @param {App} app
   * @param {HTMLElement} parent
   * @param {number} height
   * @param {string} label
   * @param {CloudSource} source
   */
  constructor(app, parent, height, label, source) {
    this.app = app;
    this.source = source;
    this.canvas = new Canvas(app, parent, height, label, (ctx, w, hh) => this.draw(ctx, w, hh));
    this.base = document.createElement("canvas");
    this.drawnKey = "";
    this.placeKey = "";
    this.size = "";
    this.hover = -1;
    this.radius = 0;
    /** @type {CloudPoints} */
    this.points = { x: new Float32Array(), y: new Float32Array(), sample: new Int32Array() };
    /** The points before the view enlarges them. @type {CloudPoints} */
    this.all = this.points;
    this.lookKey = "";
    /** Each point's mark, as a number, and the marks. @type {{of: Uint16Array, marks: HTMLCanvasElement[]}} */
    this.looks = { of: new Uint16Array(), marks: [] };
    this.frame = 0;
    /** The view that the picture of all points was drawn for. @type {{rest: string, times: number, shift: Place}} */
    this.drawn = { rest: "", times: 1, shift: [0, 0] };
    this.turnsUntil = 0;
    this.turned = 0;
    /** @type {CloudPoints | null} */
    this.target = null;
    /** @type {CloudPoints | null} */
    this.moving = null;
    /** @type {Place | null} */
    this.start = null;
    /** @type {Place[] | null} */
    this.loop = null;
    this.view = new Viewport();
    /** Where the pointer was while it moves the picture. @type {Place | null} */
    this.grip = null;
    const { el } = this.canvas;
    el.classList.add("clcr-cloud");
    el.addEventListener("pointerdown", (event) => this.down(event));
    el.addEventListener("pointermove", (event) => this.move(event));
    el.addEventListener("pointerup", (event) => this.up(event));
    el.addEventListener("pointercancel", () => this.drop()); // the finger scrolls the page
    el.addEventListener("pointerleave", () => {
      this.hover = -1;
      app.untip();
      this.canvas.paint();
    });
    el.addEventListener("keydown", (event) => this.viewKeys(event) || app.stepKeys(event));
    if (source.zooms) el.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  update() {
    const { app, canvas, source, view } = this;
    if (source.heightAt) canvas.setHeight(source.heightAt(canvas.width));
    const marks = source.marks?.(canvas.width, canvas.height) ?? this.picked();
    const parts = [source.key(), view.key, app.get("color"), app.selected, marks.join(), ...(source.overlay?.() ?? [])];
    canvas.show(...parts);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} w @param {number} hh */
  draw(ctx, w, hh) {
    const { app } = this;
    const placeKey = this.source.key();
    const { scale } = this.canvas;
    const { view } = this;
    view.size = [w, hh];
    const rest = [placeKey, w, hh, scale, app.theme.name, app.get("color"), app.dimmingKey].join("|");
    const key = `${rest}|${view.key}`;
    const turning = performance.now() < this.turnsUntil && rest === this.drawn.rest && this.all.x.length > VERY_MANY;
    if (turning) this.points = this.seenPoints(this.all);
    else if (key !== this.drawnKey) {
      const size = `${w}x${hh}`;
      const before = this.target;
      if (this.placeKey !== placeKey || this.size !== size) this.all = this.source.place(w, hh);
      const target = this.seenPoints(this.all);
      if (this.placeKey === placeKey) this.moving = null; // the travel ends where the view changes
      const moved =
        this.source.animate &&
        before &&
        target.x.length <= VERY_MANY &&
        before.x.length === target.x.length &&
        this.size === size &&
        this.placeKey !== placeKey;
      Object.assign(this, { target, size, placeKey, drawnKey: key });
      if (moved && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.travel(before, target);
      else if (!this.moving) this.points = target;
      this.paintBase(w, hh);
      this.drawn = { rest, times: view.times, shift: view.shift };
    }
    // while the wheel turns, the last picture is only stretched
    const by = turning ? view.times / this.drawn.times : 1;
    const [left, top] = turning ? view.shift.map((to, axis) => to - this.drawn.shift[axis] * by) : [0, 0];
    ctx.drawImage(this.base, left, top, w * by, hh * by);
    this.source.above?.(ctx, w, hh);
    this.paintMarks(ctx, w, hh);
    if (this.loop) paintLoop(ctx, app.theme, this.loop);
  }

  /**
   * Points travel, so that the eye can follow where each one goes.
   * @param {CloudPoints} before
   * @param {CloudPoints} target
   */
  travel(before, target) {
    const from = { x: before.x.slice(), y: before.y.slice() };
    const started = performance.now();
    this.moving = target;
    const step = () => {
      if (this.moving !== target || !this.canvas.el.isConnected) return;
      const part = Math.min(1, (performance.now() - started) / TRAVEL);
      const ease = 1 - (1 - part) ** 3;
      if (part >= 1) {
        this.points = target;
        this.moving = null;
      } else {
        const x = target.x.map((v, i) => from.x[i] + (v - from.x[i]) * ease);
        const y = target.y.map((v, i) => from.y[i] + (v - from.y[i]) * ease);
        this.points = { ...target, x, y };
      }
      this.paintBase(this.canvas.width, this.canvas.height);
      this.canvas.paint();
      if (part < 1) requestAnimationFrame(step);
    };
    this.points = { ...target, ...from };
    requestAnimationFrame(step);
  }

  /** All points, on a canvas of their own that is copied until they change. @param {number} w @param {number} hh */
  paintBase(w, hh) {
    const { app, base } = this;
    const { scale } = this.canvas;
    const ctx = contextOf(base, { willReadFrequently: true }); // no way to a graphics card and back
    base.width = Math.round(w * scale);
    base.height = Math.round(hh * scale);
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    this.source.frame(ctx, w, hh);
    const { x, y, sample } = this.points;
    const n = x.length;
    const r = n > VERY_MANY ? 1.6 : n > MANY ? 2.3 : n > 900 ? 3.1 : n > 200 ? 3.8 : 4.6;
    this.radius = r;
    const some = app.selected.size > 1;
    const { lacking } = app.data;
    const looks = this.marksOf(r);
    const picture = n > MANY ? ctx.getImageData(0, 0, base.width, base.height) : null;
    const stamps = picture ? looks.marks.map(stampOf) : [];
    for (const chosen of some ? [false, true] : [true]) {
      const strength = chosen ? (n > 900 ? 0.78 : 0.88) : 0.14;
      for (let i = 0; i < n; i++) {
        if (some && app.selected.has(sample[i]) !== chosen) continue;
        const opacity = lacking?.has(sample[i]) ? 0.4 * strength : strength;
        if (picture) {
          splat(picture, stamps[looks.of[i]], x[i] * scale, y[i] * scale, opacity);
          continue;
        }
        ctx.globalAlpha = opacity;
        const sprite = looks.marks[looks.of[i]];
        const [width, height] = [sprite.width / scale, sprite.height / scale];
        ctx.drawImage(sprite, x[i] - width / 2, y[i] - height / 2, width, height);
      }
    }
    ctx.globalAlpha = 1;
    if (!picture) return;
    ctx.putImageData(picture, 0, 0);
  }

  /** Where the view shows the points. @param {CloudPoints} all @returns {CloudPoints} */
  seenPoints(all) {
    const { times, shift } = this.view;
    return { ...all, x: all.x.map((v) => v * times + shift[0]), y: all.y.map((v) => v * times + shift[1]) };
  }

  /** Each point's mark, found anew only where points or colours change. @param {number} r */
  marksOf(r) {
    const { app, points, source } = this;
    const { sample, layer } = points;
    const { scale } = this.canvas;
    const key = [this.placeKey, sample.length, app.get("color"), app.get("modality"), app.theme.name, r, scale].join(
      "|",
    );
    if (key === this.lookKey && this.looks.of.length === sample.length) return this.looks;
    /** By colour and shape. @type {Record<string, Record<string, number>>} */
    const numbers = {};
    const marks = [];
    const of = new Uint16Array(sample.length);
    for (let i = 0; i < sample.length; i++) {
      const look = source.look?.(sample[i], layer ? layer[i] : 0) ?? app.colouring.of(sample[i]);
      numbers[look.color] ??= {};
      const shapes = numbers[look.color];
      if (shapes[look.shape] === undefined) shapes[look.shape] = marks.push(app.theme.sprite(look, r, scale)) - 1;
      of[i] = shapes[look.shape];
    }
    this.lookKey = key;
    this.looks = { of, marks };
    return this.looks;
  }

  /**
   * The selected points, the picked sample and the point under the pointer.
   * @param {CanvasRenderingContext2D} ctx
   * @param {number} w
   * @param {number} hh
   */
  paintMarks(ctx, w, hh) {
    const { app } = this;
    const { x, y, sample } = this.points;
    pen(ctx, app.theme.ink(0.75), 1);
    let rings = 0; // around each selected point, unless they are so many that rings only cover things
    if (app.selected.size && app.selected.size <= 300) {
      for (let i = 0; i < x.length && rings < 900; i++) {
        if (!app.selected.has(sample[i])) continue;
        ring(ctx, x[i], y[i], this.radius + 1.2);
        rings++;
      }
    }
    for (const [mx, my, ghost] of this.source.marks?.(w, hh) ?? this.picked())
      paintPicked(ctx, app.theme, mx, my, ghost);
    if (this.hover >= 0 && this.hover < x.length) {
      pen(ctx, app.theme.ink(1), 1.5);
      ring(ctx, x[this.hover], y[this.hover], this.radius + 3);
    }
  }

  /** @returns {[number, number, boolean][]} */
  picked() {
    const { x, y, sample } = this.points;
    const { row } = this.app.data;
    /** @type {[number, number, boolean][]} */
    const found = [];
    for (let i = 0; i < sample.length; i++) if (sample[i] === row) found.push([x[i], y[i], false]);
    return found;
  }

  /** Zoom by a factor, around a place or the middle. @param {number} factor @param {Place} [at] */
  zoom(factor, at = [this.canvas.width / 2, this.canvas.height / 2]) {
    this.view.zoom(factor, at);
    this.seen();
  }

  /** @param {Place} by */
  pan(by) {
    this.view.pan(by);
    this.seen();
  }

  /** All of the picture. */
  whole() {
    this.view.reset();
    this.seen();
  }

  seen() {
    this.hover = -1;
    this.app.untip();
    const paint = () => this.canvas.el.isConnected && this.canvas.paint(); // the other views show what they showed
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      paint();
    });
    if (this.all.x.length <= VERY_MANY) return;
    this.turnsUntil = performance.now() + REST;
    clearTimeout(this.turned);
    this.turned = setTimeout(paint, REST + 10);
  }

  /** With Ctrl or ⌘, as on a map: the wheel alone scrolls the page. @param {WheelEvent} event */
  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode ? 33 : 1);
    this.zoom(2 ** (-clamp(pixels, -300, 300) / 200), this.canvas.at(event));
  }

  /** Was it a key that moves the picture? @param {KeyboardEvent} event */
  viewKeys(event) {
    if (!this.source.zooms || event.ctrlKey || event.metaKey || event.altKey) return false;
    /** @type {Record<string, Place>} */
    const ways = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (event.key === "+" || event.key === "=") this.zoom(STEP);
    else if (event.key === "-") this.zoom(1 / STEP);
    else if (event.key === "0") this.whole();
    else if (event.shiftKey && ways[event.key]) this.pan(ways[event.key]);
    else return false;
    event.preventDefault();
    return true;
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (this.source.zooms && (event.button === 1 || (!event.button && event.altKey))) {
      event.preventDefault(); // a middle button would scroll the page
      this.grip = this.canvas.at(event);
      this.canvas.el.setPointerCapture(event.pointerId);
      return;
    }
    if (event.button) return;
    this.start = this.canvas.at(event);
    this.canvas.el.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { app } = this;
    const at = this.canvas.at(event);
    if (this.grip) {
      this.pan([at[0] - this.grip[0], at[1] - this.grip[1]]);
      this.grip = at;
      return;
    }
    if (this.start) {
      if (!this.loop && Math.hypot(at[0] - this.start[0], at[1] - this.start[1]) > 5) this.loop = [this.start];
      if (!this.loop) return;
      this.loop.push(at);
      app.untip();
      return this.canvas.paint();
    }
    const under = nearest(this.points, at);
    if (under !== this.hover) {
      this.hover = under;
      this.canvas.paint();
    }
    if (under < 0) app.untip();
    else app.tip(event, app.describe(this.points.sample[under], this.points.layer?.[under]));
  }

  drop() {
    this.grip = null;
    this.start = null;
    this.loop = null;
    this.canvas.paint();
  }

  /** @param {PointerEvent} event */
  up(event) {
    this.grip = null;
    if (!this.start) return;
    const { app, points, loop } = this;
    this.drop();
    if (loop) {
      const within = points.sample.filter((_, i) => inside(points.x[i], points.y[i], loop));
      app.select([...new Set(within)], event.shiftKey);
    } else {
      const under = nearest(points, this.canvas.at(event));
      if (under >= 0) app.select([points.sample[under]], event.shiftKey || event.ctrlKey || event.metaKey);
      else if (!event.shiftKey) app.select([]);
    }
  }
}
