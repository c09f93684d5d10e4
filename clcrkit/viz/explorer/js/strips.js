// Rows of a token lane: a bar, or a picture, for each token.
import { canvasOf, line, pen, write } from "./canvas.js";
import { clamp } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {KeptImage} from "./canvas.js" */
/** @import {Values} from "./types.js" */

/** Where the tokens are: the left end of the first, the width of one. @typedef {{left: number, step: number}} Row */

export const GAIN = 26; // height of the difference from another trace
const HIGHEST = 46; // of a picture
const LEAST = 22; // width of a picture; narrower tokens share one

/** @type {WeakMap<Values, HTMLCanvasElement>} */
const strips = new WeakMap();

/**
 * What another trace gives more, up, or less, down.
 * @param {CanvasRenderingContext2D} ctx
 * @param {App} app
 * @param {number[]} gain
 * @param {Row} row
 * @param {number} top
 */
export function drawGain(ctx, { theme }, gain, { left, step }, top) {
  const middle = top + GAIN / 2 - 1;
  write(ctx, "b − a", left - 8, middle + 4, "right", theme.ink(0.65));
  ctx.fillStyle = theme.ink(0.7);
  const width = Math.max(1, step * 0.6);
  gain.forEach((v, i) => {
    const height = clamp(v, -1, 1) * (GAIN / 2 - 2);
    ctx.fillRect(left + (i + 0.5) * step - width / 2, middle - Math.max(0, height), width, Math.abs(height));
  });
  pen(ctx, theme.ink(0.3), 1);
  line(ctx, [
    [left - 4, middle],
    [left + gain.length * step, middle],
  ]);
}

/**
 * The input of each token, one above the other.
 * @param {CanvasRenderingContext2D} ctx
 * @param {App} app
 * @param {KeptImage} kept
 * @param {Uint8Array} features token by token
 * @param {number} bins of one token
 * @param {Row} row
 * @param {number} top
 * @param {number} height
 */
export function drawFeatures(ctx, { theme }, kept, features, bins, { left, step }, top, height) {
  const tokens = features.length / bins;
  const strip = kept.of([features], () => featureImage(features, tokens, bins, theme.shadesOfRamp));
  const smooth = ctx.imageSmoothingEnabled;
  ctx.imageSmoothingEnabled = false;
  ctx.drawImage(strip, left, top, tokens * step, height);
  ctx.imageSmoothingEnabled = smooth;
  write(ctx, "input", left - 8, top + height / 2 + 4, "right", theme.ink(0.65));
}

/** @param {Uint8Array} features @param {number} tokens @param {number} bins @param {number[][]} shades */
function featureImage(features, tokens, bins, shades) {
  const image = new ImageData(tokens, bins);
  let at = 0;
  for (let bin = 0; bin < bins; bin++) {
    for (let token = 0; token < tokens; token++) {
      for (const part of shades[features[token * bins + bin]]) image.data[at++] = part;
      image.data[at++] = 255;
    }
  }
  return image;
}

/** So many tokens share one picture. @param {number} step */
const sharing = (step) => Math.max(1, Math.ceil(LEAST / step));

/** The size of one picture. @param {Values} images @param {number} step */
function sizeOf({ shape }, step) {
  const [, height, width] = shape;
  const room = sharing(step) * step - 2;
  const times = Math.min(room / width, HIGHEST / height);
  return { room, wide: width * times, high: height * times };
}

/** @param {Values} images @param {number} step */
export const pictureHeight = (images, step) => sizeOf(images, step).high;

/**
 * What each token shows.
 * @param {CanvasRenderingContext2D} ctx
 * @param {App} app
 * @param {Values} images (token, height, width, color)
 * @param {Row} row
 * @param {number} top
 */
export function drawPictures(ctx, { theme }, images, { left, step }, top) {
  const [tokens, height, width] = images.shape;
  const { room, wide, high } = sizeOf(images, step);
  const strip = stripOf(images);
  write(ctx, "picture", left - 8, top + high / 2 + 4, "right", theme.ink(0.65));
  const smooth = ctx.imageSmoothingEnabled;
  ctx.imageSmoothingEnabled = wide < width; // what is enlarged keeps its pixels
  for (let i = 0; i < tokens; i += sharing(step)) {
    const x = left + i * step + 1 + (room - wide) / 2;
    ctx.drawImage(strip, i * width, 0, width, height, x, top, wide, high);
  }
  ctx.imageSmoothingEnabled = smooth;
}

/** All images side by side. @param {Values} images */
function stripOf(images) {
  const cached = strips.get(images);
  if (cached) return cached;
  const { shape, v } = images;
  const [tokens, height, width, colors] = shape;
  const image = new ImageData(tokens * width, height);
  image.data.fill(255);
  for (let i = 0; i < tokens; i++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const from = ((i * height + y) * width + x) * colors;
        const to = 4 * (y * tokens * width + i * width + x);
        for (let c = 0; c < 3; c++) image.data[to + c] = v[from + (colors === 3 ? c : 0)];
      }
    }
  }
  const canvas = canvasOf(image);
  strips.set(images, canvas);
  return canvas;
}
