// From the messages about tokens to what one lane or one attention map draws. Pure.
import { project } from "./numbers.js";

/** @import {Attention, Block, Mute, Share, Speaker, Tokens, Values, Weights} from "./types.js" */

/**
 * The real tokens of one modality of the sample at `row` of the block; null where there are none.
 * @param {Block} block
 * @param {number} row
 * @param {string} modality
 * @param {number} level
 * @param {Mute[]} mutes
 * @returns {Tokens | null}
 */
export function tokensOf(block, row, modality, level, mutes) {
  const lane = block.lanes[modality];
  if (row < 0 || !lane) return null;
  const [, levels, length] = lane.evidence.shape;
  /** @type {number[]} */
  const positions = [];
  for (let t = 0; t < length; t++) if (lane.mask.v[row * length + t]) positions.push(t);
  if (!positions.length) return null;
  const start = (row * levels + level) * length;
  /** @param {Values} values */
  const take = (values) => positions.map((t) => values.v[start + t]);
  const muted = positions.map((t) => mutes.some(([m, l, token]) => m === modality && l === level && token === t));
  const bins = lane.features?.shape[2] ?? 0;
  /** What tokens ask for; those that are muted ask for nothing. @param {Values} values */
  const asked = (values) => take(values).map((v, i) => (muted[i] ? 0 : v));
  return {
    modality,
    positions,
    evidence: take(lane.evidence),
    activation: asked(lane.activation),
    muted,
    text: positions.map((t) => block.texts[lane.text.v[row * length + t]]),
    truth: lane.truth ? take(lane.truth) : null,
    bins,
    features: lane.features && bins ? strips(lane.features, row, positions) : null,
    threshold: block.threshold ? block.threshold.v[row * levels + level] : null,
    scale: block.scale ? block.scale.v[row * levels + level] : 1,
    budget: lane.budget.v[row * levels + level],
    other:
      lane.other && lane.other_budget
        ? { activation: asked(lane.other), budget: lane.other_budget.v[row * levels + level] }
        : null,
  };
}

/**
 * The input of each token as bytes, one strip after the other.
 * @param {Values} features
 * @param {number} row
 * @param {number[]} positions
 */
function strips(features, row, positions) {
  const [, length, bins] = features.shape;
  const bytes = new Uint8Array(positions.length * bins);
  positions.forEach((t, i) => {
    for (let b = 0; b < bins; b++) bytes[i * bins + b] = features.v[(row * length + t) * bins + b];
  });
  return bytes;
}

/**
 * What each token gets at this gamma; without a budget, all that it asks for.
 * @param {Tokens} tokens
 * @param {number} gamma
 * @param {boolean} sparse
 * @returns {Share}
 */
export function shareOf(tokens, gamma, sparse) {
  if (!sparse) return { budget: tokens.budget, cutoff: 0, allocation: tokens.activation };
  const budget = tokens.budget * gamma;
  return { budget, ...project(tokens.activation, budget) };
}

/**
 * What each token gets in the other trace, less what it gets in this one; null where there is none.
 * @param {Tokens} tokens
 * @param {Share} share
 * @param {number} gamma
 * @param {boolean} sparse has the other one a budget?
 */
export function gainOf(tokens, share, gamma, sparse) {
  if (!tokens.other) return null;
  const { allocation } = shareOf({ ...tokens, ...tokens.other }, gamma, sparse);
  return allocation.map((part, i) => part - share.allocation[i]);
}

/**
 * The evidence above which a token gets a share; null without a budget.
 * @param {Tokens} tokens
 * @param {number} cutoff
 */
export function cutOf(tokens, cutoff) {
  return tokens.threshold === null ? null : tokens.threshold + cutoff / tokens.scale;
}

/**
 * The weights between real tokens, of one head or (head -1) their mean; null where nobody listens or speaks, or the
 * head is not there. Tokens of one block have its mean.
 * @param {Attention} attention
 * @param {string} sample
 * @param {string} modality
 * @param {number} level
 * @param {number} head
 * @param {(modality: string) => Tokens | null} tokensAt
 * @returns {Weights | null}
 */
export function weightsOf(attention, sample, modality, level, head, tokensAt) {
  const tokens = tokensAt(modality);
  const listener = attention.of[modality];
  const { pool } = attention;
  const at = attention.levels.indexOf(level);
  if (!tokens || !listener || at < 0 || ![null, head].includes(attention.head)) return null;
  const row = attention.ids.indexOf(sample);
  const [, levels, heads, length, width] = listener.weights.shape;
  /** @type {Speaker[]} */
  const speakers = [];
  let offset = 0;
  for (const [other, width] of listener.others) {
    const its = tokensAt(other);
    its?.positions.forEach((position, i) => {
      speakers.push({ modality: other, i, position, at: offset + Math.floor(position / pool), text: its.text[i] });
    });
    offset += width;
  }
  if (!speakers.length) return null;
  const rows = tokens.positions.length;
  const columns = speakers.length;
  const weights = new Float32Array(rows * columns);
  const isAll = attention.head !== null || head < 0; // all that is here
  const chosen = isAll ? Array.from({ length: heads }, (_, i) => i) : [head];
  const [parts, places] = [listener.weights.v, Int32Array.from(speakers, (speaker) => speaker.at)];
  tokens.positions.forEach((t, i) => {
    for (const h of chosen) {
      const line = ((row * levels + at) * heads + h) * length + Math.floor(t / pool);
      const scale = listener.top.v[line] / 255 / chosen.length;
      for (let j = 0; j < columns; j++) weights[i * columns + j] += parts[line * width + places[j]] * scale;
    }
  });
  return { tokens, rows, speakers, weights };
}

/**
 * Which links to draw: at most `most`, the strongest, and what part of the whole weight they carry.
 * @param {Float32Array} weights
 * @param {number} most
 */
export function strongest(weights, most) {
  let all = 0;
  let total = 0;
  let peak = 0;
  for (const v of weights) {
    if (!(v > 0)) continue;
    all++;
    total += v;
    if (v > peak) peak = v;
  }
  const least = all > most ? Float32Array.from(weights).sort()[weights.length - most] : 0;
  const links = [];
  let carried = 0;
  for (let q = 0; q < weights.length; q++) {
    if (!(weights[q] > 0 && weights[q] >= least && links.length < most)) continue;
    links.push(q);
    carried += weights[q];
  }
  return { links, all, peak, part: total ? carried / total : 0 };
}
