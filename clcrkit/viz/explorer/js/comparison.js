// Two traces side by side: which predictions changed, who is right where they did, and what is weighed otherwise.
import { readings } from "./answers.js";
import { panel, term } from "./controls.js";
import { Differences } from "./differences.js";
import { h, isTicked, note } from "./dom.js";
import { Listing } from "./listing.js";
import { fmt } from "./numbers.js";

/** @import {App} from "./app.js" */
/** @import {Comparison as Compared, Numbers} from "./types.js" */

const VERDICT = "a or b"; // the column that says who is right
const LISTED = new Set(["label", "prediction", "prediction b", "error", "error b", VERDICT]);

export class Comparison {
  /** @param {App} app @param {Compared} compared */
  constructor(app, compared) {
    this.app = app;
    this.compared = compared;
    const { table } = app.data;
    const { shift, changed } = compared;
    /** The samples whose prediction changed, the largest change first. */
    this.changed = app.data.ids.flatMap((_, i) => (changed.v[i] ? [i] : [])).sort((i, j) => shift.v[j] - shift.v[i]);
    /** @param {Event} event */
    const onchange = (event) => app.select(isTicked(event) ? this.changed : []);
    this.only = h("input", { type: "checkbox", disabled: !this.changed.length, onchange });
    const box = h("label", { class: "clcr-control clcr-check" }, this.only, term(app, "changed", "changed only"));
    const main = h("div", { class: "clcr-main" });
    const side = h("div", { class: "clcr-side clcr-wider" });
    this.el = panel(app, "comparison", "Trace a against b", "compare", [box], [main, side]);
    this.picked = h("p", { class: "clcr-said-both", "aria-live": "polite" });
    this.moved = note("");
    this.legend = h("div", { class: "clcr-legend clcr-flat" });
    this.theme = "";
    // a class is right or wrong, which the verdict says already
    const columns = table.columns.filter((c) => LISTED.has(c.name) && !(c.name.startsWith("error") && c.names.length));
    this.listing = new Listing(app, "Changed predictions", columns);
    const says = h("p", { class: "clcr-says", text: compared.says });
    main.append(says, this.legend, this.picked, this.moved, this.listing.el);
    this.listing.el.hidden = !this.changed.length;
    if (compared.lacks.length) main.append(note(`Not compared: ${compared.lacks.join("; ")}.`));
    side.append(term(app, "difference", "Differences, b − a"));
    this.differences = new Differences(app, side, compared);
    if (!this.differences.all.length) side.append(note("no gates or budgets that both have"));
  }

  /** What one of the two says of the picked sample. @param {Numbers} outputs of all samples */
  answer(outputs) {
    const { task, outputs: names } = this.app.data.table;
    const { row } = this.app.data;
    const parts = readings(outputs.subarray(row * names.length, (row + 1) * names.length), task);
    if (task === "regression") return fmt(parts[0], 3);
    if (task === "multilabel") return names.filter((_, i) => parts[i] > 0.5).join(", ") || "none";
    const best = parts.indexOf(Math.max(...parts));
    return `${names[best]} (${fmt(100 * parts[best], 0)} %)`;
  }

  update() {
    const { app } = this;
    const { data } = app;
    const [a, b] = [data.table.prediction.v, this.compared.prediction.v].map((v) => this.answer(v));
    const truth = [...data.truthOf(data.row)].join(", ");
    this.picked.textContent = `id ${data.picked}: a says ${a}, b says ${b}${truth ? `; the label is ${truth}` : ""}.`;
    this.moved.textContent = this.movedNote();
    this.moved.hidden = !this.moved.textContent;
    const selected = app.get("selection");
    const isAll = selected.length === this.changed.length && this.changed.every((i) => app.selected.has(i));
    this.only.checked = isAll && selected.length > 0;
    this.fillLegend();
    this.listing.update(this.changed);
    this.differences.update();
  }

  /** What in this panel does not follow, where γ or muted tokens are not as traced; else nothing. */
  movedNote() {
    const { app } = this;
    const now = app.get("gamma");
    const gammas = [app.data.table.gamma, this.compared.gamma];
    if (gammas.every((gamma) => gamma === now) && !app.get("muted").length) return "";
    const [a, b] = gammas.map((gamma) => fmt(gamma));
    const at = a === b ? `both are as traced, at γ = ${a}` : `each is as traced, a at γ = ${a} and b at ${b}`;
    const inLanes = app.get("views").includes("budget") && Object.keys(this.compared.participation).length;
    return `Here ${at}, nothing muted.${inLanes ? ` The token lanes show both at γ = ${fmt(now)}.` : ""}`;
  }

  /** How many samples each verdict has; a click selects them. */
  fillLegend() {
    const { app } = this;
    if (this.theme === app.theme.name) return;
    this.theme = app.theme.name;
    const column = app.data.table.columns.find((c) => c.name === VERDICT);
    if (!column) return;
    const rows = column.names.map((_, v) => app.data.ids.flatMap((_, i) => (column.values.v[i] === v ? [i] : [])));
    const items = column.names.flatMap((name, v) =>
      rows[v].length
        ? [app.colouring.item(app.colouring.category(column, v), `${name} ${rows[v].length}`, rows[v])]
        : [],
    );
    this.legend.replaceChildren(...items);
  }
}
