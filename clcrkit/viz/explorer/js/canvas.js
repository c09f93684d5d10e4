// A canvas that knows its size and its screen, and the strokes that the views share.
import { h } from "./dom.js";

/** @import {App} from "./app.js" */
/** @import {Place, Shape} from "./types.js" */

/** @param {HTMLCanvasElement} canvas @param {CanvasRenderingContext2DSettings} [settings] */
export function contextOf(canvas, settings) {
  const ctx = canvas.getContext("2d", settings);
  if (!ctx) throw new Error("this browser gives no canvas to draw on");
  return ctx;
}

/**
 * An image that can be drawn at any size.
 * @param {ImageData} image
 * @param {HTMLCanvasElement} [canvas] to lay it on
 */
export function canvasOf(image, canvas = document.createElement("canvas")) {
  if (canvas.width !== image.width) canvas.width = image.width;
  if (canvas.height !== image.height) canvas.height = image.height;
  contextOf(canvas, { willReadFrequently: true }).putImageData(image, 0, 0); // no way to a graphics card and back
  return canvas;
}

/** Are these the same parts in the same order? @param {unknown[]} some @param {unknown[]} others */
const same = (some, others) => some.length === others.length && some.every((part, i) => part === others[i]);

/** One image after the other on one canvas, as a new canvas for each takes longer. */
export class KeptImage {
  constructor() {
    this.canvas = document.createElement("canvas");
    /** What the image is made of. @type {unknown[]} */
    this.parts = [];
  }

  /** Made only where others are there. @param {unknown[]} parts @param {() => ImageData} make */
  of(parts, make) {
    if (!same(parts, this.parts)) canvasOf(make(), this.canvas);
    this.parts = parts;
    return this.canvas;
  }
}

export class Canvas {
  /**
   * @param {App} app
   * @param {HTMLElement} parent
   * @param {number} height in CSS pixels
   * @param {string} label for those who do not see it
   * @param {(ctx: CanvasRenderingContext2D, width: number, height: number) => void} draw
   */
  constructor(app, parent, height, label, draw) {
    this.app = app;
    this.draw = draw;
    this.width = 0;
    this.height = height;
    this.scale = 1;
    /** What the picture that is there was made of; empty where it has to be drawn anew. @type {unknown[]} */
    this.shown = [];
    this.el = h("canvas", { tabindex: 0, role: "img", "aria-label": label, style: `height:${height}px` });
    parent.append(this.el);
    this.ctx = contextOf(this.el);
    // asked only when it changes: to ask between two changes of the page lays the page out each time
    const watch = new ResizeObserver(() => {
      this.width = this.el.clientWidth;
      if (!this.fit()) return;
      this.shown = [];
      app.refresh();
    });
    watch.observe(this.el);
    this.el.addEventListener("contextrestored", () => this.paint());
    app.cleanups.push(() => watch.disconnect());
  }

  /** @param {number} height */
  setHeight(height) {
    if (height === this.height) return;
    this.height = height;
    this.el.style.height = `${height}px`;
  }

  /** As many pixels as the screen has there; true if these are others, and what was drawn is gone. */
  fit() {
    this.scale = window.devicePixelRatio || 1;
    const [wide, high] = [this.width, this.height].map((size) => Math.round(size * this.scale));
    if (this.el.width === wide && this.el.height === high) return false;
    this.el.width = wide;
    this.el.height = high;
    return true;
  }

  /** Draw, but for a picture that is there already: one made of the same parts. @param {...unknown} parts */
  show(...parts) {
    const { theme } = this.app;
    const all = [...parts, this.width, this.height, window.devicePixelRatio, theme.name, theme.paper];
    if (same(all, this.shown)) return;
    this.paint();
    this.shown = all;
  }

  /** Draw, now or at the end of the update that is going on. */
  paint() {
    this.shown = [];
    if (this.app.unpainted) this.app.unpainted.add(this);
    else this.redraw();
  }

  redraw() {
    if (!this.width) return;
    this.fit();
    this.ctx.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    this.ctx.clearRect(0, 0, this.width, this.height);
    this.draw(this.ctx, this.width, this.height);
  }

  /** Where an event is, in CSS pixels. @param {MouseEvent} event @returns {Place} */
  at(event) {
    const box = this.el.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}

/**
 * The path of a mark.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Shape} shape
 * @param {number} x
 * @param {number} y
 * @param {number} r
 */
export function mark(ctx, shape, x, y, r) {
  ctx.beginPath();
  if (shape === "circle") ctx.arc(x, y, r, 0, 7);
  else if (shape === "square") ctx.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
  else if (shape === "triangle") {
    ctx.moveTo(x, y - r * 1.15);
    ctx.lineTo(x + r * 1.1, y + r * 0.85);
    ctx.lineTo(x - r * 1.1, y + r * 0.85);
    ctx.closePath();
  } else if (shape === "diamond") {
    ctx.moveTo(x, y - r * 1.25);
    ctx.lineTo(x + r * 1.25, y);
    ctx.lineTo(x, y + r * 1.25);
    ctx.lineTo(x - r * 1.25, y);
    ctx.closePath();
  } else {
    const a = r * 0.42;
    ctx.rect(x - a, y - r * 1.15, 2 * a, r * 2.3);
    ctx.rect(x - r * 1.15, y - a, r * 2.3, 2 * a);
  }
}

/** @param {CanvasRenderingContext2D} ctx @param {string} color @param {number} width */
export function pen(ctx, color, width) {
  ctx.strokeStyle = color;
  ctx.lineWidth = width;
}

/**
 * Straight lines from place to place.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Place[]} places
 * @param {number[]} [dashes]
 */
export function line(ctx, places, dashes = []) {
  ctx.setLineDash(dashes);
  ctx.beginPath();
  places.forEach(([x, y], i) => {
    if (i) ctx.lineTo(x, y);
    else ctx.moveTo(x, y);
  });
  ctx.stroke();
  ctx.setLineDash([]);
}

/** A circle's outline. @param {CanvasRenderingContext2D} ctx @param {number} x @param {number} y @param {number} r */
export function ring(ctx, x, y, r) {
  ctx.beginPath();
  ctx.arc(x, y, r, 0, 7);
  ctx.stroke();
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {CanvasTextAlign} align
 * @param {string} color
 */
export function write(ctx, text, x, y, align, color) {
  ctx.textAlign = align;
  ctx.fillStyle = color;
  ctx.fillText(text, x, y);
}
