// The playground: a sample that the reader makes, and the explorer's views of what the model makes of it.
import { App } from "./app.js";
import { sing } from "./clip.js";
import { LiveModel, openModel, sampleOf } from "./live.js";
import { attentionFrom, blockFrom } from "./messages.js";
import { Workbench } from "./workbench.js";

/** @import {Network} from "./network.js" */
/** @import {Input, Playground, Sample, State, Values} from "./types.js" */

export class PlaygroundModel extends LiveModel {
  /** @param {State & {_inputs: any}} state @param {Promise<Network>} network @param {Playground} about */
  constructor(state, network, about) {
    super(state, network);
    this.about = about;
    this.complete = true;
    /** What the reader made, by modality. @type {Record<string, Input>} */
    this.edits = {};
    /** @type {Set<string>} */
    this.silent = new Set();
    /** The last pass. @type {{sample: Sample, outputs: Record<string, Values>} | null} */
    this.pass = null;
  }

  /** Is the sample another one than it was? */
  get edited() {
    return Object.keys(this.edits).length > 0;
  }

  /** @template {keyof State} K @param {K} name @param {State[K]} value */
  set(name, value) {
    if (name === "picked") this.edits = {};
    super.set(name, value);
  }

  /** @param {string} modality @param {Input} input */
  edit(modality, input) {
    this.edits = { ...this.edits, [modality]: input };
    this.set(
      "muted",
      this.get("muted").filter(([m, , token]) => m !== modality || token < input.mask.length),
    );
  }

  /** The picked sample, as the reader has changed it. @returns {Sample | null} */
  whole() {
    const row = this.inputs.ids.indexOf(this.get("picked"));
    return row < 0 ? null : { ...sampleOf(this.inputs, row), ...this.edits };
  }

  /** @returns {Sample | null} */
  sample() {
    const whole = this.whole();
    if (!whole) return null;
    const each = Object.entries(whole).map(([m, input]) => [
      m,
      this.silent.has(m) ? { ...input, mask: new Uint8Array(input.mask.length) } : input,
    ]);
    return Object.fromEntries(each);
  }

  /** @param {Record<string, Values>} outputs @param {Sample} sample */
  take(outputs, sample) {
    const [id, { modalities }] = [this.get("picked"), this.get("_table")];
    const { letters, hopMs, ranges } = this.about;
    /** @type {Record<string, string[]>} */
    const texts = {
      vision: Array.from(sample.vision.mask, (_, i) => `row ${i + 1}`),
      acoustic: Array.from(sample.acoustic.mask, (_, i) => `${i * hopMs} ms`),
      language: Array.from(sample.language.values, (letter) => letters[letter]),
    };
    this.pass = { sample, outputs };
    this.set("_block", blockFrom(outputs, id, sample, texts, ranges));
    this.set("_attention", attentionFrom(outputs, id, modalities));
    super.take(outputs, sample);
  }

  /** The sound as it is now, for whoever wants to listen. */
  sound() {
    const input = this.sample()?.acoustic;
    if (!input?.mask.includes(1)) return null;
    return sing(input.values, this.about.tones);
  }
}

/**
 * @param {HTMLElement} root
 * @param {any} state
 * @param {string} packed
 * @param {string} wasm
 * @param {string} onnx
 */
export async function openPlayground(root, state, packed, wasm, onnx) {
  const opened = await openModel(state, packed, wasm, onnx);
  const model = new PlaygroundModel(opened.state, opened.network, opened.state._playground);
  await model.ask();
  const app = new App(model, root, "onnx");
  new Workbench(app, model);
  return app;
}
