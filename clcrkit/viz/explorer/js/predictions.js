// What the model says of the picked sample, beside what it said as traced.
import { readings } from "./answers.js";
import { h, note } from "./dom.js";
import { clamp, extent, fmt } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {Range} from "./types.js" */

const MOST = 10; // outputs shown

export class Predictions {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** What the rows that are there show. */
    this.key = "";
    this.said = note("", "clcr-said");
    this.el = h("div", { class: "clcr-predictions", "aria-live": "polite" });
    const { task, prediction } = app.data.table;
    /** @type {Range} */
    this.range = task === "regression" ? extent(prediction.v) : [0, 1];
  }

  update() {
    const { data } = this.app;
    const { task } = data.table;
    const answer = data.answer();
    const [now, traced] = [readings(answer.prediction, task), readings(answer.traced, task)];
    const truth = data.truthOf(data.row);
    const isTrue = truth.size && task !== "regression" ? ", ✓ is true" : "";
    this.said.textContent = answer.note + isTrue;
    const key = JSON.stringify([now, traced, [...truth]]);
    if (this.key !== key) this.showRows(now, traced, truth);
    this.key = key;
  }

  /** @param {number[]} now @param {number[]} traced @param {Set<string>} truth */
  showRows(now, traced, truth) {
    const { task, outputs } = this.app.data.table;
    const isValue = task === "regression";
    const best = task === "classification" ? now.indexOf(Math.max(...now)) : -1;
    const likeliest = now.map((_, i) => i);
    if (now.length > MOST) likeliest.sort((a, b) => traced[b] - traced[a]).splice(MOST);
    likeliest.sort((a, b) => a - b);
    this.el.replaceChildren(
      ...likeliest.map((i) => {
        const name = outputs[i];
        return h(
          "div",
          { class: `clcr-prediction${i === best ? " clcr-best" : ""}`, "data-output": name },
          h("span", { class: "clcr-name", title: name, text: name + (truth.has(name) ? " ✓" : "") }),
          h(
            "span",
            { class: "clcr-bar" },
            h("i", { style: `width:${this.percent(now[i])}%` }),
            h("b", { style: `left:${this.percent(traced[i])}%` }),
          ),
          h("span", { class: "clcr-number", text: isValue ? fmt(now[i], 3) : `${fmt(100 * now[i], 1)} %` }),
        );
      }),
    );
    if (now.length > MOST) this.el.append(note(`the ${MOST} likeliest of ${now.length}`));
    if (isValue && truth.size) this.el.append(note(`true value ${[...truth][0]}`));
    this.el.append(this.said);
  }

  /** @param {number} v */
  percent(v) {
    const [low, high] = this.range;
    return 100 * clamp((v - low) / (high - low || 1), 0, 1);
  }
}
