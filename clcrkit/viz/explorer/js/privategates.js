// The private gates of all samples: a row of points for each modality.
import { write } from "./canvas.js";
import { Cloud } from "./cloud.js";
import { clamp, scattered } from "./numbers.js";

/** @import {Gates} from "./gates.js" */
/** @import {CloudPoints, Place} from "./types.js" */

const LEFT = 88;
const RIGHT = 16;
const ROW = 42;

/** @param {number} gate @param {number} width */
const xOf = (gate, width) => LEFT + clamp(gate, 0, 1) * (width - LEFT - RIGHT);

export class PrivateGates {
  /** @param {Gates} gates @param {HTMLElement} parent */
  constructor(gates, parent) {
    this.app = gates.app;
    const { modalities } = this.app.data.table;
    const label = "Private gates of all samples, one row for each modality.";
    this.cloud = new Cloud(this.app, parent, ROW * modalities.length + 22, label, {
      key: () => "private",
      place: (width) => this.place(width),
      frame: (ctx, width, height) => this.frame(ctx, width, height),
      marks: (width) =>
        gates
          .nowAndTraced("private_gate")
          .flatMap(([values, ghost]) =>
            modalities.map(
              (_, m) => /** @type {[number, number, boolean]} */ ([xOf(values[m], width), 21 + ROW * m, ghost]),
            ),
          ),
    });
  }

  update() {
    this.cloud.update();
  }

  /** @param {number} width @returns {CloudPoints} */
  place(width) {
    const { ids, table } = this.app.data;
    const { modalities, private_gate, present } = table;
    const most = ids.length * modalities.length;
    const [x, y] = [new Float32Array(most), new Float32Array(most)];
    const [sample, layer] = [new Int32Array(most), new Uint8Array(most)];
    let n = 0;
    modalities.forEach((modality, m) => {
      const there = present[modality].v;
      for (let i = 0; i < ids.length; i++) {
        if (!there[i]) continue;
        x[n] = xOf(private_gate.v[i * modalities.length + m], width);
        y[n] = 21 + ROW * m + (scattered(i) - 0.5) * 32;
        sample[n] = i;
        layer[n] = m;
        n++;
      }
    });
    return { x: x.subarray(0, n), y: y.subarray(0, n), sample: sample.subarray(0, n), layer: layer.subarray(0, n) };
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height */
  frame(ctx, width, height) {
    const { theme, data } = this.app;
    ctx.font = theme.font(11);
    data.table.modalities.forEach((name, m) => {
      ctx.fillStyle = theme.ink(0.05);
      ctx.fillRect(xOf(0, width), 2 + ROW * m, xOf(1, width) - xOf(0, width), 38);
      write(ctx, name, 70, 25 + ROW * m, "right", theme.ink(0.85));
    });
    for (const v of [0, 0.5, 1]) write(ctx, String(v), xOf(v, width), height - 6, "center", theme.ink(0.65));
  }
}
