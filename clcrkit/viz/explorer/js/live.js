// The third driver: the model itself runs in the page and answers whatever is asked of a sample whose input is kept.
import { follow } from "./address.js";
import { App } from "./app.js";
import { decode, inflate, revive } from "./decode.js";
import { answerFrom } from "./messages.js";
import { Network } from "./network.js";
import { PageModel } from "./page.js";

/** @import {Inputs, Sample, State, Values} from "./types.js" */

const ASKS = ["picked", "gamma", "muted"];

export class LiveModel extends PageModel {
  /** @param {State & {_inputs: Inputs}} state @param {Promise<Network>} network */
  constructor(state, network) {
    super(state);
    this.network = network;
    /** @type {Inputs} */
    this.inputs = decode(state._inputs);
    this.asking = false;
    this.again = false;
  }

  /** @template {keyof State} K @param {K} name @param {State[K]} value */
  set(name, value) {
    super.set(name, value);
    if (ASKS.includes(name)) this.ask();
  }

  /** What the model is to read of the picked sample; null where its input is not kept. @returns {Sample | null} */
  sample() {
    const row = this.inputs.ids.indexOf(this.get("picked"));
    return row < 0 ? null : sampleOf(this.inputs, row);
  }

  /** Have the present question answered; questions that come meanwhile wait, and only the last of them is asked. */
  async ask() {
    this.again = true;
    if (this.asking) return;
    this.asking = true;
    try {
      const network = await this.network;
      while (this.again) {
        this.again = false;
        const sample = this.sample();
        const [gamma, muted] = [this.get("gamma"), this.get("muted")];
        if (sample) this.take(await network.run([sample], gamma, muted), sample);
      }
    } catch (error) {
      super.set("error", `The model does not run here: ${error instanceof Error ? error.message : error}`);
    } finally {
      this.asking = false;
    }
  }

  /** @param {Record<string, Values>} outputs @param {Sample} _sample */
  take(outputs, _sample) {
    super.set(
      "_answer",
      answerFrom(outputs, this.get("picked"), this.get("gamma"), this.get("muted"), this.inputs.maps),
    );
  }
}

/** One kept input. @param {Inputs} inputs @param {number} row @returns {Sample} */
export function sampleOf({ tokens, masks, repeats }, row) {
  const each = Object.keys(masks).map((m) => {
    const { shape, v } = tokens[m];
    const [, length, size = 1] = shape;
    const mask = Uint8Array.from(masks[m].v.subarray(row * length, (row + 1) * length));
    // what comes after the last token costs time; in repeated tokens it also has a place
    const kept = repeats > 1 ? length : mask.lastIndexOf(1) + 1;
    const values = Float32Array.from(v.subarray(row * length * size, (row * length + kept) * size));
    return [m, { size, ids: shape.length === 2, mask: mask.subarray(0, kept), values }];
  });
  return Object.fromEntries(each);
}

/**
 * @param {any} state with places in the arrays instead of bytes
 * @param {string} packed all arrays, deflated, in base64
 * @param {string} wasm gzip in base64, as the next one
 * @param {string} onnx
 */
export async function openModel(state, packed, wasm, onnx) {
  const revived = revive(state, await inflate(packed, "deflate"));
  const open = async () => {
    const [code, model] = await Promise.all([inflate(wasm, "gzip"), inflate(onnx, "gzip")]);
    return Network.open(code, model, revived._table.levels.length, revived._inputs.repeats);
  };
  return { state: revived, network: open() };
}

/**
 * @param {HTMLElement} root
 * @param {any} state
 * @param {string} packed
 * @param {string} wasm
 * @param {string} onnx
 */
export async function openLivePage(root, state, packed, wasm, onnx) {
  const opened = await openModel(state, packed, wasm, onnx);
  const model = new LiveModel(opened.state, opened.network);
  model.ask();
  return follow(new App(model, root, "onnx"));
}
