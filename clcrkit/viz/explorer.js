// The explorer's browser side. One module serves the live widget (anywidget calls `render`) and the saved page
// (`openPage`). Both give it a model with get, set, on and save_changes; it draws, and never asks the network.
// Text reaches the page as text nodes only, so that no label can bring markup along.

const TYPES = { f4: Float32Array, f8: Float64Array, i4: Int32Array, u2: Uint16Array, u1: Uint8Array };
const LINKS = 250; // drawn at most; more is a blot, and the note under the picture says how many were left out
const LONG = 2500; // from this many pairs of tokens on, a heat map is the better picture

const EXPLAIN = {
  level: "Level: how far the encoder has looked. Shallow tokens see their neighbours, deep ones long stretches.",
  gamma: "γ multiplies every budget. Lower it and fewer tokens get a share of the exchange; 1 is as trained.",
  evidence: "Evidence e: the length of a token's shared part. The model asks: how much has it to say to the others?",
  threshold: "Threshold: the evidence at which the activation is one half, learned for each level.",
  activation: "Activation a: evidence squeezed to 0..1 around the threshold. It is what a token asks for.",
  cutoff: "Cut-off λ: what the budget takes from every activation. A token below the line gets nothing.",
  allocation: "Allocation α: what a token gets, a − λ, never below 0. It weighs its attention and its part in the summary.",
  budget: "Budget B: tokens' worth of shares that one modality may spend at this level, γ times what was learned.",
  participation: "Participation r: allocated share for each real token, between 0 (silent) and 1 (all take part).",
  prediction: "Prediction: what the model's head says. The small tick is the answer as traced.",
  attention: "Attention: of what a token hears, the part that comes from each token of the other modalities.",
  weighted: "Weighted: attention times the listener's allocation α, which is what really enters the token.",
  levelgate: "Level gate ω: how much each level counts in the codes. The three sum to 1, so each sample is one point.",
  modalitygate: "Modality gate: how much each modality gives to the shared code. The gates sum to 1.",
  privategate: "Private gate η: how far each modality's private summary is let in; each lies between 0 and 1 on its own.",
  space: "Shared: what modalities can exchange. Private: what each keeps. The codes are what the prediction is made from.",
  projection: "The two directions drawn. PCA keeps the largest spread; UMAP keeps neighbours, not distances.",
  zoom: "Enlarge the picture around its points. Off, the range is fixed, so that pictures can be compared.",
  probe: "A linear classifier reads each target from this space, cross-validated. Only what stands above its shuffled control is really there.",
  shuffled: "The same classifier trained on shuffled labels: what the number of samples alone would give.",
  selection: "Click a point, or draw a loop around several. Shift adds to the selection; Esc clears it.",
};

const LIGHT = ["#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#B8A200", "#6E6E6E"];
const DARK = ["#F0AE1E", "#7CC7F2", "#22B78C", "#4A96E0", "#F0763A", "#DD93BC", "#E8DC55", "#A8A8A8"];
const MODALITY_LIGHT = ["#0072B2", "#C2500A", "#00845F", "#A8558A", "#8A7A00", "#3A8FC4"];
const MODALITY_DARK = ["#5AA9EE", "#F08A4B", "#35C499", "#DD93BC", "#E0D04A", "#9AD4F7"];
const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 183, 106], [254, 232, 56]];
const SHAPES = ["circle", "square", "triangle", "diamond", "plus"];

// --- small tools ---------------------------------------------------------------------------------------------

function h(tag, given = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else if (name === "text") el.textContent = value;
    else if (value === true) el.setAttribute(name, "");
    else if (value !== false && value != null) el.setAttribute(name, value);
  }
  el.append(...children.filter((c) => c != null));
  // JupyterLab would take the arrow keys of any focused control for its own cells
  if (/^(input|select|button|canvas)$/.test(tag)) el.setAttribute("data-lm-suppress-shortcuts", "true");
  return el;
}

const fmt = (x, digits = 2) => (Number.isFinite(x) ? x.toFixed(digits).replace(/^-(0(\.0+)?)$/, "$1") : "–");
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);

function decode(value) {
  if (Array.isArray(value)) return value.map(decode);
  if (!value || typeof value !== "object") return value;
  if (value.dtype && value.data !== undefined) {
    const d = value.data;
    const bytes = d instanceof ArrayBuffer ? new Uint8Array(d) : new Uint8Array(d.buffer, d.byteOffset, d.byteLength);
    const raw = new TYPES[value.dtype](bytes.slice().buffer);
    const v = value.scale ? Float32Array.from(raw, (x) => x * value.scale) : raw;
    return { ...value, data: null, v };
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, decode(inner)]));
}

// The projection on {0 <= x <= 1, sum x <= budget}: clip(a - λ, 0, 1), λ found by halving its interval.
function project(activation, budget) {
  const spent = (cut) => activation.reduce((sum, a) => sum + clamp(a - cut, 0, 1), 0);
  let low = 0, high = 0;
  if (spent(0) > budget + 1e-9) {
    high = Math.max(...activation);
    for (let i = 0; i < 50; i++) {
      const middle = (low + high) / 2;
      if (spent(middle) > budget) low = middle; else high = middle;
    }
  }
  return { cutoff: high, allocation: activation.map((a) => clamp(a - high, 0, 1)) };
}

function inside(x, y, loop) {
  let within = false;
  for (let i = 0, j = loop.length - 1; i < loop.length; j = i++) {
    const [xi, yi] = loop[i], [xj, yj] = loop[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) within = !within;
  }
  return within;
}

const stripHeight = (bins) => bins * clamp(34 / bins, 1, 6); // of the little picture of the input

function quantile(sorted, q) {
  if (!sorted.length) return NaN;
  const at = (sorted.length - 1) * q, low = Math.floor(at);
  return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
}

function scattered(i) { // a fixed pseudo-random number in 0..1 for each sample, for jitter that never moves
  let x = Math.imul(i + 1, 2654435761) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 2246822519) >>> 0;
  return ((x ^ (x >>> 13)) >>> 0) / 4294967296;
}

// --- a canvas that knows its size and its screen ---------------------------------------------------------------

class Canvas {
  constructor(app, parent, height, label, draw) {
    Object.assign(this, { app, draw, width: 0, height });
    this.el = h("canvas", { tabindex: 0, role: "img", "aria-label": label, style: `height:${height}px` });
    parent.append(this.el);
    this.ctx = this.el.getContext("2d");
    this.watch = new ResizeObserver(() => this.fit() && app.refresh());
    this.watch.observe(this.el);
    app.cleanups.push(() => this.watch.disconnect());
  }
  setHeight(height) {
    if (height === this.height) return;
    this.height = height;
    this.el.style.height = `${height}px`;
  }
  fit() {
    const scale = window.devicePixelRatio || 1, width = this.el.clientWidth;
    const changed = this.el.width !== Math.round(width * scale) || this.el.height !== Math.round(this.height * scale);
    if (changed) {
      this.el.width = Math.round(width * scale);
      this.el.height = Math.round(this.height * scale);
    }
    this.width = width;
    this.scale = scale;
    return changed;
  }
  paint() {
    this.fit();
    if (!this.width) return;
    this.ctx.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    this.ctx.clearRect(0, 0, this.width, this.height);
    this.draw(this.ctx, this.width, this.height);
  }
  at(event) {
    const box = this.el.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}

function mark(ctx, shape, x, y, r) {
  ctx.beginPath();
  if (shape === "circle") ctx.arc(x, y, r, 0, 7);
  else if (shape === "square") ctx.rect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76);
  else if (shape === "triangle") { ctx.moveTo(x, y - r * 1.15); ctx.lineTo(x + r * 1.1, y + r * 0.85); ctx.lineTo(x - r * 1.1, y + r * 0.85); ctx.closePath(); }
  else if (shape === "diamond") { ctx.moveTo(x, y - r * 1.25); ctx.lineTo(x + r * 1.25, y); ctx.lineTo(x, y + r * 1.25); ctx.lineTo(x - r * 1.25, y); ctx.closePath(); }
  else { const a = r * 0.42; ctx.rect(x - a, y - r * 1.15, 2 * a, r * 2.3); ctx.rect(x - r * 1.15, y - a, r * 2.3, 2 * a); }
}

// --- many points, one for each sample (or several): drawn, hovered, clicked, lassoed --------------------------

