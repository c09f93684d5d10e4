// The messages in the browser, and what they say of the picked sample. Nothing here draws.
import { answerOf } from "./answers.js";
import { decode } from "./decode.js";
import { fmt, quantile } from "./numbers.js";
import { gainOf, shareOf, tokensOf, weightsOf } from "./tokens.js";

/** @import {Answer, Attention, Block, Column, Comparison, Driver, Model, Points} from "./types.js" */
/** @import {Picture, Share, Sound, Table, Tokens} from "./types.js" */

/** An empty message is none. @template T @param {any} value @returns {T | null} */
const message = (value) => (value?.ids ? decode(value) : null);

/** The names of the messages that may arrive at any time. */
export const MESSAGES = /** @type {const} */ (["_points", "_block", "_attention", "_sound", "_picture", "_answer"]);

/** What was computed already, as long as what it came `of` is the same. */
class Kept {
  /** @param {unknown[]} of */
  constructor(of) {
    this.of = of;
    /** @type {Map<string, any>} */
    this.values = new Map();
  }

  /** @template T @param {string} key @param {() => T} compute @returns {T} */
  once(key, compute) {
    if (!this.values.has(key)) this.values.set(key, compute());
    return this.values.get(key);
  }
}

export class Data {
  /** @param {Model} model @param {Driver} driver */
  constructor(model, driver) {
    this.model = model;
    this.driver = driver;
    /** Is there one, which sends what is not here yet? */
    this.kernel = driver === "kernel";
    /** Can all that there is be shown of every sample? */
    this.complete = this.kernel || Boolean(model.complete);
    /** @type {Table} */
    this.table = decode(model.get("_table"));
    /** The trace that this one is compared with. @type {Comparison | null} */
    this.compared = model.get("_compared")?.says ? decode(model.get("_compared")) : null;
    this.ids = this.table.ids;
    this.rowOf = new Map(this.ids.map((id, i) => [id, i]));
    /** @type {Record<string, Record<string, Points>>} */
    this.points = {};
    /** @type {Block | null} */
    this.block = null;
    /** @type {Map<string, number>} */
    this.blockRows = new Map();
    /** The block that `lackers` belongs to. @type {Block | null} */
    this.lackingOf = null;
    /** @type {Set<number>} */
    this.lackers = new Set();
    /** @type {Attention | null} */
    this.attentions = null;
    /** @type {Sound | null} */
    this.sounds = null;
    /** @type {Picture | null} */
    this.pictures = null;
    /** @type {Answer | null} */
    this.answers = null;
    /** @type {Map<string, number[]>} */
    this.ranges = new Map();
    /** What several views ask for of the picked sample, until it is another's. */
    this.kept = new Kept([]);
    /** What tokens get, and at which gamma. @type {WeakMap<Tokens, {gamma: number, share: Share}>} */
    this.shares = new WeakMap();
    /** By what this trace gives, what the other one gives more. @type {WeakMap<Share, number[] | null>} */
    this.gains = new WeakMap();
    for (const name of MESSAGES) this.take(name);
  }

  /** Read a message anew. @param {typeof MESSAGES[number]} name */
  take(name) {
    const value = this.model.get(name);
    if (name === "_points") this.points = decode(value);
    else if (name === "_attention") this.attentions = message(value);
    else if (name === "_sound") this.sounds = message(value);
    else if (name === "_picture") this.pictures = message(value);
    else if (name === "_answer") this.answers = message(value);
    else {
      this.block = message(value);
      this.blockRows = new Map(this.block?.ids.map((id, i) => [id, i]));
    }
  }

  get picked() {
    return this.model.get("picked");
  }

  /** The picked sample's position in the table. */
  get row() {
    return this.rowOf.get(this.picked) ?? 0;
  }

  /** The picked sample's position in the block, -1 where its tokens are not here. */
  get blockRow() {
    return this.blockRows.get(this.picked) ?? -1;
  }

  /**
   * Where the samples lie at the present level, for a modality; undefined until the kernel has sent it.
   * @param {string} modality
   * @param {boolean} [other] in the trace that this one is compared with?
   */
  pointsOf(modality, other = false) {
    const kind = `${this.model.get("projection")}/${this.model.get("space")}`;
    return this.points[kind]?.[(other ? "b/" : "") + this.spaceKey(modality)];
  }

  /**
   * The same at one epoch: pairs from `start` on, one for each sample, of numbers from 0 to `width`.
   * @param {string} modality
   * @param {number} epoch
   * @param {boolean} [other]
   */
  placesOf(modality, epoch, other = false) {
    const points = this.pointsOf(modality, other);
    const start = other ? 0 : epoch * this.ids.length * 2;
    return points && { values: points.v, start, width: 2 * points.reach };
  }

  /** The name of the present space, for a modality. @param {string} modality */
  spaceKey(modality) {
    const space = this.model.get("space");
    return space.endsWith("_code") ? space : `${space}/${this.model.get("level")}/${modality}`;
  }

  keep() {
    const of = [this.block, this.blockRow, this.model.get("muted"), this.attentions];
    if (of.some((part, i) => part !== this.kept.of[i])) this.kept = new Kept(of);
    return this.kept;
  }

