// From the outputs of the model in the page to the messages that a kernel would have sent. Pure.
/** @import {Answer, Mute, Place, Values} from "./types.js" */

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