class Cloud {
  // place(w, h) gives {x, y, sample, layer}; frame(ctx, w, h) draws what lies behind; marks() the picked sample
  constructor(app, parent, height, label, { place, frame, key, style, marks, animate }) {
    Object.assign(this, { app, place, frame, key, style, marks, animate, drawnKey: "", loop: null, hover: -1 });
    this.canvas = new Canvas(app, parent, height, label, (ctx, w, hh) => this.draw(ctx, w, hh));
    this.base = document.createElement("canvas");
    const el = this.canvas.el;
    el.classList.add("clcr-cloud");
    el.addEventListener("pointerdown", (e) => this.down(e));
    el.addEventListener("pointermove", (e) => this.move(e));
    el.addEventListener("pointerup", (e) => this.up(e));
    el.addEventListener("pointerleave", () => { this.hover = -1; app.untip(); this.canvas.paint(); });
    el.addEventListener("keydown", (e) => app.stepKeys(e));
  }
  update() { this.canvas.paint(); }
  draw(ctx, w, hh) {
    const { app } = this;
    const key = [this.key(), w, hh, this.canvas.scale, app.theme, app.get("color"), app.dimmingKey].join("|");
    if (key !== this.drawnKey) {
      const before = this.target, fresh = this.place(w, hh);
      const moved = this.animate && before && before.x.length === fresh.x.length && this.size === `${w}x${hh}` && this.place_key !== this.key();
      this.target = fresh;
      this.drawnKey = key;
      this.size = `${w}x${hh}`;
      this.place_key = this.key();
      if (moved && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.tween(before);
      else if (!this.moving) this.points = fresh;
      this.paintBase(w, hh);
    }
    ctx.drawImage(this.base, 0, 0, w, hh);
    this.paintMarks(ctx);
    if (this.loop) {
      ctx.beginPath();
      this.loop.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
      ctx.closePath();
      ctx.fillStyle = app.ink(0.08); ctx.fill();
      ctx.setLineDash([4, 3]); ctx.strokeStyle = app.ink(0.8); ctx.stroke(); ctx.setLineDash([]);
    }
  }
  tween(before) { // points travel, so that the eye can follow where each one goes
    const from = { x: before.x.slice(), y: before.y.slice() }, to = this.target, started = performance.now();
    this.moving = to;
    const step = () => {
      if (this.moving !== to || !this.canvas.el.isConnected) return;
      const part = Math.min(1, (performance.now() - started) / 320), ease = 1 - (1 - part) ** 3;
      if (part >= 1) { this.points = to; this.moving = null; }
      else this.points = { ...to, x: to.x.map((v, i) => from.x[i] + (v - from.x[i]) * ease), y: to.y.map((v, i) => from.y[i] + (v - from.y[i]) * ease) };
      this.paintBase(this.canvas.width, this.canvas.height);
      this.canvas.paint();
      if (part < 1) requestAnimationFrame(step);
    };
    this.points = { ...to, ...from };
    requestAnimationFrame(step);
  }
  paintBase(w, hh) {
    const { app } = this, scale = this.canvas.scale, ctx = this.base.getContext("2d");
    this.base.width = Math.round(w * scale);
    this.base.height = Math.round(hh * scale);
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    this.frame(ctx, w, hh);
    const { x, y, sample, layer } = this.points, n = x.length;
    const r = n > 4000 ? 2.3 : n > 900 ? 3.1 : n > 200 ? 3.8 : 4.6;
    this.radius = r;
    const some = app.selected.size > 1;
    for (const chosen of some ? [false, true] : [true]) {
      ctx.globalAlpha = chosen ? (n > 900 ? 0.78 : 0.88) : 0.14;
      for (let i = 0; i < n; i++) {
        if (some && app.selected.has(sample[i]) !== chosen) continue;
        const sprite = app.sprite(this.style ? this.style(sample[i], layer ? layer[i] : 0) : app.style(sample[i]), r, scale);
        ctx.drawImage(sprite, x[i] - sprite.width / scale / 2, y[i] - sprite.height / scale / 2, sprite.width / scale, sprite.height / scale);
      }
    }
    ctx.globalAlpha = 1;
  }
  paintMarks(ctx) {
    const { app } = this, { x, y, sample } = this.points, row = app.row;
    ctx.strokeStyle = app.ink(0.75); ctx.lineWidth = 1;
    let rings = 0; // a ring around each selected point, unless they are so many that rings only cover things
    if (app.selected.size <= 300) for (let i = 0; i < x.length && rings < 900; i++) if (app.selected.has(sample[i])) { ctx.beginPath(); ctx.arc(x[i], y[i], this.radius + 1.2, 0, 7); ctx.stroke(); rings++; }
    let marks = this.marks ? this.marks(this.canvas.width, this.canvas.height) : null;
    if (!marks) { marks = []; for (let i = 0; i < x.length; i++) if (sample[i] === row) marks.push([x[i], y[i]]); }
    for (const [mx, my, ghost] of marks) {
      ctx.beginPath(); ctx.arc(mx, my, ghost ? 4 : 8, 0, 7);
      if (ghost) { ctx.strokeStyle = app.ink(0.5); ctx.lineWidth = 1.2; ctx.stroke(); continue; }
      ctx.strokeStyle = app.paper; ctx.lineWidth = 4.5; ctx.stroke();
      ctx.strokeStyle = app.ink(1); ctx.lineWidth = 2.2; ctx.stroke();
      ctx.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { ctx.moveTo(mx + dx * 8, my + dy * 8); ctx.lineTo(mx + dx * 13, my + dy * 13); }
      ctx.stroke();
    }
    if (this.hover >= 0 && this.hover < x.length) {
      ctx.beginPath(); ctx.arc(x[this.hover], y[this.hover], this.radius + 3, 0, 7);
      ctx.strokeStyle = app.ink(1); ctx.lineWidth = 1.5; ctx.stroke();
    }
  }
  nearest(px, py) {
    const { x, y } = this.points;
    let best = -1, least = 144;
    for (let i = 0; i < x.length; i++) {
      const d = (x[i] - px) ** 2 + (y[i] - py) ** 2;
      if (d < least) { least = d; best = i; }
    }
    return best;
  }
  down(e) {
    if (e.button) return;
    this.start = this.canvas.at(e);
    this.canvas.el.setPointerCapture(e.pointerId);
  }
  move(e) {
    const at = this.canvas.at(e);
    if (this.start) {
      if (!this.loop && Math.hypot(at[0] - this.start[0], at[1] - this.start[1]) > 5) this.loop = [this.start];
      if (this.loop) { this.loop.push(at); this.app.untip(); this.canvas.paint(); }
      return;
    }
    const found = this.nearest(...at);
    if (found !== this.hover) { this.hover = found; this.canvas.paint(); }
    if (found < 0) this.app.untip();
    else this.app.tip(e, this.app.describeSample(this.points.sample[found], this.points.layer?.[found]));
  }
  up(e) {
    const { app } = this, at = this.canvas.at(e);
    if (!this.start) return;
    this.start = null;
    if (this.loop) {
      const { x, y, sample } = this.points, found = new Set();
      for (let i = 0; i < x.length; i++) if (inside(x[i], y[i], this.loop)) found.add(sample[i]);
      this.loop = null;
      app.select([...found], e.shiftKey);
    } else {
      const found = this.nearest(...at);
      if (found >= 0) app.select([this.points.sample[found]], e.shiftKey || e.ctrlKey || e.metaKey);
      else if (!e.shiftKey) app.select([], false);
    }
    this.canvas.paint();
  }
}

// --- view 1: subspaces -----------------------------------------------------------------------------------------

class Subspaces {
  constructor(app) {
    this.app = app;
    const side = h("div", { class: "clcr-side" }), main = h("div", { class: "clcr-main" });
    this.el = app.panel("subspaces", "Subspaces", "space", [
      app.picker("space", "Space", [["shared", "shared summary"], ["private", "private summary"], ["shared_code", "shared code"], ["private_code", "private code"]], "space"),
      app.picker("modality", "Modality", app.table.modalities.map((m) => [m, m])),
      app.picker("color", "Colour", ["modality", ...app.table.columns.map((c) => c.name)].map((c) => [c, c])),
      app.picker("projection", "Projection", app.projections(), "projection"),
      app.zoomBox((on) => (this.zoom = on)),
    ], main, side);
    this.cloud = new Cloud(app, main, 400, "Samples in the chosen space. Arrow keys step through the samples.", {
      key: () => [this.key(), Boolean(this.at(app.get("modality"))), app.get("epoch"), app.get("color") === "modality", this.zoom].join(),
      place: (w, hh) => this.place(w, hh),
      frame: (ctx, w, hh) => this.frame(ctx, w, hh),
      style: (sample, layer) => (app.get("color") === "modality" ? { color: app.modalityColor(layer), shape: SHAPES[layer % 5] } : app.style(sample)),
      animate: true,
    });
    this.legend = h("div", { class: "clcr-legend" });
    this.probes = h("div", { class: "clcr-probes" });
    side.append(this.legend, this.probes);
    this.note = h("p", { class: "clcr-note" });
    main.append(this.note);
    if (app.table.epochs > 1) main.append(this.player());
  }
  key() {
    const { app } = this, space = app.get("space");
    return `${app.get("projection")}/${space}` + (space.endsWith("_code") ? "" : `/${app.get("level")}/${app.get("modality")}`);
  }
  at(modality) {
    const { app } = this, space = app.get("space");
    const kind = app.points[`${app.get("projection")}/${space}`];
    return kind && kind[space.endsWith("_code") ? space : `${space}/${app.get("level")}/${modality}`];
  }
  place(w, hh) {
    const { app } = this, n = app.ids.length, space = app.get("space");
    const every = app.get("color") === "modality" && space === "shared";
    const names = every ? app.table.modalities : [app.get("modality")];
    const size = Math.min(w, hh) - 26, left = (w - size) / 2, top = (hh - size) / 2;
    const x = [], y = [], sample = [], layer = [];
    for (const m of names) {
      const at = this.at(m);
      if (!at) continue;
      const start = app.get("epoch") * n * 2, present = space.endsWith("_code") ? null : app.table.present[m].v;
      const wide = 2 * at.reach;
      // a plot wider than high uses the width: the two axes keep one scale, and the reach is known to fit
      for (let i = 0; i < n; i++) {
        if (present && !present[i]) continue;
        x.push(left + (at.v[start + 2 * i] / wide) * size);
        y.push(top + (1 - at.v[start + 2 * i + 1] / wide) * size);
        sample.push(i);
        layer.push(app.table.modalities.indexOf(m));
      }
    }
    this.origin = [w / 2, hh / 2];
    if (this.zoom && x.length) {
      const ends = [x, y].map((list) => [list.reduce((a, b) => Math.min(a, b)), list.reduce((a, b) => Math.max(a, b))]);
      const times = clamp(Math.min(...ends.map(([low, high], axis) => ([w, hh][axis] - 40) / (high - low || 1e-3))), 1, 1000);
      const move = (v, axis) => [w, hh][axis] / 2 + (v - (ends[axis][0] + ends[axis][1]) / 2) * times;
      x.forEach((v, i) => (x[i] = move(v, 0)));
      y.forEach((v, i) => (y[i] = move(v, 1)));
      this.origin = this.origin.map(move);
    }
    return { x: Float32Array.from(x), y: Float32Array.from(y), sample, layer };
  }
  frame(ctx, w, hh) {
    const { app } = this, [ox, oy] = this.origin;
    ctx.strokeStyle = app.ink(0.1); ctx.lineWidth = 1;
    ctx.beginPath(); ctx.moveTo(ox, 0); ctx.lineTo(ox, hh); ctx.moveTo(0, oy); ctx.lineTo(w, oy); ctx.stroke();
    ctx.fillStyle = app.ink(0.6); ctx.font = app.font(11); ctx.textAlign = "right";
    const name = app.get("projection") === "pca" ? "PC" : "UMAP ";
    ctx.fillText(`${name}1 →`, w - 4, hh - 5);
    ctx.textAlign = "left";
    ctx.fillText(`↑ ${name}2`, 4, 12);
  }
  update() {
    const { app } = this, space = app.get("space"), code = space.endsWith("_code");
    app.enable("modality", "subspaces", !code);
    const waiting = !this.at(app.get("modality"));
    this.el.classList.toggle("clcr-waiting", waiting);
    const level = code ? "" : ` · ${app.table.levels[app.get("level")]} level`;
    this.note.textContent = waiting
      ? "The kernel is fitting this projection; a first UMAP takes some 20 s."
      : `${app.ids.length.toLocaleString("en")} samples${level}. ${this.zoom ? "Enlarged around these points." : "One range for all levels and modalities of a space."} Click or draw a loop to select.`;
    if (!waiting) this.cloud.update(); // until the kernel's answer is here, what is drawn stays, pale
    app.fillLegend(this.legend);
    this.fillProbes(waiting);
    if (this.play) this.slider.value = app.get("epoch"), (this.said.textContent = this.epochName());
  }
  fillProbes(waiting) {
    const { app } = this, space = app.get("space");
    const key = space.endsWith("_code") ? space : `${space}/${app.get("level")}/${app.get("modality")}`;
    const rows = (app.get("_probes") || {})[key];
    if (this.shown === key && this.rows === rows && this.waited === waiting) return;
    this.shown = key; this.rows = rows; this.waited = waiting;
    this.probes.replaceChildren(app.term("probe", "Read by a linear probe"));
    clearTimeout(this.asking);
    if (!rows) {
      this.probes.append(h("p", { class: "clcr-note", text: app.kernel ? "measuring…" : "not measured for this page" }));
      if (app.kernel && !waiting) this.asking = setTimeout(() => app.model.send({ probe: [space, app.get("level"), app.get("modality")] }), 700);
      return;
    }
    if (!rows.length) this.probes.append(h("p", { class: "clcr-note", text: "no label or attribute with groups to read" }));
    for (const r of rows) {
      const bar = h("div", { class: "clcr-probe-bar", role: "img", "aria-label": `${r.target}: accuracy ${fmt(r.accuracy)}, shuffled ${fmt(r.shuffled)}, chance ${fmt(r.chance)}` },
        h("i", { style: `width:${100 * clamp(r.accuracy, 0, 1)}%` }), h("b", { style: `left:${100 * clamp(r.shuffled, 0, 1)}%` }));
      this.probes.append(h("div", { class: "clcr-probe", title: `shuffled ${fmt(r.shuffled)}, chance ${fmt(r.chance)}` },
        h("span", { title: r.target, text: r.target }), h("strong", { text: fmt(r.accuracy) }), h("small", { text: fmt(r.shuffled) }), bar));
    }
    if (rows.length) this.probes.append(h("p", { class: "clcr-note" }, "accuracy, and the tick: ", this.app.term("shuffled", "on shuffled labels")));
  }
  epochName() {
    const { app } = this, e = app.get("epoch"), last = app.table.epochs - 1;
    return e === last ? "last" : `epoch ${e + 1} of ${last}`;
  }
  player() {
    const { app } = this, last = app.table.epochs - 1;
    this.slider = h("input", { type: "range", min: 0, max: last, step: 1, value: app.get("epoch"), "aria-label": "Training epoch", oninput: (e) => app.set({ epoch: +e.target.value }) });
    this.said = h("output");
    this.play = h("button", { type: "button", text: "▶ play", onclick: () => {
      if (this.timer) return this.stop();
      this.play.textContent = "■ stop";
      app.set({ epoch: 0 });
      this.timer = setInterval(() => { const e = app.get("epoch"); if (e >= last) this.stop(); else app.set({ epoch: e + 1 }); }, 600);
    } });
    app.cleanups.push(() => clearInterval(this.timer));
    return h("div", { class: "clcr-row" }, this.play, this.slider, this.said);
  }
  stop() { clearInterval(this.timer); this.timer = null; this.play.textContent = "▶ play"; }
}

// --- view 2: token budget --------------------------------------------------------------------------------------

class Budget {
  constructor(app) {
    this.app = app;
    const main = h("div", { class: "clcr-main" }), side = h("div", { class: "clcr-side clcr-wide" });
    this.el = app.panel("budget", "Token budget", "budget", [], main, side);
    const key = h("p", { class: "clcr-key" });
    key.append(h("i", { class: "clcr-swatch clcr-filled" }), app.term("allocation", "allocation α"), h("i", { class: "clcr-swatch clcr-pale" }), app.term("activation", "activation a"),
      h("i", { class: "clcr-swatch clcr-line" }), app.term("cutoff", "cut-off λ"), h("i", { class: "clcr-swatch clcr-stick" }), app.term("evidence", "evidence e"),
      h("i", { class: "clcr-swatch clcr-dots" }), app.term("threshold", "threshold"));
    main.append(key);
    this.missing = h("p", { class: "clcr-note clcr-missing" });
    main.append(this.missing);
    this.lanes = app.table.modalities.map((m, i) => this.lane(main, m, i));
    const all = app.ids.length, left = !app.kernel && app.blockRows.size < all;
    const heard = app.sounds?.ids?.v.length || 0;
    if (app.table.heard.length && !app.kernel && heard < all) main.append(h("p", { class: "clcr-note", text: `This page keeps the sound of ${heard.toLocaleString("en")} of its ${all.toLocaleString("en")} samples.` }));
    if (left) main.append(h("p", { class: "clcr-note", text: `This page keeps the tokens of ${app.blockRows.size.toLocaleString("en")} of its ${all.toLocaleString("en")} samples.` }));
    main.append(h("p", { class: "clcr-note", text: app.get("live") ? "Click a token (or Enter on it) to mute it: its activation becomes 0 and the model runs again." : "Point at a token to read its numbers." }));
    this.predictions = h("div", { class: "clcr-predictions", "aria-live": "polite" });
    side.append(app.term("prediction", "Prediction"), this.predictions);
    side.append(app.term("participation", "Participation r, all samples"));
    this.part = new Canvas(app, side, 14 * app.table.modalities.length * app.table.levels.length + 12 * app.table.modalities.length + 22,
      "Participation for each modality and level: the middle 80 % and the median of all samples, and the picked sample.", (ctx, w, hh) => this.drawParticipation(ctx, w, hh));
  }
  lane(parent, m, index) {
    const { app } = this, lane = { m, index };
    lane.caption = h("div", { class: "clcr-lane-caption" });
    // beside the caption, which is written anew at each update: a button that came and went would lose the focus
    if (app.table.heard.includes(m)) lane.listen = h("button", { type: "button", class: "clcr-listen", onclick: () => app.play(m) });
    lane.el = h("div", { class: "clcr-lane", "data-modality": m }, h("div", { class: "clcr-lane-head" }, lane.listen, lane.caption));
    parent.append(lane.el);
    lane.canvas = new Canvas(app, lane.el, 120, `Tokens of ${m}. Arrow keys move between tokens, Enter mutes one.`, (ctx, w, hh) => this.drawLane(lane, ctx, w, hh));
    const el = lane.canvas.el;
    const under = (e) => {
      const [x] = lane.canvas.at(e), geo = lane.geo;
      if (!geo || !lane.data) return -1;
      const i = Math.floor((x - geo.left) / geo.step);
      return i >= 0 && i < lane.data.positions.length ? i : -1;
    };
    el.addEventListener("pointermove", (e) => {
      const i = under(e);
      app.point(i < 0 ? null : { m, i });
      if (i < 0) app.untip(); else app.tip(e, this.describe(lane, i));
    });
    el.addEventListener("pointerleave", () => { app.point(null); app.untip(); });
    el.addEventListener("click", (e) => { const i = under(e); if (i >= 0) this.mute(lane, i); });
    el.addEventListener("blur", () => { app.point(null); app.untip(); });
    el.addEventListener("keydown", (e) => {
      const count = lane.data?.positions.length || 0;
      if (!count) return;
      const now = app.token && app.token.m === m ? app.token.i : -1;
      const next = { ArrowRight: now + 1, ArrowLeft: now < 0 ? 0 : now - 1, Home: 0, End: count - 1 }[e.key];
      if (next !== undefined) {
        const i = clamp(next, 0, count - 1), box = el.getBoundingClientRect();
        app.point({ m, i });
        app.tip({ clientX: box.left + lane.geo.left + (i + 0.5) * lane.geo.step, clientY: box.top + 50 }, this.describe(lane, i));
        app.say(this.describe(lane, i).join(". "));
        e.preventDefault();
      } else if ((e.key === "Enter" || e.key === " ") && now >= 0) { this.mute(lane, now); e.preventDefault(); }
    });
    return lane;
  }
  mute(lane, i) {
    const { app } = this;
    if (!app.get("live")) return app.say("Muting needs a live model: Explorer(trace, model)");
    const token = [lane.m, app.get("level"), lane.data.positions[i]], muted = app.get("muted");
    const left = muted.filter((x) => !same(x, token));
    app.set({ muted: left.length < muted.length ? left : [...muted, token] });
  }
  describe(lane, i) {
    const d = lane.data, s = lane.share, a = d.activation[i], lines = [];
    lines.push(`${lane.m}, token ${d.positions[i]}${d.text[i] ? `: ${d.text[i]}` : ""}`);
    lines.push(`evidence e = ${fmt(d.evidence[i])}` + (d.threshold == null ? "" : `, threshold ${fmt(d.threshold)}`));
    if (d.muted[i]) lines.push("muted by you: activation set to 0");
    else lines.push(`activation a = ${fmt(a)}, cut-off λ = ${fmt(s.cutoff)}`);
    lines.push(s.allocation[i] > 0 ? `allocation α = a − λ = ${fmt(s.allocation[i])}` : d.muted[i] ? "allocation α = 0" : `cut off: short of λ by ${fmt(s.cutoff - a, 3)}`);
    if (d.truth) lines.push(d.truth[i] ? "known to carry shared evidence at this level" : "known distractor at this level");
    return lines;
  }
  drawLane(lane, ctx, w) {
    const { app } = this, d = lane.data, color = app.modalityColor(lane.index);
    if (!d) return;
    const n = d.positions.length, left = 58, right = 62;
    const step = Math.min(42, (w - left - right) / n), gap = step > 9 ? 2 : step > 4 ? 1 : 0.4;
    lane.geo = { left, step };
    const top = 8, high = 66, base = top + high, width = n * step;
    const { cutoff, allocation } = lane.share, y = (v) => base - v * high;
    ctx.font = app.font(11);
    ctx.textAlign = "right"; ctx.fillStyle = app.ink(0.65);
    ctx.fillText("1", left - 8, top + 8); ctx.fillText("a, α", left - 8, top + high / 2 + 4); ctx.fillText("0", left - 8, base);
    ctx.strokeStyle = app.ink(0.14); ctx.lineWidth = 1;
    ctx.beginPath(); ctx.moveTo(left - 4, top + 0.5); ctx.lineTo(left + width, top + 0.5); ctx.stroke();
    for (let i = 0; i < n; i++) {
      const x = left + i * step + gap / 2, bw = step - gap, a = d.activation[i], under = Math.min(a, cutoff);
      ctx.fillStyle = app.ink(allocation[i] > 0 ? 0.2 : 0.13);
      ctx.fillRect(x, y(under), bw, base - y(under));
      if (allocation[i] > 0) { ctx.fillStyle = color; ctx.fillRect(x, y(cutoff + allocation[i]), bw, y(cutoff) - y(cutoff + allocation[i])); }
      if (d.muted[i]) {
        ctx.strokeStyle = app.warn; ctx.lineWidth = 2; const c = x + bw / 2, q = Math.min(5, bw / 2 + 1);
        ctx.beginPath(); ctx.moveTo(c - q, base - 10 - q); ctx.lineTo(c + q, base - 10 + q); ctx.moveTo(c + q, base - 10 - q); ctx.lineTo(c - q, base - 10 + q); ctx.stroke();
      }
    }
    ctx.strokeStyle = app.ink(0.5); ctx.lineWidth = 1;
    ctx.beginPath(); ctx.moveTo(left - 4, base + 0.5); ctx.lineTo(left + width, base + 0.5); ctx.stroke();
    if (cutoff > 0) {
      ctx.strokeStyle = app.warn; ctx.lineWidth = 1.6; ctx.setLineDash([6, 3]);
      ctx.beginPath(); ctx.moveTo(left - 4, y(cutoff)); ctx.lineTo(left + width + 4, y(cutoff)); ctx.stroke(); ctx.setLineDash([]);
      ctx.fillStyle = app.warn; ctx.textAlign = "left"; ctx.font = app.font(11, true);
      ctx.fillText(`λ ${fmt(cutoff)}`, left + width + 8, clamp(y(cutoff) + 4, top + 8, base));
      ctx.font = app.font(11);
    }
    let below = base + 6;
    if (d.truth) {
      for (let i = 0; i < n; i++) if (d.truth[i]) { ctx.fillStyle = app.ink(0.85); mark(ctx, "diamond", left + (i + 0.5) * step, below + 3, Math.min(3, step / 2)); ctx.fill(); }
      ctx.fillStyle = app.ink(0.65); ctx.textAlign = "right"; ctx.fillText("truth", left - 8, below + 7);
      below += 12;
    }
    // evidence, on one scale for all lanes of the sample
    const tall = 24, foot = below + tall, most = app.mostEvidence * 1.05 || 1, e = (v) => foot - (v / most) * tall;
    ctx.fillStyle = app.ink(0.65); ctx.textAlign = "right"; ctx.fillText("e", left - 8, below + tall / 2 + 4);
    for (let i = 0; i < n; i++) { ctx.fillStyle = app.ink(0.5); ctx.fillRect(left + (i + 0.5) * step - Math.min(2, step / 3), e(d.evidence[i]), Math.min(4, step / 1.5), foot - e(d.evidence[i])); }
    if (d.threshold != null && d.threshold > 0 && d.threshold < most) {
      ctx.strokeStyle = app.ink(0.75); ctx.lineWidth = 1; ctx.setLineDash([2, 2]);
      ctx.beginPath(); ctx.moveTo(left - 4, e(d.threshold)); ctx.lineTo(left + width + 4, e(d.threshold)); ctx.stroke(); ctx.setLineDash([]);
    }
    below = foot + 4;
    if (d.features) {
      const bins = d.bins, hh = stripHeight(bins), cell = hh / bins;
      for (let i = 0; i < n; i++) for (let b = 0; b < bins; b++) {
        ctx.fillStyle = app.ramp(d.features[i * bins + b] / 255);
        ctx.fillRect(left + i * step, below + b * cell, step + 0.3, cell + 0.3);
      }
      ctx.fillStyle = app.ink(0.65); ctx.textAlign = "right"; ctx.fillText("input", left - 8, below + hh / 2 + 4);
      below += hh + 3;
    }
    if (lane.texts) {
      ctx.fillStyle = app.ink(0.85); ctx.textAlign = "center";
      const every = lane.every;
      for (let i = 0; i < n; i += every) ctx.fillText(d.text[i], left + (i + (every > 1 ? 0 : 0.5)) * step + (every > 1 ? step / 2 : 0), below + 11);
    }
    const p = app.token;
    if (p && p.m === lane.m && p.i < n) {
      ctx.strokeStyle = app.ink(1); ctx.lineWidth = 1.5;
      ctx.strokeRect(left + p.i * step, top - 4, step, below - top + (lane.texts ? 16 : 4));
    }
  }
  update() {
    const { app } = this, level = app.get("level");
    const kept = app.blockRow >= 0;
    this.el.classList.toggle("clcr-waiting", !kept && app.kernel);
    if (!kept && app.kernel) return; // what is drawn stays until the kernel's answer is here
    this.missing.replaceChildren(kept ? "" : app.keptNote());
    if (!kept) this.missing.append(" ", h("button", { type: "button", text: "go to one that is", onclick: () => app.pickId(app.block.ids.v[0]) }));
    this.missing.hidden = kept;
    app.mostEvidence = 0;
    for (const lane of this.lanes) {
      lane.data = app.lane(lane.m, level);
      if (lane.data) app.mostEvidence = Math.max(app.mostEvidence, ...lane.data.evidence);
    }
    for (const lane of this.lanes) {
      const d = lane.data;
      lane.el.hidden = !kept;
      lane.canvas.el.hidden = !d;
      if (lane.listen) {
        const sound = app.soundOf(lane.m), playing = app.playing?.m === lane.m;
        lane.listen.disabled = !sound;
        lane.listen.hidden = !d;
        lane.listen.textContent = playing ? "■ stop" : "▶ listen";
        lane.listen.title = sound ? "" : app.kernel ? "the sound is on its way" : "this page does not keep the sound of this sample";
        lane.listen.setAttribute("aria-label", `${playing ? "Stop" : "Play"} the sound of ${lane.m}`);
      }
      lane.caption.replaceChildren(h("i", { class: "clcr-dot", style: `background:${app.modalityColor(lane.index)}` }), h("strong", { text: lane.m }));
      if (!d) { lane.caption.append(" this modality is missing in this sample"); continue; }
      lane.share = app.share(d);
      const n = d.positions.length, funded = lane.share.allocation.filter((x) => x > 0).length, spent = lane.share.allocation.reduce((a, b) => a + b, 0);
      lane.caption.append(
        h("span", { class: "clcr-funded", text: `${funded} of ${n} tokens funded` }),
        h("span", {}, app.term("budget", "budget B"), ` ${fmt(lane.share.budget)}, spent ${fmt(spent)}`),
        h("span", {}, app.term("participation", "r"), ` ${fmt(spent / n)}`),
        h("span", { class: "clcr-cut" }, app.term("cutoff", "λ"), lane.share.cutoff > 0 ? ` ${fmt(lane.share.cutoff, 3)}` : app.table.budgeted ? " 0: the budget does not bind, every token keeps its activation" : " 0: this model has no budget, every token has a share of 1"));
      const widest = Math.max(...d.text.map((x) => x.length)), step = Math.min(42, ((lane.canvas.el.clientWidth || 700) - 120) / n);
      lane.texts = widest > 0;
      lane.every = Math.max(1, Math.ceil((widest * 6.6 + 6) / step));
      const bins = d.bins || 0;
      lane.canvas.setHeight(8 + 66 + 6 + (d.truth ? 12 : 0) + 24 + 4 + (bins ? stripHeight(bins) + 3 : 0) + (lane.texts ? 16 : 4));
      lane.canvas.paint();
    }
    this.fillPredictions();
    this.part.paint();
  }
  fillPredictions() {
    const { app } = this, said = app.answerNow(), task = app.table.task;
    const read = (z) => {
      if (task === "value") return Array.from(z);
      if (task === "labels") return Array.from(z, (v) => 1 / (1 + Math.exp(-v)));
      const most = Math.max(...z), e = Array.from(z, (v) => Math.exp(v - most)), sum = e.reduce((a, b) => a + b);
      return e.map((v) => v / sum);
    };
    const now = read(said.prediction), traced = read(said.traced);
    let low = 0, high = 1;
    if (task === "value") { const all = app.table.prediction.v; low = app.lowest ??= all.reduce((a, b) => Math.min(a, b)); high = app.highest ??= all.reduce((a, b) => Math.max(a, b)); }
    const part = (v) => 100 * clamp((v - low) / (high - low || 1), 0, 1);
    let order = now.map((_, i) => i);
    if (order.length > 10) order = order.sort((a, b) => traced[b] - traced[a]).slice(0, 10).sort((a, b) => a - b);
    const truth = app.truthOf(app.row), best = now.indexOf(Math.max(...now));
    this.predictions.replaceChildren(...order.map((i) => {
      const real = truth.has(app.table.outputs[i]);
      return h("div", { class: "clcr-prediction" + (task === "classes" && i === best ? " clcr-best" : ""), "data-output": app.table.outputs[i] },
        h("span", { class: "clcr-name", title: app.table.outputs[i], text: app.table.outputs[i] + (real ? " ✓" : "") }),
        h("span", { class: "clcr-bar" }, h("i", { style: `width:${part(now[i])}%` }), h("b", { style: `left:${part(traced[i])}%` })),
        h("span", { class: "clcr-number", text: task === "value" ? fmt(now[i], 3) : `${fmt(100 * now[i], 1)} %` }));
    }));
    if (now.length > 10) this.predictions.append(h("p", { class: "clcr-note", text: `the 10 likeliest of ${now.length}` }));
    if (task === "value" && truth.size) this.predictions.append(h("p", { class: "clcr-note", text: `true value ${[...truth][0]}` }));
    this.predictions.append(h("p", { class: "clcr-note clcr-said", text: said.note + (truth.size && task !== "value" ? ", ✓ is true" : "") }));
  }
  drawParticipation(ctx, w, hh) {
    const { app } = this, { modalities, levels } = app.table, left = 62, right = 10;
    const x = (v) => left + clamp(v, 0, 1) * (w - left - right);
    ctx.font = app.font(11);
    let y = 2;
    for (const [index, m] of modalities.entries()) {
      ctx.fillStyle = app.ink(0.85); ctx.textAlign = "left"; ctx.fillText(m, 0, y + 9);
      y += 12;
      for (let l = 0; l < levels.length; l++) {
        ctx.fillStyle = app.ink(0.65); ctx.textAlign = "right"; ctx.fillText(levels[l], left - 6, y + 10);
        const [low, middle, high] = app.participationRange(m, l);
        ctx.fillStyle = app.ink(0.08); ctx.fillRect(left, y + 2, w - left - right, 9);
        ctx.fillStyle = app.modalityColor(index); ctx.globalAlpha = 0.45; ctx.fillRect(x(low), y + 2, Math.max(1, x(high) - x(low)), 9); ctx.globalAlpha = 1;
        ctx.fillRect(x(middle) - 1, y + 1, 2.5, 11);
        const d = app.lane(m, l);
        if (d) {
          const r = app.share(d).allocation.reduce((a, b) => a + b, 0) / d.positions.length;
          ctx.beginPath(); ctx.arc(x(r), y + 6.5, 4, 0, 7); ctx.fillStyle = app.paper; ctx.fill(); ctx.strokeStyle = app.ink(1); ctx.lineWidth = 1.8; ctx.stroke();
        }
        y += 14;
      }
    }
    ctx.fillStyle = app.ink(0.65);
    for (const [v, align] of [[0, "left"], [0.5, "center"], [1, "right"]]) { ctx.textAlign = align; ctx.fillText(String(v), x(v), y + 12); }
    ctx.textAlign = "right"; ctx.fillText("○ picked", left - 6, y + 12);
  }
}

// --- view 3: exchange attention --------------------------------------------------------------------------------

class Attention {
  constructor(app) {
    Object.assign(this, { app, mode: "auto", weighted: true });
    const main = h("div", { class: "clcr-main" }), kept = app.attentions?.ids?.v.length || 0;
    const shape = h("select", { "aria-label": "Drawn as", onchange: (e) => { this.mode = e.target.value; app.refresh(); } },
      ...[["auto", "links or heat map"], ["links", "links"], ["heat", "heat map"]].map(([v, t]) => h("option", { value: v, text: t })));
    const weigh = h("input", { type: "checkbox", checked: true, onchange: (e) => { this.weighted = e.target.checked; app.refresh(); } });
    const heads = [[-1, "mean of all"], ...Array.from({ length: app.table.heads }, (_, i) => [i, `head ${i + 1}`])];
    this.el = app.panel("attention", "Exchange attention", "attention", [
      app.picker("modality", "Listener", app.table.modalities.map((m) => [m, m])),
      app.picker("head", "Head", heads),
      h("label", { class: "clcr-control" }, h("span", { text: "Drawn as" }), shape),
      h("label", { class: "clcr-control clcr-check" }, weigh, app.term("weighted", "weighted by allocation")),
    ], main);
    this.canvas = new Canvas(app, main, 250, "Who listens to whom. Arrow keys move between listening tokens.", (ctx, w, hh) => this.draw(ctx, w, hh));
    this.note = h("p", { class: "clcr-note clcr-links-note" });
    main.append(this.note);
    if (!app.kernel && kept < app.ids.length) main.append(h("p", { class: "clcr-note", text: `This page keeps the attention of ${kept.toLocaleString("en")} of its ${app.ids.length.toLocaleString("en")} samples. ` },
      h("button", { type: "button", text: "next sample with attention", onclick: () => { const ids = Array.from(app.attentions.ids.v); app.pickId(ids[(ids.indexOf(app.get("picked")) + 1) % ids.length]); } })));
    const el = this.canvas.el;
    el.addEventListener("pointermove", (e) => {
      const found = this.under(...this.canvas.at(e));
      app.point(found && (found.token ?? null));
      this.cell = found?.cell || null;
      if (found) app.tip(e, this.describe(found)); else app.untip();
      if (found?.cell) this.canvas.paint();
    });
    el.addEventListener("pointerleave", () => { this.cell = null; app.point(null); app.untip(); this.canvas.paint(); });
    el.addEventListener("blur", () => { app.point(null); app.untip(); });
    el.addEventListener("keydown", (e) => {
      const a = this.data;
      if (!a) return;
      const m = app.get("modality"), now = app.token && app.token.m === m ? app.token.i : -1;
      const next = { ArrowRight: now + 1, ArrowLeft: now < 0 ? 0 : now - 1, Home: 0, End: a.rows - 1 }[e.key];
      if (next === undefined) return;
      const i = clamp(next, 0, a.rows - 1), token = { m, i };
      app.point(token);
      app.say(this.describe({ token }).join(". "));
      e.preventDefault();
    });
  }
  heat() { return this.mode === "heat" || (this.mode === "auto" && this.data.rows * this.data.columns.length > LONG); }
  describe({ token, cell }) {
    const a = this.data, name = (c) => `${c.m} ${c.position}${c.text ? ` (${c.text})` : ""}`;
    const listener = (t) => name({ m: this.app.get("modality"), position: a.lane.positions[t], text: a.lane.text[t] });
    if (cell) return [`${listener(cell[0])} listens to ${name(a.columns[cell[1]])}`, `attention ${fmt(a.weights[cell[0] * a.columns.length + cell[1]], 4)}`, `allocation α ${fmt(a.share.allocation[cell[0]])}, weighted ${fmt(this.drawn[cell[0] * a.columns.length + cell[1]], 4)}`];
    if (token.m === this.app.get("modality")) {
      const row = Array.from(a.columns, (c, j) => [a.weights[token.i * a.columns.length + j], c]).sort((p, q) => q[0] - p[0]).slice(0, 3);
      const lines = [`${listener(token.i)} listens, allocation α = ${fmt(a.share.allocation[token.i])}`, ...row.map(([v, c]) => `${fmt(100 * v, 1)} % to ${name(c)}`)];
      if (!(a.share.allocation[token.i] > 0)) lines.push("not funded: nothing of this reaches it");
      return lines;
    }
    const j = a.columns.findIndex((c) => c.m === token.m && c.i === token.i);
    return [name(a.columns[j]), `heard: ${fmt(a.heard[j], 3)} in all (the sum of its links)`];
  }
  update() {
    const { app } = this, waiting = app.kernel && !app.attentionHere();
    this.el.classList.toggle("clcr-waiting", waiting);
    if (waiting) return;
    const a = (this.data = app.attentionOf(app.get("modality")));
    this.canvas.el.hidden = !a;
    if (!a) { this.note.textContent = app.blockRow < 0 || !app.attention ? app.keptNote("attention") : app.whyNoAttention(); return; }
    const columns = a.columns.length;
    a.share = app.share(a.lane);
    this.drawn = new Float32Array(a.weights.length);
    a.heard = new Float64Array(columns);
    for (let t = 0; t < a.rows; t++) for (let j = 0; j < columns; j++) {
      const w = a.weights[t * columns + j] * (this.weighted ? a.share.allocation[t] : 1);
      this.drawn[t * columns + j] = w;
      a.heard[j] += w;
    }
    a.others = [...new Set(a.columns.map((c) => c.m))];
    this.canvas.setHeight(this.heat() ? clamp(a.rows * 7, 140, 340) + 60 : 250);
    this.canvas.paint();
    this.notes();
  }
  notes() {
    const a = this.data, who = this.app.get("modality"), what = this.weighted ? "attention × allocation" : "attention";
    if (this.heat()) this.note.textContent = `Rows: tokens of ${who}, listening. Columns: tokens of the others. Darkest: ${fmt(this.peak, 3)} (${what}).`;
    else {
      const { shown, all, part } = this.links;
      this.note.textContent = (all === 0 ? `No link: no token of ${who} is funded. ` : shown < all ? `The ${shown} strongest of ${all.toLocaleString("en")} links are drawn; they carry ${fmt(100 * part, 0)} % of the weight. ` : `All ${all} links are drawn. `) +
        `Width: ${what}. Bars above: allocation α of each listener; bars below: how much each token is heard. Point at a token to follow it.`;
    }
  }
  geometry(w) {
    const a = this.data, left = 78, right = 12, gap = 22;
    const listeners = Math.min(34, (w - left - right) / a.rows);
    const speakers = Math.min(34, (w - left - right - gap * (a.others.length - 1)) / a.columns.length);
    return { left, listeners, speakers, x: (t) => left + (t + 0.5) * listeners, k: (j) => left + gap * a.others.indexOf(a.columns[j].m) + (j + 0.5) * speakers };
  }
  draw(ctx, w, hh) {
    if (!this.data) return;
    ctx.font = this.app.font(11);
    if (this.heat()) this.drawHeat(ctx, w, hh); else this.drawLinks(ctx, w, hh);
  }
  drawLinks(ctx, w, hh) {
    const { app } = this, a = this.data, columns = a.columns.length, g = (this.geo = this.geometry(w)), top = 50, bottom = hh - 58;
    const me = app.table.modalities.indexOf(app.get("modality")), p = app.token;
    const mine = p && p.m === app.get("modality") && p.i < a.rows ? p.i : -1;
    const theirs = p && mine < 0 ? a.columns.findIndex((c) => c.m === p.m && c.i === p.i) : -1;
    const strong = [];
    let all = 0, sum = 0, peak = 0;
    for (let q = 0; q < this.drawn.length; q++) if (this.drawn[q] > 0) { all++; sum += this.drawn[q]; if (this.drawn[q] > peak) peak = this.drawn[q]; }
    const followed = (q) => (mine < 0 || Math.floor(q / columns) === mine) && (theirs < 0 || q % columns === theirs);
    let least = 0;
    if (all > LINKS) least = Float32Array.from(this.drawn).sort()[this.drawn.length - LINKS];
    let carried = 0, count = 0;
    for (let q = 0; q < this.drawn.length; q++) {
      const v = this.drawn[q];
      if (!(v > 0)) continue;
      const kept = v >= least && count < LINKS;
      if (kept) { carried += v; count++; }
      if ((mine >= 0 || theirs >= 0) ? followed(q) : kept) strong.push(q);
    }
    this.links = { shown: count, all, part: sum ? carried / sum : 0 };
    this.peak = peak;
    const following = mine >= 0 || theirs >= 0;
    const ceiling = following ? Math.max(...strong.map((q) => this.drawn[q]), 1e-12) : peak || 1;
    strong.sort((x, y) => this.drawn[x] - this.drawn[y]);
    for (const q of strong) {
      const v = this.drawn[q] / ceiling, j = q % columns, x0 = g.x(Math.floor(q / columns)), x1 = g.k(j), mid = (top + bottom) / 2;
      ctx.strokeStyle = app.modalityColor(app.table.modalities.indexOf(a.columns[j].m));
      ctx.globalAlpha = 0.1 + 0.8 * v; ctx.lineWidth = 0.5 + 3.2 * v;
      ctx.beginPath(); ctx.moveTo(x0, top); ctx.bezierCurveTo(x0, mid, x1, mid, x1, bottom); ctx.stroke();
    }
    ctx.globalAlpha = 1;
    const loudest = Math.max(...a.heard, 1e-12), say = (text, x, y, align = "right") => { ctx.textAlign = align; ctx.fillText(text, x, y); };
    for (let t = 0; t < a.rows; t++) {
      const bw = Math.max(1, g.listeners - (g.listeners > 5 ? 2 : 0.5)), x = g.x(t) - bw / 2;
      ctx.fillStyle = app.ink(0.12); ctx.fillRect(x, top - 6, bw, 6);
      ctx.fillStyle = app.modalityColor(me); ctx.fillRect(x, top - 6 - 22 * a.share.allocation[t], bw, 22 * a.share.allocation[t] + (a.share.allocation[t] > 0 ? 6 : 0));
      if (mine === t) { ctx.strokeStyle = app.ink(1); ctx.lineWidth = 1.5; ctx.strokeRect(x - 1, top - 31, bw + 2, 32); }
    }
    for (let j = 0; j < columns; j++) {
      const bw = Math.max(1, g.speakers - (g.speakers > 5 ? 2 : 0.5)), x = g.k(j) - bw / 2;
      ctx.fillStyle = app.ink(0.12); ctx.fillRect(x, bottom, bw, 6);
      ctx.fillStyle = app.modalityColor(app.table.modalities.indexOf(a.columns[j].m));
      ctx.fillRect(x, bottom, bw, 4 + 22 * (a.heard[j] / loudest));
      if (theirs === j) { ctx.strokeStyle = app.ink(1); ctx.lineWidth = 1.5; ctx.strokeRect(x - 1, bottom - 1, bw + 2, 30); }
    }
    ctx.fillStyle = app.ink(0.85);
    say(app.get("modality"), g.left - 8, top - 3); say("listens", g.left - 8, top + 11);
    const label = (list, x, step, y, focus) => {
      const widest = Math.max(...list.map((c) => c.length));
      const every = Math.max(1, Math.ceil((widest * 6.6 + 6) / step));
      if (widest) list.forEach((text, i) => { if (i === focus || (i % every === 0 && !(focus >= 0 && Math.abs(i - focus) < every))) say(text, x(i), y, "center"); });
    };
    label(a.lane.text, g.x, g.listeners, 14, mine);
    label(a.columns.map((c) => c.text), g.k, g.speakers, bottom + 42, theirs);
    for (const m of a.others) {
      const its = a.columns.map((c, j) => (c.m === m ? j : -1)).filter((j) => j >= 0);
      ctx.fillStyle = app.modalityColor(app.table.modalities.indexOf(m));
      ctx.font = app.font(11, true); say(m, (g.k(its[0]) + g.k(its.at(-1))) / 2, hh - 3, "center"); ctx.font = app.font(11);
    }
    ctx.fillStyle = app.ink(0.85); say("speak", g.left - 8, bottom + 10);
  }
  drawHeat(ctx, w, hh) {
    const { app } = this, a = this.data, columns = a.columns.length, top = 8, bottom = hh - 40;
    const g = (this.geo = this.geometry(w)), rowHeight = (bottom - top) / a.rows;
    g.speakers = (w - g.left - 12 - 22 * (a.others.length - 1)) / columns;
    this.peak = this.drawn.reduce((x, y) => Math.max(x, y), 0);
    Object.assign(g, { top, rowHeight, k: (j) => g.left + 22 * a.others.indexOf(a.columns[j].m) + (j + 0.5) * g.speakers });
    const image = new ImageData(columns, a.rows), [pr, pg, pb] = app.paperRGB, dark = app.theme === "dark";
    const [ir, ig, ib] = dark ? [255, 214, 110] : [0, 60, 130];
    for (let q = 0; q < this.drawn.length; q++) {
      const v = Math.sqrt(this.drawn[q] / (this.peak || 1));
      image.data.set([pr + (ir - pr) * v, pg + (ig - pg) * v, pb + (ib - pb) * v, 255], 4 * q);
    }
    const small = document.createElement("canvas");
    small.width = columns; small.height = a.rows;
    small.getContext("2d").putImageData(image, 0, 0);
    ctx.imageSmoothingEnabled = false;
    let from = 0;
    for (const m of a.others) {
      const count = a.columns.filter((c) => c.m === m).length, x = g.k(from) - g.speakers / 2;
      ctx.drawImage(small, from, 0, count, a.rows, x, top, count * g.speakers, bottom - top);
      ctx.strokeStyle = app.ink(0.3); ctx.lineWidth = 1; ctx.strokeRect(x, top, count * g.speakers, bottom - top);
      ctx.fillStyle = app.modalityColor(app.table.modalities.indexOf(m)); ctx.textAlign = "center"; ctx.font = app.font(11, true);
      ctx.fillText(`${m} speaks`, x + (count * g.speakers) / 2, bottom + 30); ctx.font = app.font(11);
      ctx.fillStyle = app.ink(0.65);
      ctx.fillText(String(a.columns[from].position), x + g.speakers / 2, bottom + 13);
      if (count > 1) ctx.fillText(String(a.columns[from + count - 1].position), x + (count - 0.5) * g.speakers, bottom + 13);
      from += count;
    }
    ctx.fillStyle = app.ink(0.85); ctx.textAlign = "right";
    ctx.fillText(app.get("modality"), g.left - 8, (top + bottom) / 2); ctx.fillText("listens", g.left - 8, (top + bottom) / 2 + 13);
    ctx.fillStyle = app.ink(0.65);
    ctx.fillText(String(a.lane.positions[0]), g.left - 8, top + 10); ctx.fillText(String(a.lane.positions[a.rows - 1]), g.left - 8, bottom);
    ctx.strokeStyle = app.warn; ctx.lineWidth = 1.5;
    const p = app.token;
    if (p && p.m === app.get("modality") && p.i < a.rows) ctx.strokeRect(g.left, top + p.i * rowHeight, w - g.left - 12, rowHeight);
    else if (p) { const j = a.columns.findIndex((c) => c.m === p.m && c.i === p.i); if (j >= 0) ctx.strokeRect(g.k(j) - g.speakers / 2, top, g.speakers, bottom - top); }
    if (this.cell) ctx.strokeRect(g.k(this.cell[1]) - g.speakers / 2, top + this.cell[0] * rowHeight, g.speakers, rowHeight);
  }
  under(x, y) {
    const a = this.data, g = this.geo;
    if (!a || !g) return null;
    const m = this.app.get("modality");
    const column = a.columns.findIndex((_, j) => Math.abs(g.k(j) - x) <= g.speakers / 2);
    if (this.heat()) {
      const t = Math.floor((y - g.top) / g.rowHeight);
      return t >= 0 && t < a.rows && column >= 0 ? { token: { m, i: t }, cell: [t, column] } : null;
    }
    if (y < 90) { const t = Math.floor((x - g.left) / g.listeners); return t >= 0 && t < a.rows ? { token: { m, i: t } } : null; }
    if (y > 150 && column >= 0) return { token: { m: a.columns[column].m, i: a.columns[column].i } };
    return null;
  }
}

// --- view 4: gates ---------------------------------------------------------------------------------------------

class Gates {
  constructor(app) {
    this.app = app;
    const main = h("div", { class: "clcr-main" });
    const controls = app.get("views").includes("subspaces") ? [] : [app.picker("color", "Group by", app.table.columns.map((c) => [c.name, c.name]))];
    controls.push(app.zoomBox((on) => (this.zoom = on)));
    this.el = app.panel("gates", "Gates", "levelgate", controls, main);
    const pair = h("div", { class: "clcr-pair" });
    main.append(pair);
    const { levels, modalities } = app.table;
    this.parts = [this.simplex(pair, "level_gate", "levelgate", "Level gate ω", levels), this.simplex(pair, "modality_gate", "modalitygate", "Modality gate", modalities)];
    main.append(app.term("privategate", "Private gate η"));
    this.private = new Cloud(app, main, 42 * modalities.length + 22, "Private gates of all samples, one row for each modality.", {
      key: () => "private", place: (w) => this.placePrivate(w), frame: (ctx, w, hh) => this.framePrivate(ctx, w, hh),
      marks: (w) => this.nowAndTraced("private_gate").flatMap(([values, ghost]) => modalities.map((_, i) => [this.etaX(values[i], w), 21 + 42 * i, ghost])),
    });
    this.legend = app.get("views").includes("subspaces") ? null : h("div", { class: "clcr-legend clcr-flat" });
    if (this.legend) main.append(this.legend);
  }
  nowAndTraced(name) { // the gates at this gamma, and a small ring where they were as traced
    const said = this.app.answerNow(), k = said[name].length, traced = this.app.table[name].v.subarray(this.app.row * k, this.app.row * k + k);
    const moved = Array.from(said[name]).some((v, i) => Math.abs(v - traced[i]) > 1e-3);
    return moved ? [[traced, true], [said[name], false]] : [[said[name], false]];
  }
  simplex(parent, name, explain, title, names) {
    const { app } = this, box = h("div", { class: "clcr-gate", "data-gate": name }, app.term(explain, title));
    parent.append(box);
    if (names.length !== 3) { const bars = h("div", { class: "clcr-gatebars" }); box.append(bars); return { update: () => this.bars(bars, name, names) }; }
    const whole = (w, hh) => { const side = Math.min(w - 20, (hh - 44) / 0.866), left = (w - side) / 2, base = hh - 22; return [[left, base], [left + side, base], [left + side / 2, base - side * 0.866]]; };
    const spot = (values, i, c) => [0, 1].map((axis) => values[3 * i] * c[0][axis] + values[3 * i + 1] * c[1][axis] + values[3 * i + 2] * c[2][axis]);
    const values = app.table[name].v, n = app.ids.length;
    // every place is a mean of the corners, so zooming is nothing but moving the corners
    const corner = (w, hh) => {
      const c = whole(w, hh);
      if (!this.zoom) return c;
      const reach = [[Infinity, -Infinity], [Infinity, -Infinity]];
      for (let i = 0; i < n; i++) spot(values, i, c).forEach((v, axis) => { reach[axis] = [Math.min(reach[axis][0], v), Math.max(reach[axis][1], v)]; });
      const times = clamp(Math.min(...reach.map(([low, high], axis) => ([w, hh][axis] - 50) / (high - low || 1e-3))), 1, 1000);
      return c.map((p) => p.map((v, axis) => [w, hh][axis] / 2 + (v - (reach[axis][0] + reach[axis][1]) / 2) * times));
    };
    const cloud = new Cloud(app, box, 236, `${title}: each sample is a point between ${names.join(", ")}; the nearer a corner, the more it counts.`, {
      key: () => `${name}${this.zoom ? " zoomed" : ""}`,
      place: (w, hh) => {
        const c = corner(w, hh), x = new Float32Array(n), y = new Float32Array(n);
        for (let i = 0; i < n; i++) [x[i], y[i]] = spot(values, i, c);
        return { x, y, sample: Array.from({ length: n }, (_, i) => i) };
      },
      frame: (ctx, w, hh) => {
        const c = corner(w, hh);
        ctx.strokeStyle = app.ink(0.45); ctx.lineWidth = 1;
        ctx.beginPath(); ctx.moveTo(...c[0]); ctx.lineTo(...c[1]); ctx.lineTo(...c[2]); ctx.closePath(); ctx.stroke();
        ctx.strokeStyle = app.ink(0.13);
        for (const q of [0.25, 0.5, 0.75]) for (let a = 0; a < 3; a++) {
          const b = (a + 1) % 3, d = (a + 2) % 3, from = [0, 0, 0], to = [0, 0, 0];
          from[a] = to[a] = q; from[b] = 1 - q; to[d] = 1 - q;
          ctx.beginPath(); ctx.moveTo(...spot(from, 0, c)); ctx.lineTo(...spot(to, 0, c)); ctx.stroke();
        }
        ctx.fillStyle = app.ink(0.85); ctx.font = app.font(11, true);
        const low = Math.min(hh - 6, c[0][1] + 16);
        ctx.textAlign = "left"; ctx.fillText(names[0], Math.max(0, c[0][0] - 10), low);
        ctx.textAlign = "right"; ctx.fillText(names[1], Math.min(w, c[1][0] + 10), low);
        ctx.textAlign = "center"; ctx.fillText(names[2], clamp(c[2][0], 30, w - 30), Math.max(12, c[2][1] - 8));
        const times = (c[1][0] - c[0][0]) / (whole(w, hh)[1][0] - whole(w, hh)[0][0]);
        if (this.zoom) { ctx.fillStyle = app.ink(0.65); ctx.font = app.font(11); ctx.textAlign = "left"; ctx.fillText(`× ${fmt(times, times < 10 ? 1 : 0)}`, 0, 12); }
      },
      marks: (w, hh) => { const c = corner(w, hh); return this.nowAndTraced(name).map(([v, ghost]) => [...spot(v, 0, c), ghost]); },
    });
    const paint = cloud.paintMarks.bind(cloud);
    cloud.paintMarks = (ctx) => { // the mean of each group, as its large mark
      const c = corner(cloud.canvas.width, cloud.canvas.height);
      for (const g of this.means(name, 3)) {
        const [x, y] = spot(g.mean, 0, c);
        mark(ctx, g.style.shape, x, y, 6.5); ctx.lineWidth = 3; ctx.strokeStyle = app.paper; ctx.stroke();
        ctx.fillStyle = g.style.color; ctx.fill(); ctx.lineWidth = 1.2; ctx.strokeStyle = app.ink(0.9); ctx.stroke();
      }
      paint(ctx);
    };
    const update = cloud.update.bind(cloud);
    cloud.update = () => { cloud.canvas.setHeight(Math.round(clamp((cloud.canvas.el.clientWidth - 20) * 0.866 + 46, 150, 320))); update(); };
    return cloud;
  }
  means(name, k) { // by group of the colouring, kept until the colouring changes
    const { app } = this, key = `${name}|${app.get("color")}|${app.theme}`;
    this.kept ??= {};
    if (this.kept[name]?.key === key) return this.kept[name].groups;
    const groups = [], values = app.table[name].v;
    for (const g of app.groups()) {
      const mean = Array.from({ length: k }, (_, j) => g.rows.reduce((sum, i) => sum + values[i * k + j], 0) / g.rows.length);
      groups.push({ ...g, mean });
    }
    this.kept[name] = { key, groups };
    return groups;
  }
  bars(parent, name, names) {
    const { app } = this, k = names.length, said = this.nowAndTraced(name).at(-1)[0];
    const color = (i) => (name === "modality_gate" ? app.modalityColor(i) : app.levelColor(i, k));
    const row = (label, values, rows) => h("div", { class: "clcr-gatebar" },
      rows ? h("button", { type: "button", text: label, title: `select ${label}`, onclick: (e) => app.select(rows, e.shiftKey) }) : h("span", { text: label }),
      h("span", { class: "clcr-stack", role: "img", "aria-label": names.map((n, i) => `${n} ${fmt(values[i])}`).join(", ") },
        ...names.map((n, i) => h("i", { style: `width:${100 * values[i]}%;background:${color(i)}`, title: `${n} ${fmt(values[i])}` }))));
    const groups = this.means(name, k).slice(0, 14);
    parent.replaceChildren(
      h("div", { class: "clcr-flat clcr-legend" }, ...names.map((n, i) => h("span", {}, h("i", { class: "clcr-dot", style: `background:${color(i)}` }), n))),
      row(`id ${app.get("picked")}`, Array.from(said)), ...groups.map((g) => row(g.name, g.mean, g.rows)));
  }
  etaX(v, w) { return 88 + clamp(v, 0, 1) * (w - 88 - 16); }
  placePrivate(w) {
    const { app } = this, k = app.table.modalities.length, n = app.ids.length, eta = app.table.private_gate.v;
    const x = [], y = [], sample = [], layer = [];
    for (let m = 0; m < k; m++) {
      const present = app.table.present[app.table.modalities[m]].v;
      for (let i = 0; i < n; i++) if (present[i]) { x.push(this.etaX(eta[i * k + m], w)); y.push(21 + 42 * m + (scattered(i) - 0.5) * 32); sample.push(i); layer.push(m); }
    }
    return { x: Float32Array.from(x), y: Float32Array.from(y), sample, layer };
  }
  framePrivate(ctx, w, hh) {
    const { app } = this;
    ctx.font = app.font(11);
    for (const [m, name] of app.table.modalities.entries()) {
      ctx.fillStyle = app.ink(0.05); ctx.fillRect(this.etaX(0, w), 2 + 42 * m, this.etaX(1, w) - this.etaX(0, w), 38);
      ctx.fillStyle = app.ink(0.85); ctx.textAlign = "right"; ctx.fillText(name, 70, 25 + 42 * m);
    }
    ctx.fillStyle = app.ink(0.65); ctx.textAlign = "center";
    for (const v of [0, 0.5, 1]) ctx.fillText(String(v), this.etaX(v, w), hh - 6);
  }
  update() {
    for (const part of this.parts) part.update();
    this.private.update();
    if (this.legend) this.app.fillLegend(this.legend);
  }
}

// --- the whole: state, selection, controls ---------------------------------------------------------------------

const VIEWS = { subspaces: Subspaces, gates: Gates, budget: Budget, attention: Attention };

class App {
  constructor(model, root, kernel) {
    Object.assign(this, { model, root, kernel, cleanups: [], token: null, sprites: new Map() });
    root.classList.add("clcr");
    this.table = decode(model.get("_table"));
    this.ids = this.table.ids.v;
    this.rowOf = new Map(Array.from(this.ids, (id, i) => [id, i]));
    for (const [name, take] of Object.entries({
      _points: (v) => (this.points = decode(v)),
      _block: (v) => { this.block = decode(v); this.blockRows = new Map(Array.from(this.block.ids?.v || [], (id, i) => [id, i])); },
      _attention: (v) => (this.attentions = decode(v)),
      _sound: (v) => (this.sounds = decode(v)),
      _answer: (v) => (this.answers = decode(v)),
    })) {
      take(model.get(name));
      this.on(name, () => { take(model.get(name)); this.refresh(); });
    }
    for (const name of ["selection", "picked", "gamma", "level", "modality", "space", "projection", "color", "head", "epoch", "muted", "error", "_probes"]) this.on(name, () => this.refresh());
    this.pickers = [];
    this.build();
    this.watchTheme();
    this.refresh();
  }
  get(name) { return this.model.get(name); }
  set(values) {
    for (const [name, value] of Object.entries(values)) this.model.set(name, value);
    this.model.save_changes();
    this.refresh();
  }
  on(name, run) {
    const event = `change:${name}`;
    this.model.on(event, run);
    this.cleanups.push(() => this.model.off(event, run));
  }
  refresh() {
    if (this.due) return;
    this.due = requestAnimationFrame(() => { this.due = 0; this.update(); });
  }
  close() { this.hush(); cancelAnimationFrame(this.due); this.cleanups.forEach((run) => run()); }

