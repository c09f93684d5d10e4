// The controls that views and toolbar are made of.
import { h, inputValue, isTicked } from "./dom.js";
import { EXPLAIN } from "./explain.js";

/** @import {App} from "./app.js" */

const PATIENCE = 300; // milliseconds until what waits turns pale

/** The traits that a picker may set. @typedef {"space" | "modality" | "color" | "projection" | "head"} Pickable */

/**
 * A word that explains itself to pointer and keyboard.
 * @param {App} app
 * @param {keyof typeof EXPLAIN} key
 * @param {string} label
 */
export function term(app, key, label) {
  const el = h("span", { class: "clcr-term", tabindex: 0, text: label, "aria-description": EXPLAIN[key] });
  const show = () => {
    const box = el.getBoundingClientRect();
    app.tip({ clientX: box.left, clientY: box.bottom }, [EXPLAIN[key]]);
  };
  el.addEventListener("pointerenter", show);
  el.addEventListener("focus", show);
  el.addEventListener("pointerleave", () => app.untip());
  el.addEventListener("blur", () => app.untip());
  return el;
}

/**
 * A view's frame.
 * @param {App} app
 * @param {string} name
 * @param {string} title
 * @param {keyof typeof EXPLAIN} explain
 * @param {HTMLElement[]} controls
 * @param {HTMLElement[]} body
 */
export function panel(app, name, title, explain, controls, body) {
  const header = h(
    "header",
    {},
    h("h2", {}, term(app, explain, title)),
    h("div", { class: "clcr-controls" }, ...controls),
  );
  return h(
    "section",
    { class: `clcr-panel clcr-${name}`, "aria-label": title },
    header,
    h("div", { class: "clcr-body" }, ...body),
  );
}

/** Of the panels that wait, what will turn them pale. @type {WeakMap<HTMLElement, ReturnType<typeof setTimeout>>} */
const palings = new WeakMap();

/**
 * Mark a panel whose answer is on its way; it turns pale where that takes long.
 * @param {HTMLElement} el
 * @param {boolean} waiting
 */
export function markWaiting(el, waiting) {
  if (el.classList.contains("clcr-waiting") === waiting) return;
  el.classList.toggle("clcr-waiting", waiting);
  clearTimeout(palings.get(el));
  // by a timer: a style's delay has the browser make layers and frames from the start
  if (waiting)
    palings.set(
      el,
      setTimeout(() => el.classList.add("clcr-late"), PATIENCE),
    );
  else el.classList.remove("clcr-late");
}

/**
 * A drop-down that follows and sets one trait; options are [value, text].
 * @param {App} app
 * @param {Pickable} name
 * @param {string} label
 * @param {[string | number, string][]} options
 * @param {keyof typeof EXPLAIN} [explain]
 */
export function picker(app, name, label, options, explain) {
  /** @param {Event} event */
  const onchange = (event) => {
    const value = inputValue(event);
    app.set(name === "head" ? { head: Number(value) } : { [name]: value });
  };
  const items = options.map(([value, text]) => h("option", { value, text }));
  const select = h("select", { "aria-label": label, "data-trait": name, onchange }, ...items);
  app.pickers.push({ name, select });
  return h(
    "label",
    { class: "clcr-control" },
    explain ? term(app, explain, label) : h("span", { text: label }),
    select,
  );
}

/**
 * A tick box that changes how a picture is drawn.
 * @param {App} app
 * @param {keyof typeof EXPLAIN} explain
 * @param {string} label
 * @param {(on: boolean) => void} run
 * @param {boolean} [checked]
 */
export function tickBox(app, explain, label, run, checked = false) {
  /** @param {Event} event */
  const onchange = (event) => {
    run(isTicked(event));
    app.refresh();
  };
  return h(
    "label",
    { class: "clcr-control clcr-check" },
    h("input", { type: "checkbox", checked, onchange }),
    term(app, explain, label),
  );
}

/**
 * The listeners by which a view lets the keyboard walk along its tokens.
 * @param {App} app
 * @param {HTMLElement} el
 * @param {() => number} count
 * @param {() => string} modality
 * @param {(i: number) => void} arrive
 */
export function walkTokens(app, el, count, modality, arrive) {
  el.addEventListener("blur", () => {
    app.point(null);
    app.untip();
  });
  el.addEventListener("keydown", (event) => {
    const last = count() - 1;
    if (last < 0) return;
    const now = app.tokenOf(modality());
    /** @type {Record<string, number>} */
    const steps = { ArrowRight: now + 1, ArrowLeft: now < 0 ? 0 : now - 1, Home: 0, End: last };
    const next = steps[event.key];
    if (next === undefined) return;
    const i = Math.min(last, Math.max(0, next));
    app.point({ modality: modality(), i });
    arrive(i);
    event.preventDefault();
  });
}
