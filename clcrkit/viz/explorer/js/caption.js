// Above a token lane: how many of the tokens are funded, and with how much.
import { term } from "./controls.js";
import { h } from "./dom.js";
import { fmt, sum } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {Share, Tokens} from "./types.js" */

// Its elements stay and only their texts change: what is focused keeps the focus, and the page is not laid out anew.
export class Caption {
  /** @param {App} app @param {string} modality @param {number} index */
  constructor(app, modality, index) {
    this.app = app;
    this.index = index;
    this.dot = h("i", { class: "clcr-dot" });
    this.funded = h("span", { class: "clcr-funded" });
    this.budget = h("span");
    this.participation = h("span");
    this.cutoff = h("span");
    this.facts = [
      this.funded,
      h("span", {}, term(app, "budget", "budget B"), this.budget),
      h("span", {}, term(app, "participation", "r"), this.participation),
      h("span", { class: "clcr-cut" }, term(app, "cutoff", "λ"), this.cutoff),
    ];
    this.missing = h("span", { text: "this modality is missing in this sample" });
    this.present = false;
    this.el = h("div", { class: "clcr-lane-caption" }, this.dot, h("strong", { text: modality }), this.missing);
  }

  /** @param {Tokens | null} tokens @param {Share} share */
  update(tokens, { allocation, budget, cutoff }) {
    const { app } = this;
    const { sparse } = app.data.table;
    this.dot.style.background = app.theme.modality(this.index);
    if (this.present !== Boolean(tokens)) {
      this.present = Boolean(tokens);
      for (const el of this.present ? [this.missing] : this.facts) el.remove();
      this.el.append(...(this.present ? this.facts : [this.missing]));
    }
    if (!tokens) return;
    const [n, spent] = [tokens.positions.length, sum(allocation)];
    const unbound = sparse
      ? " 0: the budget does not bind, every token keeps its activation"
      : " 0: this model has no budget, every token has a share of 1";
    this.funded.textContent = `${allocation.filter((part) => part > 0).length} of ${n} tokens funded`;
    this.budget.textContent = ` ${fmt(budget)}, spent ${fmt(spent)}`;
    this.participation.textContent = ` ${fmt(spent / n)}`;
    this.cutoff.textContent = cutoff > 0 ? ` ${fmt(cutoff, 3)}` : unbound;
  }
}