  // -- layout
  build() {
    const { root } = this, views = this.get("views"), any = (...names) => names.some((v) => views.includes(v));
    this.error = h("div", { class: "clcr-error", role: "alert", hidden: true });
    this.status = h("div", { class: "clcr-hidden", "aria-live": "polite" });
    this.tipBox = h("div", { class: "clcr-tip", role: "tooltip", hidden: true });
    this.bar = h("div", { class: "clcr-toolbar", role: "group", "aria-label": "Explorer" });
    this.idBox = h("input", { type: "number", "aria-label": "Sample id", class: "clcr-id", onchange: (e) => this.pickId(+e.target.value),
      // JupyterLab keeps Enter from becoming a change
      onkeydown: (e) => { if (e.key === "Enter") { this.pickId(+e.target.value); e.preventDefault(); } } });
    this.facts = h("span", { class: "clcr-facts" });
    this.bar.append(h("span", { class: "clcr-control" }, this.term("selection", "Sample"),
      h("button", { type: "button", "aria-label": "Previous sample", text: "‹", onclick: () => this.stepSample(-1) }), this.idBox,
      h("button", { type: "button", "aria-label": "Next sample", text: "›", onclick: () => this.stepSample(1) })));
    if (any("subspaces", "budget", "attention")) this.bar.append(this.levelPicker());
    if (any("budget", "attention")) this.bar.append(this.gammaSlider());
    this.bar.append(this.facts);
    this.chip = h("button", { type: "button", class: "clcr-chip", onclick: () => this.select([]) });
    this.bar.append(this.chip);
    const grid = h("div", { class: "clcr-grid" });
    root.replaceChildren(this.bar, this.error, grid, this.tipBox, this.status);
    this.views = Object.keys(VIEWS).filter((v) => views.includes(v)).map((v) => new VIEWS[v](this));
    grid.append(...this.views.map((v) => v.el));
    grid.classList.toggle("clcr-single", !(views.includes("subspaces") && views.includes("gates")));
    root.addEventListener("keydown", (e) => { if (e.key === "Escape") { this.untip(); if (this.get("selection").length) this.select([]); } });
  }
  panel(name, title, explain, controls, ...body) {
    return h("section", { class: `clcr-panel clcr-${name}`, "aria-label": title },
      h("header", {}, h("h3", {}, this.term(explain, title)), h("div", { class: "clcr-controls" }, ...controls)), h("div", { class: "clcr-body" }, ...body));
  }
  term(key, label) { // a word that explains itself to pointer and keyboard
    const el = h("span", { class: "clcr-term", tabindex: 0, text: label, "aria-description": EXPLAIN[key] });
    const show = () => { const box = el.getBoundingClientRect(); this.tip({ clientX: box.left, clientY: box.bottom }, [EXPLAIN[key]]); };
    el.addEventListener("pointerenter", show);
    el.addEventListener("focus", show);
    el.addEventListener("pointerleave", () => this.untip());
    el.addEventListener("blur", () => this.untip());
    return el;
  }
  picker(name, label, options, explain) {
    const select = h("select", { "aria-label": label, "data-trait": name, onchange: (e) => this.set({ [name]: typeof this.get(name) === "number" ? +e.target.value : e.target.value }) },
      ...options.map(([value, text]) => h("option", { value, text })));
    this.pickers.push({ name, select });
    return h("label", { class: "clcr-control" }, explain ? this.term(explain, label) : h("span", { text: label }), select);
  }
  zoomBox(run) {
    const box = h("input", { type: "checkbox", onchange: (e) => { run(e.target.checked); this.refresh(); } });
    return h("label", { class: "clcr-control" }, box, this.term("zoom", "zoom in"));
  }
  enable(name, panel, on) { for (const p of this.pickers) if (p.name === name && p.select.closest(`.clcr-${panel}`)) p.select.disabled = !on; }
  projections() {
    const names = { pca: "PCA", umap: "UMAP" };
    return Object.keys(names).filter((p) => this.kernel || Object.keys(this.points).some((k) => k.startsWith(p))).map((p) => [p, names[p]]);
  }
  levelPicker() {
    const group = `clcr-level-${Math.random().toString(36).slice(2)}`;
    this.levelInputs = this.table.levels.map((name, i) => h("input", { type: "radio", name: group, value: i, onchange: () => this.set({ level: i }) }));
    return h("span", { class: "clcr-control", role: "radiogroup", "aria-label": "Level" }, this.term("level", "Level"),
      h("span", { class: "clcr-segments" }, ...this.table.levels.map((name, i) => h("label", {}, this.levelInputs[i], h("span", { text: name })))));
  }
  gammaSlider() {
    // a page with the model's answers steps through the gammas it has; otherwise the slider is free
    const steps = !this.kernel && this.answers?.gammas?.length ? this.answers.gammas : null;
    this.gammas = steps;
    this.slider = h("input", { type: "range", class: "clcr-gamma", "aria-label": "gamma, the budget multiplier", ...(steps ? { min: 0, max: steps.length - 1, step: 1 } : { min: 0, max: 2, step: 0.05 }),
      oninput: (e) => this.set({ gamma: steps ? steps[+e.target.value] : +(+e.target.value).toFixed(4) }) });
    this.gammaSaid = h("output", { class: "clcr-gamma-value" });
    return h("label", { class: "clcr-control" }, this.term("gamma", "γ"), this.slider, this.gammaSaid,
      h("button", { type: "button", text: "reset", title: "back to γ as traced, nothing muted", onclick: () => this.set(this.get("live") ? { gamma: this.table.gamma, muted: [] } : { gamma: this.table.gamma }) }));
  }

