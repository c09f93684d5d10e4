// Very many marks: their pixels are laid on each other here, as a canvas takes several times longer for it.
import { contextOf } from "./canvas.js";

/** The pixels of a mark that are not empty: places from its middle, colours and opacity (0 to 1). */
/** @typedef {{dx: Int16Array, dy: Int16Array, color: Uint8ClampedArray, opacity: Float32Array}} Stamp */

/** @type {WeakMap<HTMLCanvasElement, Stamp>} */
const stamps = new WeakMap();

/** @param {HTMLCanvasElement} sprite @returns {Stamp} */
export function stampOf(sprite) {
  const cached = stamps.get(sprite);
  if (cached) return cached;
  const made = stampFrom(contextOf(sprite).getImageData(0, 0, sprite.width, sprite.height));
  stamps.set(sprite, made);
  return made;
}

/** @param {{data: ArrayLike<number>, width: number, height: number}} picture @returns {Stamp} */
export function stampFrom({ data, width, height }) {
  const full = Array.from({ length: width * height }, (_, i) => i).filter((i) => data[4 * i + 3] > 8);
  return {
    dx: Int16Array.from(full, (i) => (i % width) - (width >> 1)),
    dy: Int16Array.from(full, (i) => Math.floor(i / width) - (height >> 1)),
    color: Uint8ClampedArray.from(full.flatMap((i) => [0, 1, 2].map((c) => data[4 * i + c]))),
    opacity: Float32Array.from(full, (i) => data[4 * i + 3] / 255),
  };
}

/**
 * Lay a mark over what is there; what is outside the picture is left out.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} picture
 * @param {Stamp} stamp
 * @param {number} x its middle, in pixels
 * @param {number} y
 * @param {number} strength 0 to 1
 */
export function splat({ data, width, height }, { dx, dy, color, opacity }, x, y, strength) {
  const left = Math.floor(x);
  const top = Math.floor(y);
  if (left < -20 || top < -20 || left > width + 20 || top > height + 20) return;
  for (let p = 0; p < dx.length; p++) {
    const px = left + dx[p];
    const py = top + dy[p];
    if (px < 0 || py < 0 || px >= width || py >= height) continue;
    const at = 4 * (py * width + px);
    const over = opacity[p] * strength;
    const there = data[at + 3];
    const all = there === 0 ? over : over + (there / 255) * (1 - over);
    const part = there === 0 ? 1 : over / all;
    data[at] += (color[3 * p] - data[at]) * part;
    data[at + 1] += (color[3 * p + 1] - data[at + 1]) * part;
    data[at + 2] += (color[3 * p + 2] - data[at + 2]) * part;
    data[at + 3] = 255 * all;
  }
}
