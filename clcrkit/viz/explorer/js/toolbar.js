// Above the views: sample, level, gamma, what is known of the sample, and the selection.
import { term } from "./controls.js";
import { button, h, inputValue } from "./dom.js";
import { fmt, nearestIndex } from "./numbers.js";
import { Search } from "./search.js";

/** @import {App} from "./app.js" */

export class Toolbar {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    const views = app.get("views");
    /** @param {...string} names */
    const any = (...names) => names.some((name) => views.includes(name));
    this.idBox = h("input", {
      type: "text",
      inputmode: "numeric",
      "aria-label": "Sample id",
      class: "clcr-id",
      onchange: () => this.pick(),
      // JupyterLab keeps Enter from becoming a change
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Enter") return;
        this.pick();
        event.preventDefault();
      },
    });
    this.facts = h("span", { class: "clcr-facts" });
    this.chip = h("button", { type: "button", class: "clcr-chip", onclick: () => app.select([]) });
    /** @type {HTMLInputElement[]} */
    this.levels = [];
    /** @type {HTMLInputElement | null} */
    this.slider = null;
    // a page with the model's answers steps through the gammas it has; otherwise the slider is free
    this.gammas = (app.data.driver === "precomputed" && app.data.answers?.gammas) || null;
    this.gamma = h("output", { class: "clcr-gamma-value" });
    this.el = h("div", { class: "clcr-toolbar", role: "group", "aria-label": "Explorer" });
    this.el.append(this.samplePicker());
    if (!app.data.model.complete) this.el.append(new Search(app).el);
    if (any("subspaces", "budget", "attention")) this.el.append(this.levelPicker());
    if (any("budget", "attention")) this.el.append(this.gammaSlider());
    this.el.append(this.facts, this.chip);
  }

  pick() {
    this.app.pickId(this.idBox.value.trim());
  }

  samplePicker() {
    const { app } = this;
    const [back, on] = [button("‹", () => app.stepSample(-1)), button("›", () => app.stepSample(1))];
    back.setAttribute("aria-label", "Previous sample");
    on.setAttribute("aria-label", "Next sample");
    return h("span", { class: "clcr-control" }, term(app, "selection", "Sample"), back, this.idBox, on);
  }

  levelPicker() {
    const { app } = this;
    const { levels } = app.data.table;
    const name = `clcr-level-${Math.random().toString(36).slice(2)}`;
    this.levels = levels.map((_, level) =>
      h("input", { type: "radio", name, value: level, onchange: () => app.set({ level }) }),
    );
    const segments = levels.map((text, i) => h("label", {}, this.levels[i], h("span", { text })));
    return h(
      "span",
      { class: "clcr-control", role: "radiogroup", "aria-label": "Level" },
      term(app, "level", "Level"),
      h("span", { class: "clcr-segments" }, ...segments),
    );
  }

  gammaSlider() {
    const { app, gammas } = this;
    this.slider = h("input", {
      type: "range",
      class: "clcr-gamma",
      "aria-label": "gamma, the budget multiplier",
      ...(gammas ? { min: 0, max: gammas.length - 1, step: 1 } : { min: 0, max: 2, step: 0.05 }),
      oninput: (/** @type {Event} */ event) => {
        const value = Number(inputValue(event));
        app.set({ gamma: gammas ? gammas[value] : Number(value.toFixed(4)) });
      },
    });
    const reset = button("reset", () => {
      const { gamma } = app.data.table;
      app.set(app.get("live") ? { gamma, muted: [] } : { gamma });
    });
    reset.title = "back to γ as traced, nothing muted";
    return h("label", { class: "clcr-control" }, term(app, "gamma", "γ"), this.slider, this.gamma, reset);
  }

  update() {
    const { app } = this;
    if (document.activeElement !== this.idBox) this.idBox.value = app.get("picked");
    this.facts.textContent = this.factsText();
    const { length } = app.get("selection");
    this.chip.hidden = !length;
    this.chip.textContent = `${length} selected ✕`;
    this.chip.setAttribute("aria-label", `${length} selected; clear the selection`);
    this.levels.forEach((input, i) => {
      input.checked = i === app.get("level");
    });
    if (this.slider) this.showGamma(this.slider);
  }

  factsText() {
    const { data } = this.app;
    if (data.model.edited) return "changed by you";
    const [label, prediction] = ["label", "prediction"].map((name) => data.fact(name, data.row));
    const error = data.table.task === "classification" && data.fact("error", data.row);
    const facts = [label && `label ${label}`, prediction && `predicted ${prediction}${error ? ` (${error})` : ""}`];
    return facts.filter(Boolean).join(", ");
  }

  /** @param {HTMLInputElement} slider */
  showGamma(slider) {
    const gamma = this.app.get("gamma");
    if (this.gammas) slider.value = String(nearestIndex(this.gammas, gamma));
    else {
      slider.max = String(Math.max(2, Math.ceil(gamma)));
      slider.value = String(gamma);
    }
    slider.setAttribute("aria-valuetext", `gamma ${fmt(gamma)}`);
    this.gamma.textContent = fmt(gamma);
  }
}
