// Three gates that sum to 1: each sample is a point between three corners.
import { line, mark, pen, write } from "./canvas.js";
import { Cloud } from "./cloud.js";
import { barycentric, enlarge, triangle } from "./geometry.js";
import { clamp, fmt } from "./numbers.js";

/** @import {Gates} from "./gates.js" */
/** @import {CloudPoints, Gate, Place} from "./types.js" */

export class GateTriangle {
  /**
   * @param {Gates} gates
   * @param {HTMLElement} parent
   * @param {Gate} gate
   * @param {string} title
   * @param {string[]} names
   */
  constructor(gates, parent, gate, title, names) {
    this.gates = gates;
    this.app = gates.app;
    this.gate = gate;
    this.names = names;
    this.values = this.app.data.table[gate].v;
    const corners = names.join(", ");
    const label = `${title}: each sample is a point between ${corners}; the nearer a corner, the more it counts.`;
    this.cloud = new Cloud(this.app, parent, 236, label, {
      key: () => `${gate}${gates.zoom ? " zoomed" : ""}`,
      place: (width, height) => this.place(this.corners(width, height)),
      frame: (ctx, width, height) => this.frame(ctx, width, height),
      above: (ctx, width, height) => this.drawMeans(ctx, this.corners(width, height)),
      overlay: () => [gates.means(gate)],
      marks: (width, height) => {
        const corners = this.corners(width, height);
        return gates.nowAndTraced(gate).map(([values, ghost]) => [...barycentric(values, 0, corners), ghost]);
      },
      heightAt: (width) => Math.round(clamp((width - 20) * 0.866 + 46, 150, 320)),
    });
  }

  update() {
    this.cloud.update();
  }

  /**
   * Every place is a mean of the corners, so zooming is nothing but moving the corners.
   * @param {number} width
   * @param {number} height
   * @returns {Place[]}
   */
  corners(width, height) {
    const corners = triangle(width, height);
    if (!this.gates.zoom) return corners;
    const { x, y } = this.place(corners);
    return corners.map(enlarge(x, y, [width, height], 50));
  }

  /** @param {Place[]} corners @returns {CloudPoints} */
  place(corners) {
    const { values } = this;
    const n = this.app.data.ids.length;
    const points = { x: new Float32Array(n), y: new Float32Array(n), sample: new Int32Array(n) };
    const [[ax, ay], [bx, by], [cx, cy]] = corners;
    for (let i = 0; i < n; i++) {
      const [a, b, c] = [values[3 * i], values[3 * i + 1], values[3 * i + 2]];
      points.x[i] = a * ax + b * bx + c * cx;
      points.y[i] = a * ay + b * by + c * cy;
      points.sample[i] = i;
    }
    return points;
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} width @param {number} height */
  frame(ctx, width, height) {
    const { theme } = this.app;
    const corners = this.corners(width, height);
    const [a, b, c] = corners;
    pen(ctx, theme.ink(0.45), 1);
    line(ctx, [a, b, c, a]);
    pen(ctx, theme.ink(0.13), 1);
    for (const q of [0.25, 0.5, 0.75]) {
      for (const gate of [0, 1, 2]) this.drawLevelLine(ctx, q, gate, corners);
    }
    ctx.font = theme.font(11, true);
    const below = Math.min(height - 6, a[1] + 16);
    const ink = theme.ink(0.85);
    write(ctx, this.names[0], Math.max(0, a[0] - 10), below, "left", ink);
    write(ctx, this.names[1], Math.min(width, b[0] + 10), below, "right", ink);
    write(ctx, this.names[2], clamp(c[0], 30, width - 30), Math.max(12, c[1] - 8), "center", ink);
    if (!this.gates.zoom) return;
    const [left, right] = triangle(width, height);
    const times = (b[0] - a[0]) / (right[0] - left[0]);
    ctx.font = theme.font(11);
    write(ctx, `× ${fmt(times, times < 10 ? 1 : 0)}`, 0, 12, "left", theme.ink(0.65));
  }

  /**
   * Where one gate is q.
   * @param {CanvasRenderingContext2D} ctx
   * @param {number} q
   * @param {number} gate
   * @param {Place[]} corners
   */
  drawLevelLine(ctx, q, gate, corners) {
    const from = [0, 0, 0];
    const to = [0, 0, 0];
    from[gate] = to[gate] = q;
    from[(gate + 1) % 3] = 1 - q;
    to[(gate + 2) % 3] = 1 - q;
    line(ctx, [barycentric(from, 0, corners), barycentric(to, 0, corners)]);
  }

  /** The mean of each group, as its large mark. @param {CanvasRenderingContext2D} ctx @param {Place[]} corners */
  drawMeans(ctx, corners) {
    const { theme } = this.app;
    for (const { mean, look } of this.gates.means(this.gate)) {
      const [x, y] = barycentric(mean, 0, corners);
      mark(ctx, look.shape, x, y, 6.5);
      pen(ctx, theme.paper, 3);
      ctx.stroke();
      ctx.fillStyle = look.color;
      ctx.fill();
      pen(ctx, theme.ink(0.9), 1.2);
      ctx.stroke();
    }
  }
}
