// Attention as a heat map: rows listen, columns speak.
import { pen, write } from "./canvas.js";
import { rgbOf } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {AttentionPlaces, Drawn} from "./types.js" */

const LEFT = 78;
const RIGHT = 12;
const GAP = 22; // between modalities
const TOP = 8;
const FOOT = 40;

/** @param {Drawn} data @param {number} width @param {number} height @returns {AttentionPlaces} */
export function heatPlaces({ rows, speakers, others }, width, height) {
  const cell = (width - LEFT - RIGHT - GAP * (others.length - 1)) / speakers.length;
  return {
    left: LEFT,
    top: TOP,
    rowHeight: (height - FOOT - TOP) / rows,
    listeners: 0,
    speakers: cell,
    x: () => LEFT,
    k: (j) => LEFT + GAP * others.indexOf(speakers[j].modality) + (j + 0.5) * cell,
  };
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {App} app
 * @param {Drawn} data
 * @param {HTMLCanvasElement} image its pixels
 * @param {AttentionPlaces} places
 * @param {number} width
 * @param {number} height
 * @param {[number, number] | null} cell the one pointed at
 */
export function drawHeat(ctx, app, data, image, places, width, height, cell) {
  const { theme } = app;
  const { tokens, rows, speakers } = data;
  const bottom = height - FOOT;
  ctx.imageSmoothingEnabled = false;
  let from = 0;
  for (const m of data.others) {
    const count = speakers.filter((s) => s.modality === m).length;
    const [x, wide] = [places.k(from) - places.speakers / 2, count * places.speakers];
    ctx.drawImage(image, from, 0, count, rows, x, TOP, wide, bottom - TOP);
    pen(ctx, theme.ink(0.3), 1);
    ctx.strokeRect(x, TOP, wide, bottom - TOP);
    ctx.font = theme.font(11, true);
    const color = theme.modality(app.data.table.modalities.indexOf(m));
    write(ctx, `${m} speaks`, x + wide / 2, bottom + 30, "center", color);
    ctx.font = theme.font(11);
    for (const j of count > 1 ? [0, count - 1] : [0]) {
      const at = x + (j + 0.5) * places.speakers;
      write(ctx, String(speakers[from + j].position), at, bottom + 13, "center", theme.ink(0.65));
    }
    from += count;
  }
  write(ctx, tokens.modality, LEFT - 8, (TOP + bottom) / 2, "right", theme.ink(0.85));
  write(ctx, "listens", LEFT - 8, (TOP + bottom) / 2 + 13, "right", theme.ink(0.85));
  write(ctx, String(tokens.positions[0]), LEFT - 8, TOP + 10, "right", theme.ink(0.65));
  write(ctx, String(tokens.positions[rows - 1]), LEFT - 8, bottom, "right", theme.ink(0.65));
  frame(ctx, app, data, places, width - LEFT - RIGHT, bottom, cell);
}

/**
 * One pixel for each pair of tokens; the root makes weak ones visible.
 * @param {App} app
 * @param {Pick<Drawn, "drawn" | "peak" | "rows" | "speakers">} data
 */
export function pixels(app, { drawn, peak, rows, speakers }) {
  const { paperRGB, shades } = app.theme;
  const [red, green, blue] = paperRGB;
  const [toRed, toGreen, toBlue] = rgbOf(shades.heat).map((strong, c) => strong - paperRGB[c]);
  const most = peak || 1;
  const image = new ImageData(speakers.length, rows);
  const bytes = image.data;
  for (let q = 0, at = 0; q < drawn.length; q++, at += 4) {
    const part = Math.sqrt(drawn[q] / most);
    bytes[at] = red + toRed * part;
    bytes[at + 1] = green + toGreen * part;
    bytes[at + 2] = blue + toBlue * part;
    bytes[at + 3] = 255;
  }
  return image;
}

/**
 * Around the row or the column of the token pointed at, and the cell.
 * @param {CanvasRenderingContext2D} ctx
 * @param {App} app
 * @param {Drawn} data
 * @param {AttentionPlaces} places
 * @param {number} width
 * @param {number} bottom
 * @param {[number, number] | null} cell
 */
function frame(ctx, app, { tokens, rows, speakers }, places, width, bottom, cell) {
  const { token } = app;
  pen(ctx, app.theme.warning, 1.5);
  if (token?.modality === tokens.modality && token.i < rows) {
    ctx.strokeRect(LEFT, TOP + token.i * places.rowHeight, width, places.rowHeight);
  } else if (token) {
    const j = speakers.findIndex((s) => s.modality === token.modality && s.i === token.i);
    if (j >= 0) ctx.strokeRect(places.k(j) - places.speakers / 2, TOP, places.speakers, bottom - TOP);
  }
  if (cell) {
    const [t, j] = cell;
    const y = TOP + t * places.rowHeight;
    ctx.strokeRect(places.k(j) - places.speakers / 2, y, places.speakers, places.rowHeight);
  }
}
