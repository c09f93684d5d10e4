// Whom the model believes: what each modality says alone, what they say together, and through whose tokens.
import { h, note } from "./dom.js";
import { fmt, softmax } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {Sample, Values} from "./types.js" */

/** What was asked of the model: which modalities it got. @typedef {{name: string, on: string[]}} Asked */

/**
 * The questions behind a verdict: all modalities, each alone, all but each.
 * @param {string[]} present
 * @returns {Asked[]}
 */
export function asked(present) {
  const alone = present.map((m) => ({ name: `${m} alone`, on: [m] }));
  const without = present.map((m) => ({ name: `without ${m}`, on: present.filter((other) => other !== m) }));
  const all = { name: "all together", on: present };
  return present.length > 2 ? [all, ...alone, ...without] : present.length > 1 ? [all, ...alone] : [all];
}

/** A sample with some modalities only. @param {Sample} sample @param {string[]} on @returns {Sample} */
export function only(sample, on) {
  const each = Object.entries(sample).map(([m, input]) => [
    m,
    on.includes(m) ? input : { ...input, mask: new Uint8Array(input.mask.length) },
  ]);
  return Object.fromEntries(each);
}

/**
 * The token that the others listen to most at one level: its modality, position, and who listens to it most.
 * @param {Record<string, Values>} outputs of one sample
 * @param {string[]} modalities
 * @param {number} level
 */
export function mostHeard(outputs, modalities, level) {
  let best = { modality: "", token: -1, listener: "", weight: 0 };
  for (const speaker of modalities) {
    /** @type {Record<string, number[]>} */
    const heard = {};
    for (const listener of modalities) {
      if (listener === speaker || !outputs[`attention/${listener}`]) continue;
      const { shape, v } = outputs[`attention/${listener}`];
      const [, , heads, rows, columns] = shape;
      const others = modalities.filter((m) => m !== listener);
      const lengths = others.map((m) => outputs[`allocation/${m}`].shape[2]);
      const at = others.indexOf(speaker);
      const start = lengths.slice(0, at).reduce((a, b) => a + b, 0);
      const share = outputs[`allocation/${listener}`].v;
      heard[listener] = Array.from({ length: lengths[at] }, (_, j) => {
        let total = 0;
        for (let k = 0; k < heads; k++)
          for (let t = 0; t < rows; t++)
            total += share[level * rows + t] * v[((level * heads + k) * rows + t) * columns + start + j];
        return total / heads;
      });
    }
    const listeners = Object.keys(heard);
    for (let token = 0; token < (heard[listeners[0]]?.length ?? 0); token++) {
      const weight = listeners.reduce((total, m) => total + heard[m][token], 0);
      if (weight <= best.weight) continue;
      const listener = listeners.reduce((a, b) => (heard[b][token] > heard[a][token] ? b : a));
      best = { modality: speaker, token, listener, weight };
    }
  }
  return best.token < 0 ? null : best;
}

/**
 * In words.
 * @param {string[]} present
 * @param {Map<string, string>} said by question
 */
export function believed(present, said) {
  const together = said.get("all together");
  if (present.length < 2) return present.length ? `Only ${present[0]} is on.` : "Every modality is switched off.";
  const agree = present.filter((m) => said.get(`${m} alone`) === together);
  const each = present.map((m) => `${m} ${said.get(`${m} alone`)}`).join(", ");
  const decides = present.filter((m) => said.has(`without ${m}`) && said.get(`without ${m}`) !== together);
  const turn = decides.map((m) => `Without ${m} it would say ${said.get(`without ${m}`)}.`).join(" ");
  if (agree.length === present.length) return `All agree: each alone says ${together}, and so does the model. ${turn}`;
  const whom = agree.length ? `It believes ${agree.join(" and ")}.` : "None of them says so alone.";
  return `Alone they say: ${each}. Together: ${together}. ${whom} ${turn}`;
}

export class Verdict {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.sentence = h("p", { class: "clcr-verdict", "aria-live": "polite" });
    this.rows = h("div", { class: "clcr-sayings" });
    this.el = h("div", {}, this.sentence, this.rows);
  }

  /**
   * @param {string[]} present
   * @param {Asked[]} questions
   * @param {Values} prediction (question, output)
   * @param {string} through which level and token
   */
  show(present, questions, prediction, through) {
    const { outputs } = this.app.data.table;
    const k = outputs.length;
    const said = new Map();
    const rows = questions.map(({ name }, i) => {
      const parts = softmax(prediction.v.subarray(i * k, (i + 1) * k));
      const best = parts.indexOf(Math.max(...parts));
      said.set(name, outputs[best]);
      const percent = `${fmt(100 * parts[best], 0)} %`;
      return h(
        "div",
        { class: "clcr-saying", "data-asked": name },
        h("span", { text: name }),
        h("strong", { text: outputs[best] }),
        h("span", { class: "clcr-bar" }, h("i", { style: `width:${100 * parts[best]}%` })),
        h("span", { class: "clcr-number", text: percent }),
      );
    });
    this.sentence.textContent = believed(present, said);
    this.rows.replaceChildren(...rows, note(through));
  }
}
