// A CLCR as ONNX, run by onnxruntime-web on one thread; nothing is fetched.
/** @import {Mute, Sample, Values} from "./types.js" */

export class Network {
  /**
   * @param {any} session
   * @param {number} levels
   * @param {number} repeats how often the model's levels hold each token
   */
  constructor(session, levels, repeats) {
    this.session = session;
    this.levels = levels;
    this.repeats = repeats;
    /** One run at a time. @type {Promise<any>} */
    this.last = Promise.resolve();
  }

  /**
   * @param {ArrayBuffer} wasm onnxruntime's machine code
   * @param {ArrayBuffer} model
   * @param {number} levels
   * @param {number} repeats
   */
  static async open(wasm, model, levels, repeats) {
    const { ort } = /** @type {any} */ (globalThis);
    Object.assign(ort.env.wasm, { wasmBinary: wasm, numThreads: 1 });
    const session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
    return new Network(session, levels, repeats);
  }

  /**
   * Everything the model computes from some samples, by its name in a Trace.
   * @param {Sample[]} samples padded to the longest of them
   * @param {number} gamma
   * @param {Mute[]} muted in all of the samples
   * @returns {Promise<Record<string, Values>>}
   */
  run(samples, gamma, muted) {
    const run = async () => {
      const outputs = await this.session.run(this.feeds(samples, gamma, muted));
      const names = Object.keys(outputs);
      return Object.fromEntries(names.map((name) => [name, { shape: outputs[name].dims, v: outputs[name].data }]));
    };
    this.last = this.last.then(run, run);
    return this.last;
  }

  /** @param {Sample[]} samples @param {number} gamma @param {Mute[]} muted */
  feeds(samples, gamma, muted) {
    const { Tensor } = /** @type {any} */ (globalThis).ort;
    /** @type {Record<string, any>} */
    const feeds = { gamma: new Tensor("float32", Float32Array.of(gamma), []) };
    const n = samples.length;
    for (const m of Object.keys(samples[0])) {
      const length = Math.max(1, ...samples.map((sample) => sample[m].mask.length));
      const { size, ids } = samples[0][m];
      const mask = new Uint8Array(n * length);
      const values = new Float32Array(n * length * size);
      samples.forEach((sample, i) => {
        mask.set(sample[m].mask, i * length);
        values.set(sample[m].values, i * length * size);
      });
      feeds[`batch.masks/${m}`] = new Tensor("bool", mask, [n, length]);
      feeds[`batch.tokens/${m}`] = ids
        ? new Tensor("int64", BigInt64Array.from(values, BigInt), [n, length])
        : new Tensor("float32", values, [n, length, size]);
      feeds[`mute/${m}`] = new Tensor("bool", this.muteOf(m, muted, n, length), [
        n,
        this.levels,
        this.repeats * length,
      ]);
    }
    return feeds;
  }

  /** @param {string} modality @param {Mute[]} muted @param {number} n @param {number} length */
  muteOf(modality, muted, n, length) {
    const tokens = this.repeats * length;
    const mute = new Uint8Array(n * this.levels * tokens);
    for (const [m, level, token] of muted) {
      if (m !== modality || token >= tokens) continue;
      for (let i = 0; i < n; i++) mute[(i * this.levels + level) * tokens + token] = 1;
    }
    return mute;
  }
}
