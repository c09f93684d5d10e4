// Light or dark, as the host is, else the system; and the colours and marks that go with it.
import { contextOf, mark } from "./canvas.js";
import { clamp, rampColor, rgbOf } from "./numbers.js";

/** @import {Look, Palette, Shades} from "./types.js" */

export class Theme {
  /**
   * @param {HTMLElement} root
   * @param {Palette} palette
   * @param {() => void} changed
   */
  constructor(root, palette, changed) {
    this.root = root;
    this.palette = palette;
    this.shadesOfRamp = Array.from({ length: 256 }, (_, i) => rampColor(palette.ramp, i / 255));
    this.changed = changed;
    /** @type {"light" | "dark"} */
    this.name = "light";
    /** @type {Shades} */
    this.shades = palette.light;
    this.paper = "#fff";
    this.paperRGB = [255, 255, 255];
    this.inkRGB = "0,0,0";
    /** @type {Map<string, HTMLCanvasElement>} */
    this.sprites = new Map();
    this.watch = new MutationObserver(() => this.look());
    const attributeFilter = ["data-jp-theme-light", "data-jp-theme-name", "class", "data-vscode-theme-id"];
    this.watch.observe(document.body, { attributes: true, attributeFilter });
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.onSystem = () => this.look();
    this.system.addEventListener("change", this.onSystem);
    this.look();
    setTimeout(() => this.look(), 300); // style sheets of the host may still be on their way
  }

  close() {
    this.watch.disconnect();
    this.system.removeEventListener("change", this.onSystem);
  }

  look() {
    const styles = [getComputedStyle(document.body), getComputedStyle(document.documentElement)];
    const host = ["--jp-layout-color0", "--vscode-editor-background"]
      .flatMap((name) => styles.map((style) => style.getPropertyValue(name).trim()))
      .find((color) => color);
    // forced colours are neither the host's nor ours
    const forced = matchMedia("(forced-colors: active)").matches && getComputedStyle(this.root).backgroundColor;
    let dark = this.system.matches;
    if (forced || host) {
      const [r, g, b] = pixelOf(forced || host || "");
      dark = 0.299 * r + 0.587 * g + 0.114 * b < 128;
    }
    this.name = dark ? "dark" : "light";
    this.shades = this.palette[this.name];
    this.root.dataset.theme = this.name;
    this.paper = getComputedStyle(this.root).getPropertyValue("--paper").trim() || "#fff";
    this.paperRGB = pixelOf(this.paper);
    this.inkRGB = rgbOf(this.shades.ink).join(",");
    this.sprites.clear();
    this.changed();
  }

  get warning() {
    return this.shades.warning;
  }

  /** @param {number} alpha */
  ink(alpha) {
    return `rgba(${this.inkRGB},${alpha})`;
  }

  /** @param {number} size @param {boolean} [bold] */
  font(size, bold = false) {
    return `${bold ? "600 " : ""}${size}px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif`;
  }

  /** @param {number} i */
  modality(i) {
    const { modalities } = this.shades;
    return modalities[Math.max(0, i) % modalities.length];
  }

  /** The colour of the i-th of k levels. @param {number} i @param {number} k */
  level(i, k) {
    return this.ramp(0.2 + 0.6 * (k > 1 ? i / (k - 1) : 1));
  }

  /** @param {number} t from 0 to 1 */
  ramp(t) {
    return `rgb(${this.shadesOfRamp[Math.round(255 * clamp(t, 0, 1))].join(",")})`;
  }

  /** A mark, drawn once and then copied. @param {Look} look @param {number} r @param {number} scale */
  sprite({ color, shape }, r, scale) {
    const key = `${color}${shape}${r}${scale}`;
    const cached = this.sprites.get(key);
    if (cached) return cached;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = Math.ceil((2 * r + 4) * scale);
    const ctx = contextOf(canvas);
    const c = canvas.width / scale / 2;
    ctx.scale(scale, scale);
    mark(ctx, shape, c, c, r);
    ctx.fillStyle = color;
    ctx.fill();
    ctx.strokeStyle = this.paper;
    ctx.lineWidth = 0.7;
    ctx.stroke();
    this.sprites.set(key, canvas);
    return canvas;
  }
}

/** @type {CanvasRenderingContext2D | undefined} */
let probe;

/** Any CSS colour as red, green and blue. @param {string} color */
function pixelOf(color) {
  probe ??= contextOf(document.createElement("canvas"), { willReadFrequently: true });
  probe.fillStyle = "#000";
  probe.fillStyle = color;
  probe.fillRect(0, 0, 1, 1);
  return Array.from(probe.getImageData(0, 0, 1, 1).data.slice(0, 3));
}
