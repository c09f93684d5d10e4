// Playing the epochs of a training.
import { button, h, inputValue } from "./dom.js";

/** @import {App} from "./app.js" */

const STEP = 600; // milliseconds

export class Epochs {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.last = app.data.table.epochs - 1;
    this.timer = 0;
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: this.last,
      step: 1,
      value: app.get("epoch"),
      "aria-label": "Training epoch",
      oninput: (/** @type {Event} */ event) => app.set({ epoch: Number(inputValue(event)) }),
    });
    this.name = h("output");
    this.play = button("▶ play", () => (this.timer ? this.stop() : this.start()));
    this.el = h("div", { class: "clcr-row" }, this.play, this.slider, this.name);
    app.cleanups.push(() => clearInterval(this.timer));
  }

  start() {
    const { app } = this;
    this.play.textContent = "■ stop";
    app.set({ epoch: 0 });
    this.timer = setInterval(() => {
      const epoch = app.get("epoch");
      if (epoch >= this.last) this.stop();
      else app.set({ epoch: epoch + 1 });
    }, STEP);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "▶ play";
  }

  update() {
    const epoch = this.app.get("epoch");
    this.slider.value = String(epoch);
    this.name.textContent = epoch === this.last ? "last" : `epoch ${epoch + 1} of ${this.last}`;
  }
}