  // -- theme: follow the host, else the system
  watchTheme() {
    const look = () => {
      const style = getComputedStyle(document.documentElement), body = getComputedStyle(document.body);
      const given = ["--jp-layout-color0", "--vscode-editor-background"].map((v) => body.getPropertyValue(v).trim() || style.getPropertyValue(v).trim()).find((v) => v);
      let dark = matchMedia("(prefers-color-scheme: dark)").matches;
      if (given) { const [r, g, b] = rgb(given); dark = 0.299 * r + 0.587 * g + 0.114 * b < 128; }
      this.theme = dark ? "dark" : "light";
      this.root.dataset.theme = this.theme;
      this.paper = getComputedStyle(this.root).getPropertyValue("--paper").trim() || "#fff";
      this.paperRGB = rgb(this.paper);
      this.warn = dark ? "#FF8A65" : "#C43E00";
      this.sprites.clear();
      this.refresh();
    };
    const seen = new MutationObserver(look), system = matchMedia("(prefers-color-scheme: dark)");
    seen.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class", "data-vscode-theme-id"] });
    system.addEventListener("change", look);
    this.cleanups.push(() => seen.disconnect(), () => system.removeEventListener("change", look));
    look();
    setTimeout(look, 300); // style sheets of the host may still be on their way
  }
  ink(alpha) { return this.theme === "dark" ? `rgba(236,239,244,${alpha})` : `rgba(24,28,36,${alpha})`; }
  font(size, bold) { return `${bold ? "600 " : ""}${size}px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif`; }
  modalityColor(i) { const set = this.theme === "dark" ? MODALITY_DARK : MODALITY_LIGHT; return set[Math.max(0, i) % set.length]; }
  levelColor(i, k) { const t = k > 1 ? i / (k - 1) : 1; return this.ramp(0.2 + 0.6 * t); }
  ramp(t) {
    const at = clamp(t, 0, 1) * (CIVIDIS.length - 1), low = Math.min(CIVIDIS.length - 2, Math.floor(at)), part = at - low;
    return `rgb(${CIVIDIS[low].map((v, c) => Math.round(v + (CIVIDIS[low + 1][c] - v) * part)).join(",")})`;
  }
  sprite({ color, shape }, r, scale) {
    const key = `${color}${shape}${r}${scale}`;
    let made = this.sprites.get(key);
    if (!made) {
      made = document.createElement("canvas");
      made.width = made.height = Math.ceil((2 * r + 4) * scale);
      const ctx = made.getContext("2d"), c = made.width / scale / 2;
      ctx.scale(scale, scale);
      mark(ctx, shape, c, c, r);
      ctx.fillStyle = color; ctx.fill();
      ctx.strokeStyle = this.paper; ctx.lineWidth = 0.7; ctx.stroke();
      this.sprites.set(key, made);
    }
    return made;
  }

