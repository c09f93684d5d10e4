// What part of a cloud is seen: everything, or a part of it enlarged.
import { clamp } from "./numbers.js";

/** @import {Place} from "./types.js" */

const MOST = 400; // times
export const STEP = 1.5; // times, for a key or a button

export class Viewport {
  constructor() {
    this.times = 1;
    /** @type {Place} */
    this.shift = [0, 0];
  }

  get key() {
    return [this.times, ...this.shift].join();
  }

  /** Where a place of the whole picture is seen. @param {Place} place @returns {Place} */
  see([x, y]) {
    return [x * this.times + this.shift[0], y * this.times + this.shift[1]];
  }

  /**
   * Enlarge (or, below 1, shrink) by a factor; what is seen at a place stays there.
   * @param {number} factor
   * @param {Place} at
   * @param {Place} size of the picture
   */
  zoom(factor, at, size) {
    const times = clamp(this.times * factor, 1, MOST);
    const by = times / this.times;
    this.times = times;
    this.put([at[0] + (this.shift[0] - at[0]) * by, at[1] + (this.shift[1] - at[1]) * by], size);
  }

  /** @param {Place} by in pixels @param {Place} size */
  pan(by, size) {
    this.put([this.shift[0] + by[0], this.shift[1] + by[1]], size);
  }

  /** The picture never leaves its frame. @param {Place} shift @param {Place} size */
  put(shift, size) {
    /** @param {0 | 1} axis */
    const held = (axis) => clamp(shift[axis], size[axis] * (1 - this.times), 0);
    this.shift = [held(0), held(1)];
  }

  reset() {
    this.times = 1;
    this.shift = [0, 0];
  }
}
