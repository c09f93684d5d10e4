// From the outputs of the model in the page to the messages that a kernel would have sent. Pure.
import { clamp } from "./numbers.js";

/** @import {Answer, Attention, Block, Lane, Mute, Place, Range, Sample, Values} from "./types.js" */

/** The outputs of one sample as an array over (sample, gamma, ...). @param {Values} values @returns {Values} */
const once = ({ shape, v }) => ({ shape: [1, ...shape], v });

/**
 * What the model says of one sample.
 * @param {Record<string, Values>} outputs
 * @param {string} sample
 * @param {number} gamma
 * @param {Mute[]} muted
 * @param {Record<string, Values>} maps
 * @returns {Answer}
 */
export function answerFrom(outputs, sample, gamma, muted, maps) {
  return {
    ids: [sample],
    gammas: [gamma],
    muted,
    place: Object.fromEntries(Object.entries(maps).map(([key, map]) => [key, placeOf(outputs, key, map)])),
    prediction: once(outputs.prediction),
    level_gate: once(outputs.level_gate),
    modality_gate: once(outputs.modality_gate),
    private_gate: once(outputs.private_gate),
  };
}

/**
 * Where a sample lies in one space, from the middle of the plot.
 * @param {Record<string, Values>} outputs
 * @param {string} key shared/LEVEL/MODALITY, private/LEVEL/MODALITY, shared_code or private_code
 * @param {Values} map a line for each coordinate, and one for where their origin lies
 * @returns {Place}
 */
export function placeOf(outputs, key, map) {
  const [, space, level, modality] = key.match(/^(\w+)(?:\/(\d+)\/(.*))?$/s) ?? [];
  const { v } = outputs[level === undefined ? space : `${space}_summary/${modality}`];
  const rank = map.shape[0] - 1;
  const start = rank * Number(level ?? 0);
  /** @type {Place} */
  const place = [map.v[2 * rank], map.v[2 * rank + 1]];
  for (let i = 0; i < rank; i++) {
    place[0] += v[start + i] * map.v[2 * i];
    place[1] += v[start + i] * map.v[2 * i + 1];
  }
  return place;
}

/**
 * The tokens of one sample.
 * @param {Record<string, Values>} outputs
 * @param {string} id
 * @param {Sample} sample
 * @param {Record<string, string[]>} texts of the tokens
 * @param {Record<string, Range>} ranges of the little pictures
 * @returns {Block}
 */
export function blockFrom(outputs, id, sample, texts, ranges) {
  /** @type {Map<string, number>} */
  const places = new Map([["", 0]]);
  /** @type {Record<string, Lane>} */
  const lanes = {};
  for (const [m, { mask, size, values }] of Object.entries(sample)) {
    const evidence = outputs[`evidence/${m}`];
    const length = evidence.shape[2];
    const real = new Uint8Array(length);
    real.set(mask);
    const text = Array.from({ length }, (_, t) => {
      const one = texts[m][t] ?? "";
      if (!places.has(one)) places.set(one, places.size);
      return places.get(one) ?? 0;
    });
    const count = mask.reduce((total, one) => total + one, 0);
    lanes[m] = {
      mask: { shape: [1, length], v: real },
      evidence,
      activation: outputs[`activation/${m}`],
      budget: { shape: outputs.rho.shape, v: Float32Array.from(outputs.rho.v, (rho) => rho * count) },
      text: { shape: [1, length], v: Int32Array.from(text) },
    };
    if (!ranges[m]) continue;
    const [low, high] = ranges[m];
    const strip = new Uint8Array(length * size);
    values.forEach((v, i) => {
      strip[i] = 255 * clamp((v - low) / (high - low), 0, 1);
    });
    lanes[m].features = { shape: [1, length, size], v: strip };
  }
  return { ids: [id], lanes, texts: [...places.keys()], threshold: outputs.threshold, scale: outputs.scale };
}

/**
 * Who attends to whom in one sample.
 * @param {Record<string, Values>} outputs
 * @param {string} id
 * @param {string[]} modalities in the model's order
 * @returns {Attention}
 */
export function attentionFrom(outputs, id, modalities) {
  const listeners = modalities.filter((m) => outputs[`attention/${m}`]);
  const of = listeners.map((m) => {
    const weights = outputs[`attention/${m}`];
    const top = {
      shape: weights.shape.slice(0, 4),
      v: new Float32Array(weights.v.length / weights.shape[4]).fill(255),
    };
    const others = modalities.filter((o) => o !== m);
    return [m, { others: others.map((o) => [o, outputs[`allocation/${o}`].shape[2]]), top, weights }];
  });
  const levels = Array.from({ length: outputs.rho.shape[1] }, (_, i) => i);
  return { ids: [id], pool: 1, levels, head: null, asked: modalities, of: Object.fromEntries(of) };
}