  // -- colour of a sample
  get column() { return this.table.columns.find((c) => c.name === this.get("color")); }
  categoryStyle(column, value) {
    if (value < 0) return { color: this.ink(0.35), shape: "circle" };
    const set = this.theme === "dark" ? DARK : LIGHT;
    if (column.name === "error" && value === 0) return { color: this.theme === "dark" ? "#7A828E" : "#A4ABB5", shape: "circle" };
    if (column.name === "error") return { color: set[4], shape: SHAPES[(value + 1) % 5] };
    return { color: set[value % set.length], shape: SHAPES[value % SHAPES.length] };
  }
  style(i) {
    const c = this.column;
    if (!c) return { color: this.modalityColor(this.table.modalities.indexOf(this.get("modality"))), shape: "circle" };
    if (c.kind === "category") return this.categoryStyle(c, c.values.v[i]);
    const [low, high] = this.reach(c);
    return { color: this.ramp(0.05 + 0.9 * (Math.round(31 * clamp((c.values.v[i] - low) / (high - low || 1), 0, 1)) / 31)), shape: "circle" };
  }
  reach(c) {
    if (!c.reach) { const sorted = Array.from(c.values.v).filter(Number.isFinite).sort((a, b) => a - b); c.reach = [quantile(sorted, 0.01), quantile(sorted, 0.99)]; }
    return c.reach;
  }
  groups() {
    const c = this.column;
    if (!c || c.kind !== "category") return [{ name: "all samples", rows: Array.from(this.ids, (_, i) => i), style: { color: this.ink(0.6), shape: "circle" } }];
    const rows = c.names.map(() => []);
    c.values.v.forEach((v, i) => { if (v >= 0) rows[v].push(i); });
    return c.names.map((name, v) => ({ name, rows: rows[v], style: this.categoryStyle(c, v) })).filter((g) => g.rows.length);
  }
  fillLegend(parent) {
    const key = [this.get("color"), this.theme, this.get("space"), this.get("modality")].join("|");
    if (parent.dataset.key === key) return;
    parent.dataset.key = key;
    const c = this.column, color = this.get("color");
    parent.replaceChildren(h("span", { class: "clcr-legend-title", text: color }));
    const item = (style, label, rows) => {
      const icon = this.sprite(style, 5, 2), picture = h("img", { alt: "", src: icon.toDataURL(), width: icon.width / 2, height: icon.height / 2 });
      parent.append(rows ? h("button", { type: "button", title: `select all ${rows.length} of ${label}`, onclick: (e) => this.select(rows, e.shiftKey) }, picture, h("span", { text: label })) : h("span", {}, picture, h("span", { text: label })));
    };
    if (!c) {
      const names = this.get("space") === "shared" ? this.table.modalities : [this.get("modality")];
      for (const m of names) { const i = this.table.modalities.indexOf(m); item({ color: this.modalityColor(i), shape: this.get("space") === "shared" ? SHAPES[i % 5] : "circle" }, m); }
      if (this.get("space") !== "shared") parent.append(h("p", { class: "clcr-note", text: "all modalities together: only in the shared space, which they have in common" }));
    } else if (c.kind === "category") for (const g of this.groups()) item(g.style, g.name, g.rows);
    else {
      const [low, high] = this.reach(c);
      parent.append(h("div", { class: "clcr-rampbar", style: `background:linear-gradient(90deg,${[0.05, 0.25, 0.5, 0.75, 0.95].map((t) => this.ramp(t)).join(",")})` }), h("div", { class: "clcr-rampends" }, h("span", { text: fmt(low) }), h("span", { text: fmt(high) })));
    }
  }
  describeSample(i, layer) {
    const lines = [`id ${this.ids[i]}` + (layer != null && this.get("color") === "modality" ? `, ${this.table.modalities[layer]}` : "")];
    for (const c of this.table.columns.slice(0, 7)) lines.push(`${c.name}: ${this.valueOf(c, i)}`);
    return lines;
  }
  valueOf(c, i) { const v = c.values.v[i]; return c.kind === "category" ? c.names[v] ?? "unknown" : fmt(v); }
  truthOf(i) {
    const found = new Set();
    for (const c of this.table.columns) {
      if (c.name === "label") found.add(this.table.task === "labels" ? (c.values.v[i] > 0 ? this.table.outputs[0] : "") : this.valueOf(c, i));
      else if (this.table.task === "labels" && c.name.startsWith("label ") && c.values.v[i] > 0) found.add(c.name.slice(6));
    }
    found.delete("");
    return found;
  }

