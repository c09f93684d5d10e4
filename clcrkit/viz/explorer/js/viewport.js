// What part of a cloud is seen: everything, or a part of it enlarged.
import { clamp } from "./numbers.js";

/** @import {Place} from "./types.js" */

const MOST = 400; // times
export const STEP = 1.5; // times, for a key or a button

export class Viewport {
  constructor() {
    this.times = 1;
    /** What part of the whole picture is in the middle, so that it stays there when the size changes. @type {Place} */
    this.middle = [0.5, 0.5];
    /** Of the picture, in pixels. @type {Place} */
    this.size = [1, 1];
  }

  /** Where the corner of the whole picture is. @returns {Place} */
  get shift() {
    /** @param {0 | 1} axis */
    const along = (axis) => this.size[axis] * (0.5 - this.middle[axis] * this.times);
    return [along(0), along(1)];
  }

  get key() {
    return [this.times, ...this.middle].join();
  }

  /** Where a place of the whole picture is seen. @param {Place} place @returns {Place} */
  see([x, y]) {
    const { shift, times } = this;
    return [x * times + shift[0], y * times + shift[1]];
  }

  /**
   * Enlarge (or, below 1, shrink) by a factor; what is seen at a place stays there.
   * @param {number} factor
   * @param {Place} at
   */
  zoom(factor, at) {
    const { shift } = this;
    const times = clamp(this.times * factor, 1, MOST);
    const by = times / this.times;
    this.times = times;
    this.put([at[0] + (shift[0] - at[0]) * by, at[1] + (shift[1] - at[1]) * by]);
  }

  /** @param {Place} by in pixels */
  pan(by) {
    const { shift } = this;
    this.put([shift[0] + by[0], shift[1] + by[1]]);
  }

  /** @param {Place} shift */
  put(shift) {
    /** @param {0 | 1} axis */
    const part = (axis) => (0.5 - shift[axis] / this.size[axis]) / this.times;
    this.show([this.times, part(0), part(1)]);
  }

  /** How much is enlarged, and what part is in the middle: numbers that fit any size. */
  get told() {
    return [this.times, ...this.middle];
  }

  /** What `told` said. The picture never leaves its frame. @param {number[]} told */
  show([times, x, y]) {
    this.times = clamp(times, 1, MOST);
    const half = 0.5 / this.times;
    this.middle = [clamp(x, half, 1 - half), clamp(y, half, 1 - half)];
  }

  reset() {
    this.show([1, 0.5, 0.5]);
  }
}
