// Attention as links between tokens: listeners above, speakers below.
import { pen, write } from "./canvas.js";
import { strongest } from "./tokens.js";

/** @import {App} from "./app.js" */
/** @import {AttentionPlaces, Drawn} from "./types.js" */

const LINKS = 250; // drawn at most; more is a blot, and the note under the picture says how many were left out
const LEFT = 78;
const RIGHT = 12;
const GAP = 22; // between modalities
const TOP = 50;
const FOOT = 58;

/** @param {Drawn} data */
export const linksOf = (data) => strongest(data.drawn, LINKS);

/** @param {Drawn} data @param {number} width @returns {AttentionPlaces} */
export function linkPlaces({ rows, speakers, others }, width) {
  const listenerWidth = Math.min(34, (width - LEFT - RIGHT) / rows);
  const speakerWidth = Math.min(34, (width - LEFT - RIGHT - GAP * (others.length - 1)) / speakers.length);
  return {
    left: LEFT,
    top: TOP,
    rowHeight: 0,
    listeners: listenerWidth,
    speakers: speakerWidth,
    x: (t) => LEFT + (t + 0.5) * listenerWidth,
    k: (j) => LEFT + GAP * others.indexOf(speakers[j].modality) + (j + 0.5) * speakerWidth,
  };
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {App} app
 * @param {Drawn} data
 * @param {AttentionPlaces} places
 * @param {number} height
 */
export function drawLinks(ctx, app, data, places, height) {
  const bottom = height - FOOT;
  const { token } = app;
  const mine = token?.modality === data.tokens.modality && token.i < data.rows ? token.i : -1;
  const theirs =
    token && mine < 0 ? data.speakers.findIndex((s) => s.modality === token.modality && s.i === token.i) : -1;
  drawCurves(ctx, app, data, places, bottom, mine, theirs);
  drawListeners(ctx, app, data, places, mine);
  drawSpeakers(ctx, app, data, places, bottom, theirs);
  const ink = app.theme.ink(0.85);
  write(ctx, data.tokens.modality, LEFT - 8, TOP - 3, "right", ink);
  write(ctx, "listens", LEFT - 8, TOP + 11, "right", ink);
  write(ctx, "speak", LEFT - 8, bottom + 10, "right", ink);
  writeTexts(ctx, data.tokens.text, places.x, places.listeners, 14, mine, ink);
  const texts = data.speakers.map((s) => s.text);
  writeTexts(ctx, texts, places.k, places.speakers, bottom + 42, theirs, ink);
  ctx.font = app.theme.font(11, true);
  for (const m of data.others) {
    const first = data.speakers.findIndex((s) => s.modality === m);
    const last = data.speakers.findLastIndex((s) => s.modality === m);
    write(ctx, m, (places.k(first) + places.k(last)) / 2, height - 3, "center", colorOf(app, m));
  }
  ctx.font = app.theme.font(11);
}

/** @param {App} app @param {string} modality */
const colorOf = (app, modality) => app.theme.modality(app.data.table.modalities.indexOf(modality));

/**
 * The strongest links; those of one token, all of them, while it is pointed at.
 * @param {CanvasRenderingContext2D} ctx
 * @param {App} app
 * @param {Drawn} data
 * @param {AttentionPlaces} places
 * @param {number} bottom
 * @param {number} mine the listener pointed at, or -1
 * @param {number} theirs the speaker pointed at, or -1
 */
function drawCurves(ctx, app, { drawn, speakers }, places, bottom, mine, theirs) {
  const columns = speakers.length;
  const { links, peak } = strongest(drawn, LINKS);
  /** @type {number[]} */
  let shown = links;
  let ceiling = peak || 1;
  if (mine >= 0 || theirs >= 0) {
    shown = [];
    drawn.forEach((v, q) => {
      const followed = mine >= 0 ? Math.floor(q / columns) === mine : q % columns === theirs;
      if (v > 0 && followed) shown.push(q);
    });
    ceiling = Math.max(...shown.map((q) => drawn[q]), 1e-12);
  }
  shown.sort((p, q) => drawn[p] - drawn[q]);
  const middle = (TOP + bottom) / 2;
  for (const q of shown) {
    const v = drawn[q] / ceiling;
    const [x0, x1] = [places.x(Math.floor(q / columns)), places.k(q % columns)];
    pen(ctx, colorOf(app, speakers[q % columns].modality), 0.5 + 3.2 * v);
    ctx.globalAlpha = 0.1 + 0.8 * v;
    ctx.beginPath();
    ctx.moveTo(x0, TOP);
    ctx.bezierCurveTo(x0, middle, x1, middle, x1, bottom);
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
}

/** A little narrower than its place. @param {number} place */
const barWidth = (place) => Math.max(1, place - (place > 5 ? 2 : 0.5));

/**
 * Above: the allocation of each, where there is a budget.
 * @param {CanvasRenderingContext2D} ctx
 * @param {App} app
 * @param {Drawn} data
 * @param {AttentionPlaces} places
 * @param {number} mine
 */
function drawListeners(ctx, app, { tokens, rows, share, budgeted }, places, mine) {
  const width = barWidth(places.listeners);
  for (let t = 0; t < rows; t++) {
    const x = places.x(t) - width / 2;
    const part = budgeted ? 22 * share.allocation[t] : 0;
    ctx.fillStyle = app.theme.ink(0.12);
    ctx.fillRect(x, TOP - 6, width, 6);
    ctx.fillStyle = colorOf(app, tokens.modality);
    ctx.fillRect(x, TOP - 6 - part, width, part + (part > 0 ? 6 : 0));
    if (mine !== t) continue;
    pen(ctx, app.theme.ink(1), 1.5);
    ctx.strokeRect(x - 1, TOP - 31, width + 2, 32);
  }
}

/**
 * Below: how much each is heard.
 * @param {CanvasRenderingContext2D} ctx
 * @param {App} app
 * @param {Drawn} data
 * @param {AttentionPlaces} places
 * @param {number} bottom
 * @param {number} theirs
 */
function drawSpeakers(ctx, app, { speakers, heard }, places, bottom, theirs) {
  const width = barWidth(places.speakers);
  const loudest = Math.max(...heard, 1e-12);
  speakers.forEach((speaker, j) => {
    const x = places.k(j) - width / 2;
    ctx.fillStyle = app.theme.ink(0.12);
    ctx.fillRect(x, bottom, width, 6);
    ctx.fillStyle = colorOf(app, speaker.modality);
    ctx.fillRect(x, bottom, width, 4 + 22 * (heard[j] / loudest));
    if (theirs !== j) return;
    pen(ctx, app.theme.ink(1), 1.5);
    ctx.strokeRect(x - 1, bottom - 1, width + 2, 30);
  });
}

/**
 * As many texts as there is room for, and always the one in focus.
 * @param {CanvasRenderingContext2D} ctx
 * @param {string[]} texts
 * @param {(i: number) => number} x
 * @param {number} step
 * @param {number} y
 * @param {number} focus
 * @param {string} color
 */
function writeTexts(ctx, texts, x, step, y, focus, color) {
  const widest = Math.max(...texts.map((text) => text.length));
  if (!widest) return;
  const every = Math.max(1, Math.ceil((widest * 6.6 + 6) / step));
  texts.forEach((text, i) => {
    const inTheWay = focus >= 0 && Math.abs(i - focus) < every;
    if (i === focus || (i % every === 0 && !inTheWay)) write(ctx, text, x(i), y, "center", color);
  });
}
