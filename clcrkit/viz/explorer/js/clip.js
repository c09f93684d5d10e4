// The sound: a clip of the test part by voice and digit, cut and shifted in time, seen and heard.
import { Canvas } from "./canvas.js";
import { button, h, inputValue } from "./dom.js";

/** @import {App} from "./app.js" */
/** @import {Clip, Tones} from "./types.js" */

/**
 * What is left of a clip: its frames from `from` to `to`, after `later` frames of silence.
 * @param {Clip} clip
 * @param {Float32Array} frames
 * @param {number} bands
 */
export function arranged({ from, to, later }, frames, bands) {
  const kept = frames.subarray(from * bands, to * bands);
  const all = new Float32Array(later * bands + kept.length);
  all.set(kept, later * bands);
  return all;
}

/**
 * The frames as a WAV file: one tone for each band, as loud as the band says. The same as `datasets.digits.sing`.
 * @param {Float32Array} frames
 * @param {Tones} tones
 */
export function sing(frames, { hertz, rate, hop, floor }) {
  const bands = hertz.length;
  const wave = new Float32Array((frames.length / bands) * hop);
  let peak = 1e-6;
  for (let t = 0; t < wave.length; t++) {
    const start = Math.floor(t / hop) * bands;
    for (let b = 0; b < bands; b++) {
      const level = frames[start + b];
      if (level <= 0) continue;
      wave[t] += 10 ** ((-floor * (level - 1)) / 20) * Math.sin((2 * Math.PI * hertz[b] * t) / rate + b * b);
    }
    peak = Math.max(peak, Math.abs(wave[t]));
  }
  const file = new DataView(new ArrayBuffer(44 + 2 * wave.length));
  [..."RIFF....WAVEfmt "].forEach((c, i) => {
    file.setUint8(i, c.charCodeAt(0));
  });
  file.setUint32(4, 36 + 2 * wave.length, true);
  file.setUint32(16, 16, true);
  file.setUint16(20, 1, true); // plain numbers,
  file.setUint16(22, 1, true); // one channel,
  file.setUint32(24, rate, true);
  file.setUint32(28, 2 * rate, true);
  file.setUint16(32, 2, true); // two bytes each
  file.setUint16(34, 16, true);
  [..."data"].forEach((c, i) => {
    file.setUint8(36 + i, c.charCodeAt(0));
  });
  file.setUint32(40, 2 * wave.length, true);
  wave.forEach((v, t) => {
    file.setInt16(44 + 2 * t, Math.round((0.5 * v * 32767) / peak), true);
  });
  return new Uint8Array(file.buffer);
}

export class ClipPanel {
  /**
   * @param {App} app
   * @param {HTMLElement} parent
   * @param {{voices: string[], digits: string[], bands: number, hopMs: number, latest: number}} about
   * @param {(choice: {voice?: string, digit?: string, next?: boolean}) => void} onchoose
   * @param {(clip: Clip) => void} onchange
   */
  constructor(app, parent, about, onchoose, onchange) {
    this.app = app;
    this.about = about;
    this.onchange = onchange;
    /** @type {Clip} */
    this.clip = { sample: "", from: 0, to: 0, later: 0 };
    this.length = 0;
    this.frames = new Float32Array();
    this.canvas = new Canvas(
      app,
      parent,
      74,
      "The sound the model gets: pitch upwards, time to the right.",
      (ctx, w, hh) => this.draw(ctx, w, hh),
    );
    /** @param {string} label @param {string[]} options @param {(value: string) => void} run */
    const select = (label, options, run) => {
      const items = options.map((value) => h("option", { value, text: value }));
      const onchange = (/** @type {Event} */ event) => run(inputValue(event));
      return h("select", { "aria-label": label, onchange }, ...items);
    };
    this.voice = select("Voice", about.voices, (voice) => onchoose({ voice }));
    this.digit = select("Spoken digit", about.digits, (digit) => onchoose({ digit }));
    this.listen = button("▶ listen", () => app.player.toggle("acoustic"));
    this.listen.classList.add("clcr-play");
    const next = button("other take", () => onchoose({ next: true }));
    parent.append(
      h(
        "div",
        { class: "clcr-controls" },
        ...[this.voice, this.digit].map((el) => h("span", {}, el)),
        next,
        this.listen,
      ),
    );
    this.from = this.slider("from", (from) => ({ from: Math.min(from, this.clip.to - 1) }));
    this.to = this.slider("to", (to) => ({ to: Math.max(to, this.clip.from + 1) }));
    this.later = this.slider("later by", (later) => ({ later }));
    for (const { el } of [this.from, this.to, this.later]) parent.append(el);
  }

  /** @param {string} name @param {(value: number) => Partial<Clip>} change */
  slider(name, change) {
    const oninput = (/** @type {Event} */ event) =>
      this.onchange({ ...this.clip, ...change(Number(inputValue(event))) });
    const input = h("input", { type: "range", min: 0, max: 1, step: 1, "aria-label": `sound: ${name}`, oninput });
    const output = h("output", {});
    return { el: h("label", { class: "clcr-control" }, h("span", { text: name }), input, output), input, output };
  }

  /**
   * @param {Clip} clip
   * @param {number} length of the whole clip
   * @param {string} voice
   * @param {string} digit
   * @param {Float32Array} frames
   */
  show(clip, length, voice, digit, frames) {
    Object.assign(this, { clip, length, frames });
    this.voice.value = voice;
    this.digit.value = digit;
    /** @type {[{input: HTMLInputElement, output: HTMLOutputElement}, number, number][]} */
    const rows = [
      [this.from, clip.from, length - 1],
      [this.to, clip.to, length],
      [this.later, clip.later, this.about.latest],
    ];
    for (const [{ input, output }, value, most] of rows) {
      input.max = String(most);
      input.value = String(value);
      output.textContent = `${value * this.about.hopMs} ms`;
      input.setAttribute("aria-valuetext", output.textContent);
    }
    this.canvas.paint();
  }

  update() {
    const playing = this.app.player.playing?.modality === "acoustic";
    this.listen.textContent = playing ? "■ stop" : "▶ listen";
    this.listen.disabled = !this.frames.length;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height */
  draw(ctx, width, height) {
    const { bands } = this.about;
    const count = this.frames.length / bands;
    const step = Math.min(12, width / Math.max(1, count));
    for (let t = 0; t < count; t++) {
      for (let b = 0; b < bands; b++) {
        ctx.fillStyle = this.app.theme.ramp(0.05 + 0.9 * this.frames[t * bands + b]);
        ctx.fillRect(t * step, height - ((b + 1) * height) / bands, step + 0.5, height / bands + 0.5);
      }
    }
  }
}