  // -- the picked sample
  get row() { return this.rowOf.get(this.get("picked")) ?? 0; }
  get blockRow() { return this.blockRows.get(this.get("picked")) ?? -1; }
  get selected() { return this._selected; }
  select(rows, add = false) {
    let ids = rows.map((i) => this.ids[i]);
    if (add) { const now = this.get("selection"), has = new Set(now); ids = ids.length === 1 && has.has(ids[0]) ? now.filter((x) => x !== ids[0]) : [...now, ...ids.filter((x) => !has.has(x))]; }
    const changes = { selection: ids };
    if (ids.length && (!ids.includes(this.get("picked")) || rows.length === 1)) changes.picked = rows.length === 1 && ids.includes(this.ids[rows[0]]) ? this.ids[rows[0]] : ids[0];
    if (changes.picked !== undefined && changes.picked !== this.get("picked") && this.get("muted").length) changes.muted = [];
    this.set(changes);
    this.say(ids.length ? `${ids.length} selected, id ${changes.picked ?? this.get("picked")} picked` : "selection cleared");
  }
  soundOf(m) {
    const at = this.sounds?.ids ? Array.from(this.sounds.ids.v).indexOf(this.get("picked")) : -1;
    return (at >= 0 && this.sounds.of[m]?.[at]?.v) || null;
  }
  play(m) { // one sound at a time; the same button stops it
    const again = this.playing?.m === m;
    this.hush();
    if (again) return;
    const link = URL.createObjectURL(new Blob([this.soundOf(m)], { type: "audio/wav" })), audio = new Audio(link);
    const playing = (this.playing = { m, id: this.get("picked"), audio, link });
    const over = () => this.playing === playing && this.hush();
    audio.addEventListener("ended", over);
    audio.play().catch((e) => { over(); if (e.name !== "AbortError") this.say(`the sound cannot be played: ${e.message}`); });
    this.refresh();
  }
  hush() {
    if (!this.playing) return;
    this.playing.audio.pause();
    URL.revokeObjectURL(this.playing.link);
    this.playing = null;
    this.refresh();
  }
  pickId(id) {
    if (this.rowOf.has(id)) this.select([this.rowOf.get(id)]);
    else { this.idBox.value = this.get("picked"); this.say(`no sample ${id}`); }
  }
  stepSample(by) { // among the selected ones if there are several, else among all
    const many = this.get("selection").length > 1, list = many ? this.get("selection") : Array.from(this.ids);
    const next = list[(list.indexOf(this.get("picked")) + by + list.length) % list.length];
    if (many) this.set(this.get("muted").length ? { picked: next, muted: [] } : { picked: next });
    else this.select([this.rowOf.get(next)]);
  }
  stepKeys(e) {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
    if (by) { this.stepSample(by); e.preventDefault(); }
  }
  point(token) { // the token under the pointer, common to budget and attention
    const key = token && `${token.m} ${token.i}`;
    if (key === this.tokenKey) return;
    this.token = token; this.tokenKey = key;
    this.refresh();
  }
  lane(m, level) {
    const row = this.blockRow, lane = this.block.lanes?.[m];
    if (row < 0 || !lane) return null;
    const [, levels, length] = lane.evidence.shape, mask = lane.mask.v.subarray(row * length, (row + 1) * length);
    const positions = [];
    for (let t = 0; t < length; t++) if (mask[t]) positions.push(t);
    if (!positions.length) return null;
    const start = (row * levels + level) * length, take = (v) => positions.map((t) => v[start + t]);
    const muted = positions.map((t) => this.table.budgeted && this.get("muted").some((x) => x[0] === m && x[1] === level && x[2] === t));
    const bins = lane.features?.shape[2] || 0;
    let features = null;
    if (bins) { features = new Uint8Array(positions.length * bins); positions.forEach((t, i) => features.set(lane.features.v.subarray((row * length + t) * bins, (row * length + t + 1) * bins), i * bins)); }
    return { m, positions, evidence: take(lane.evidence.v), activation: take(lane.activation.v).map((a, i) => (muted[i] ? 0 : a)), muted, bins, features,
      truth: lane.truth ? take(lane.truth.v) : null, text: positions.map((t) => this.block.texts[lane.text.v[row * length + t]]), threshold: lane.threshold[level], perGamma: lane.budget.v[row * levels + level] };
  }
  share(lane) {
    if (!this.table.budgeted) return { budget: lane.perGamma, cutoff: 0, allocation: lane.activation };
    const budget = lane.perGamma * this.get("gamma");
    return { budget, ...project(lane.activation, budget) };
  }
  get attention() { const ids = this.attentions?.ids?.v; return ids && Array.from(ids).includes(this.get("picked")) ? this.attentions : null; }
  attentionHere() { // has the kernel sent what the picked sample, level and modality ask for?
    const a = this.attention;
    return Boolean(a && a.levels.includes(this.get("level")) && a.asked.includes(this.get("modality")) && this.blockRow >= 0);
  }
  attentionOf(m) { // weights of real tokens only, (listening token, other token), for the chosen head
    const a = this.attention, lane = a && this.lane(m, this.get("level")), given = a?.of[m], level = a?.levels.indexOf(this.get("level"));
    if (!lane || !given || level < 0) return null;
    const row = Array.from(a.ids.v).indexOf(this.get("picked")), [, levels, heads, tokens, width] = given.weights.shape;
    const columns = [];
    let offset = 0;
    for (const [other, padded] of given.others) {
      const its = this.lane(other, this.get("level"));
      if (its) its.positions.forEach((p, i) => columns.push({ m: other, i, position: p, at: offset + p, text: its.text[i] }));
      offset += padded;
    }
    if (!columns.length) return null;
    const weights = new Float32Array(lane.positions.length * columns.length), head = this.get("head");
    const chosen = head < 0 ? Array.from({ length: heads }, (_, i) => i) : [head];
    lane.positions.forEach((t, i) => {
      for (const hd of chosen) {
        const line = ((row * levels + level) * heads + hd) * tokens + t, scale = given.top.v[line] / 255 / chosen.length;
        for (let j = 0; j < columns.length; j++) weights[i * columns.length + j] += given.weights.v[line * width + columns[j].at] * scale;
      }
    });
    return { lane, rows: lane.positions.length, columns, weights };
  }
  whyNoAttention() {
    if (!Object.keys(this.attentions?.of || {}).length && this.table.heads === 0) return "This model has no exchange, so nobody listens to anybody.";
    return `In this sample ${this.get("modality")} or every other modality is missing, so there is no attention to show.`;
  }
  keptNote(what) {
    return `Of id ${this.get("picked")} this page keeps no ${what || "tokens"}.`;
  }
  answerNow() {
    const outputs = this.table.prediction.shape[1], row = this.row, L = this.table.levels.length, M = this.table.modalities.length;
    const traced = this.table.prediction.v.subarray(row * outputs, (row + 1) * outputs), gamma = this.get("gamma");
    const base = { prediction: traced, traced, level_gate: this.table.level_gate.v.subarray(row * L, (row + 1) * L), modality_gate: this.table.modality_gate.v.subarray(row * M, (row + 1) * M), private_gate: this.table.private_gate.v.subarray(row * M, (row + 1) * M) };
    const a = this.answers, at = a?.ids ? Array.from(a.ids.v).indexOf(this.get("picked")) : -1;
    const moved = Math.abs(gamma - this.table.gamma) > 1e-9;
    if (at < 0) return { ...base, note: this.get("live") && this.kernel ? "waiting for the model…" : moved ? `as traced at γ = ${fmt(this.table.gamma)}; ${a?.ids ? "this sample's other answers are not in the page" : "without a model only the allocation follows γ"}` : `at γ = ${fmt(gamma)}` };
    let g = 0;
    a.gammas.forEach((v, i) => { if (Math.abs(v - gamma) < Math.abs(a.gammas[g] - gamma)) g = i; });
    const cut = (packed, k) => packed.v.subarray((at * a.gammas.length + g) * k, (at * a.gammas.length + g + 1) * k);
    const exact = Math.abs(a.gammas[g] - gamma) < 1e-9 && (!a.muted || JSON.stringify(a.muted) === JSON.stringify(this.get("muted")));
    const count = this.get("muted").length;
    return { traced, prediction: cut(a.prediction, outputs), level_gate: cut(a.level_gate, L), modality_gate: cut(a.modality_gate, M), private_gate: cut(a.private_gate, M),
      note: exact ? `at γ = ${fmt(gamma)}${count ? `, ${count} muted` : ""}` : this.kernel ? "waiting for the model…" : `at γ = ${fmt(a.gammas[g])}, the nearest kept` };
  }
  participationRange(m, l) {
    this.ranges ??= {};
    return (this.ranges[`${m}/${l}`] ??= (() => {
      const L = this.table.levels.length, all = this.table.participation[m].v, here = this.table.present[m].v, sorted = [];
      for (let i = 0; i < this.ids.length; i++) if (here[i]) sorted.push(all[i * L + l]);
      sorted.sort((a, b) => a - b);
      return [0.1, 0.5, 0.9].map((q) => quantile(sorted, q));
    })());
  }

