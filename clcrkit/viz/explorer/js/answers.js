// What the model says of the picked sample at the explorer's gamma, as far as it is in the browser. Pure.
import { fmt, nearestIndex, sigmoids, softmax } from "./numbers.js";

/** @import {Answer, Mute, Numbers, Saying, Table, Values} from "./types.js" */

/**
 * @typedef {object} Question
 * @property {number} row of the sample in the table
 * @property {string} sample its id
 * @property {number} gamma
 * @property {Mute[]} muted
 * @property {boolean} waits is there a model that answers whatever is asked of this sample?
 */

/** @param {Table} table @param {Answer | null} answer @param {Question} question @returns {Saying} */
export function answerOf(table, answer, { row, sample, gamma, muted, waits }) {
  /** @param {Values} values @param {number} at */
  const cut = (values, at) => {
    const width = values.shape[values.shape.length - 1];
    return values.v.subarray(at * width, (at + 1) * width);
  };
  const traced = cut(table.prediction, row);
  const at = answer ? answer.ids.indexOf(sample) : -1;
  if (!answer || at < 0) {
    const moved = Math.abs(gamma - table.gamma) > 1e-9;
    const why = answer
      ? "this sample's other answers are not in the page"
      : "without a model only the allocation follows γ";
    const asTraced = moved ? `as traced at γ = ${fmt(table.gamma)}; ${why}` : `at γ = ${fmt(gamma)}`;
    return {
      prediction: traced,
      traced,
      level_gate: cut(table.level_gate, row),
      modality_gate: cut(table.modality_gate, row),
      private_gate: cut(table.private_gate, row),
      note: waits ? "waiting for the model…" : asTraced,
    };
  }
  const { gammas } = answer;
  const g = nearestIndex(gammas, gamma);
  const exact =
    Math.abs(gammas[g] - gamma) < 1e-9 && (!answer.muted || JSON.stringify(answer.muted) === JSON.stringify(muted));
  const others = waits ? "waiting for the model…" : `at γ = ${fmt(gammas[g])}, the nearest kept`;
  const place = at * gammas.length + g;
  return {
    place: exact ? answer.place : undefined,
    prediction: cut(answer.prediction, place),
    traced,
    level_gate: cut(answer.level_gate, place),
    modality_gate: cut(answer.modality_gate, place),
    private_gate: cut(answer.private_gate, place),
    note: exact ? `at γ = ${fmt(gamma)}${muted.length ? `, ${muted.length} muted` : ""}` : others,
  };
}

/** The outputs as they are read: probabilities, or the value. @param {Numbers} outputs @param {Table["task"]} task */
export function readings(outputs, task) {
  if (task === "regression") return Array.from(outputs);
  return task === "multilabel" ? sigmoids(outputs) : softmax(outputs);
}
