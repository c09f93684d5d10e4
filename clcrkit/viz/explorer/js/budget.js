// View 2: which tokens of the picked sample the budget funds, and why.
import { markWaiting, panel, term } from "./controls.js";
import { button, h, note } from "./dom.js";
import { TokenLane } from "./lane.js";
import { counted } from "./numbers.js";
import { Participation } from "./participation.js";
import { Predictions } from "./predictions.js";

/** @import {App} from "./app.js" */
/** @import {EXPLAIN} from "./explain.js" */

/** @type {[swatch: string, word: keyof typeof EXPLAIN, label: string][]} */
const KEY = [
  ["filled", "allocation", "allocation α"],
  ["pale", "activation", "activation v"],
  ["line", "cutoff", "cut-off λ"],
  ["stick", "evidence", "evidence e"],
  ["dots", "cut", "cut"],
];

/** @type {typeof KEY[number]} */
const GAIN = ["ink", "gain", "b − a"];

export class Budget {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    const { data } = app;
    const main = h("div", { class: "clcr-main" });
    const side = h("div", { class: "clcr-side clcr-wide" });
    this.el = panel(app, "budget", "Token budget", "budget", [], [main, side]);
    const words = data.compared ? [...KEY, GAIN] : KEY;
    const key = words.map(([swatch, word, label]) =>
      h("span", {}, h("i", { class: `clcr-swatch clcr-${swatch}` }), term(app, word, label)),
    );
    this.missing = note("", "clcr-missing");
    main.append(h("p", { class: "clcr-key" }, ...key), this.missing);
    this.lanes = data.table.modalities.map((m, i) => new TokenLane(app, main, m, i));
    if (!data.complete) {
      const all = data.ids.length;
      if (data.table.audible.length) this.limit(main, "sound", data.sounds?.ids.length ?? 0, all);
      if (data.table.pictured.length) this.limit(main, "pictures", data.pictures?.ids.length ?? 0, all);
      this.limit(main, "tokens", data.blockRows.size, all);
    }
    main.append(
      note(
        app.get("live")
          ? "Click a token (or Enter on it) to mute it: its activation becomes 0 and the model runs again."
          : "Point at a token to read its numbers.",
      ),
    );
    this.predictions = new Predictions(app);
    side.append(term(app, "prediction", "Prediction"), this.predictions.el);
    side.append(term(app, "participation", "Participation r, all samples"));
    this.participation = new Participation(app, side);
  }

  /**
   * What a page says of how much it keeps.
   * @param {HTMLElement} parent
   * @param {string} what
   * @param {number} count
   * @param {number} all
   */
  limit(parent, what, count, all) {
    if (count < all)
      parent.append(note(`This page keeps the ${what} of ${counted(count)} of its ${counted(all)} samples.`));
  }

  update() {
    const { app } = this;
    const here = app.data.blockRow >= 0;
    const waiting = !here && app.data.kernel;
    markWaiting(this.el, waiting);
    if (waiting) return; // what is drawn stays until the kernel's answer is here
    this.missing.hidden = here;
    if (!here) {
      const go = button("go to one that is", () => app.pickId(app.data.block?.ids[0] ?? ""));
      this.missing.replaceChildren(app.data.missingNote("tokens"), " ", go);
    }
    for (const lane of this.lanes) lane.read();
    const evidence = this.lanes.flatMap((lane) => lane.tokens?.evidence ?? []);
    const most = Math.max(0, ...evidence) * 1.05 || 1; // one scale for all lanes of the sample
    const asked = this.lanes.flatMap((lane) => lane.tokens?.activation ?? []);
    const highest = Math.max(1, ...asked); // likewise
    for (const lane of this.lanes) lane.update(here, most, highest);
    this.predictions.update();
    this.participation.update();
  }
}