  // -- saying things
  say(text) { this.status.textContent = text; }
  tip(event, lines) {
    const box = this.root.getBoundingClientRect();
    this.tipBox.replaceChildren(...lines.map((line, i) => h(i || lines.length === 1 ? "div" : "strong", { text: line })));
    this.tipBox.hidden = false;
    const w = this.tipBox.offsetWidth, x = clamp(event.clientX - box.left + 14, 4, Math.max(4, box.width - w - 4));
    this.tipBox.style.left = `${x}px`;
    this.tipBox.style.top = `${event.clientY - box.top + 16}px`;
  }
  untip() { this.tipBox.hidden = true; }

  update() {
    const selection = this.get("selection");
    if (this._ids !== selection) { this._ids = selection; this._selected = new Set(selection.map((id) => this.rowOf.get(id))); this.dimmingKey = selection.length > 1 ? (this.dimmings = (this.dimmings || 0) + 1) : 0; }
    if (this.playing && this.playing.id !== this.get("picked")) this.hush();
    const error = this.get("error");
    this.error.hidden = !error;
    this.error.textContent = error;
    for (const { name, select } of this.pickers) if (select.value !== String(this.get(name))) select.value = this.get(name);
    if (document.activeElement !== this.idBox) this.idBox.value = this.get("picked");
    const fact = (name) => { const c = this.table.columns.find((x) => x.name === name); return c && this.valueOf(c, this.row); };
    const wrong = this.table.task === "classes" && fact("error");
    this.facts.textContent = [fact("label") && `label ${fact("label")}`, fact("prediction") && `predicted ${fact("prediction")}${wrong ? ` (${wrong})` : ""}`].filter(Boolean).join(", ");
    this.chip.hidden = !selection.length;
    this.chip.textContent = `${selection.length} selected ✕`;
    this.chip.setAttribute("aria-label", `${selection.length} selected; clear the selection`);
    this.levelInputs?.forEach((input, i) => (input.checked = i === this.get("level")));
    if (this.slider) {
      const gamma = this.get("gamma");
      if (this.gammas) { let g = 0; this.gammas.forEach((v, i) => { if (Math.abs(v - gamma) < Math.abs(this.gammas[g] - gamma)) g = i; }); this.slider.value = g; }
      else { this.slider.max = Math.max(2, Math.ceil(gamma)); this.slider.value = gamma; }
      this.slider.setAttribute("aria-valuetext", `gamma ${fmt(gamma)}`);
      this.gammaSaid.textContent = fmt(gamma);
    }
    for (const view of this.views) view.update();
  }
}

function rgb(color) {
  const probe = (rgb.context ??= document.createElement("canvas").getContext("2d", { willReadFrequently: true }));
  probe.fillStyle = "#000";
  probe.fillStyle = color;
  probe.fillRect(0, 0, 1, 1);
  return Array.from(probe.getImageData(0, 0, 1, 1).data.slice(0, 3));
}

// --- the two ways in -------------------------------------------------------------------------------------------

// A saved page has no kernel: its state lives here, and answers come from what was computed beforehand.
class PageModel {
  constructor(state) { this.state = state; this.listeners = {}; }
  get(name) { return this.state[name]; }
  set(name, value) { this.state[name] = value; for (const run of [...(this.listeners[`change:${name}`] || [])]) run(); }
  on(event, run) { (this.listeners[event] ??= []).push(run); }
  off(event, run) { this.listeners[event] = (this.listeners[event] || []).filter((x) => x !== run); }
  save_changes() {}
  send() {}
}

export async function openPage(root, state, packed) {
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const blob = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  const revive = (value) => {
    if (Array.isArray(value)) return value.map(revive);
    if (!value || typeof value !== "object") return value;
    const made = Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
    if (made.dtype && made.at !== undefined) made.data = new Uint8Array(blob, made.at, made.bytes);
    return made;
  };
  return new App(new PageModel(revive(state)), root, false);
}

function render({ model, el }) {
  const root = document.createElement("div");
  el.append(root);
  const app = new App(model, root, true);
  return () => app.close();
}

export default { render };