  /** @param {string} modality @param {number} level */
  tokens(modality, level) {
    if (!this.block) return null;
    const { block, blockRow } = this;
    const mutes = this.model.get("muted");
    return this.keep().once(`${modality}/${level}`, () => tokensOf(block, blockRow, modality, level, mutes));
  }

  /** @param {Tokens} tokens */
  share(tokens) {
    const gamma = this.model.get("gamma");
    const known = this.shares.get(tokens);
    if (known?.gamma === gamma) return known.share;
    const share = shareOf(tokens, gamma, this.table.sparse);
    this.shares.set(tokens, { gamma, share });
    return share;
  }

  /** Positions of the samples of which a page cannot show all; null where there are none. @type {Set<number> | null} */
  get lacking() {
    if (this.complete || !this.block) return null;
    if (this.lackingOf !== this.block) {
      this.lackingOf = this.block;
      this.lackers = new Set(this.ids.flatMap((id, row) => (this.blockRows.has(id) ? [] : [row])));
    }
    return this.lackers.size ? this.lackers : null;
  }

  /** What the other trace gives to each token more. @param {Tokens} tokens @param {Share} share */
  gain(tokens, share) {
    if (!this.compared) return null;
    const known = this.gains.get(share);
    if (known !== undefined) return known;
    const gain = gainOf(tokens, share, this.model.get("gamma"), this.compared.sparse);
    this.gains.set(share, gain);
    return gain;
  }

  /** The attention message, if it holds the picked sample. */
  get attention() {
    return this.attentions?.ids.includes(this.picked) ? this.attentions : null;
  }

  /** Has the kernel sent what the picked sample, level, modality and head ask for? */
  get attentionIsHere() {
    const a = this.attention;
    return Boolean(
      a?.levels.includes(this.model.get("level")) &&
        a.asked.includes(this.model.get("modality")) &&
        [null, this.model.get("head")].includes(a.head) &&
        this.blockRow >= 0,
    );
  }

  /** Has the kernel sent the attention of all levels and heads? */
  get everyMapIsHere() {
    const a = this.attention;
    return this.attentionIsHere && a?.head === null && a.levels.length === this.table.levels.length;
  }

  /** @param {string} modality @param {number} [level] @param {number} [head] */
  weights(modality, level = this.model.get("level"), head = this.model.get("head")) {
    const { attention, picked } = this;
    if (!attention) return null;
    const weights = () => weightsOf(attention, picked, modality, level, head, (m) => this.tokens(m, level));
    return this.keep().once(`${modality}/${level}/${head}`, weights);
  }

  /** The picked sample's WAV file. @param {string} modality */
  soundOf(modality) {
    const at = this.sounds?.ids.indexOf(this.picked) ?? -1;
    if (this.model.sound) return this.model.sound(modality);
    return this.sounds?.of[modality]?.[at]?.v ?? null;
  }

  /** What the picked sample's real tokens show, (token, height, width, color). @param {string} modality */
  pictureOf(modality) {
    const at = this.pictures?.ids.indexOf(this.picked) ?? -1;
    return this.pictures?.of[modality]?.[at] ?? null;
  }

  /** What the model says of the picked sample now. */
  answer() {
    const { model, row } = this;
    const waits = model.get("live") && (this.kernel || this.blockRow >= 0);
    const [gamma, muted] = [model.get("gamma"), model.get("muted")];
    return answerOf(this.table, this.answers, { row, sample: this.picked, gamma, muted, waits });
  }

  /**
   * The 10th, 50th and 90th percentile of the participation of all samples.
   * @param {string} modality
   * @param {number} level
   */
  participation(modality, level) {
    const key = `${modality}/${level}`;
    const cached = this.ranges.get(key);
    if (cached) return cached;
    const { levels, participation, present } = this.table;
    const values = this.ids
      .map((_, i) => i)
      .filter((i) => present[modality].v[i])
      .map((i) => participation[modality].v[i * levels.length + level])
      .sort((a, b) => a - b);
    const range = [0.1, 0.5, 0.9].map((q) => quantile(values, q));
    this.ranges.set(key, range);
    return range;
  }

  /** A column's value as text. @param {Column} column @param {number} row */
  valueOf(column, row) {
    const v = column.values.v[row];
    return column.kind === "category" ? (column.names[v] ?? "unknown") : (column.names[row] ?? fmt(v));
  }

  /** A column's value as text, by the column's name. @param {string} name @param {number} row */
  fact(name, row) {
    const column = this.table.columns.find((c) => c.name === name);
    return column && this.valueOf(column, row);
  }

  /**
   * The names of the outputs that are true of a sample; for regression its label.
   * @param {number} row
   * @returns {Set<string>}
   */
  truthOf(row) {
    const { columns, task, outputs } = this.table;
    if (this.model.edited) return new Set();
    const labels = columns.filter((c) => c.name === "label" || (task === "multilabel" && c.name.startsWith("label ")));
    if (task !== "multilabel") return new Set(labels.map((c) => this.valueOf(c, row)).filter((name) => name));
    const true_ = labels.filter((c) => c.values.v[row] > 0);
    return new Set(true_.map((c) => (c.name === "label" ? outputs[0] : c.name.slice("label ".length))));
  }

  /** Why a page has nothing to show of the picked sample. @param {string} what */
  missingNote(what) {
    return `Of id ${this.picked} this page keeps no ${what}.`;
  }
}
