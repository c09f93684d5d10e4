// What a saved page shows stands in its address, so that a view can be linked. Nothing in an address is trusted.
import { nearestIndex } from "./numbers.js";
import { Subspaces } from "./subspaces.js";

/** @import {App} from "./app.js" */
/** @import {Data} from "./data.js" */
/** @import {State} from "./types.js" */

const REST = 250; // milliseconds after the last touch
const TOUCHES = ["pointerup", "keyup", "change", "input", "click", "wheel"];
const VIEW = "view";

/** A whole number below an end, or undefined. @param {string} text @param {number} end */
const below = (text, end) => (/^\d{1,6}$/.test(text) && Number(text) < end ? Number(text) : undefined);

/** @param {string} text @param {Iterable<string>} names */
const among = (text, names) => ([...names].includes(text) ? text : undefined);

/**
 * How each part of the state is read from an address: undefined where this page has nothing of the kind.
 * @type {Partial<{[K in keyof State]: (text: string, data: Data) => State[K] | undefined}>}
 */
const READ = {
  picked: (text, data) => (data.rowOf.has(text) ? text : undefined),
  level: (text, data) => below(text, data.table.levels.length),
  head: (text, data) => below(text, data.table.heads),
  epoch: (text, data) => below(text, data.table.epochs),
  modality: (text, data) => among(text, data.table.modalities),
  space: (text, data) => among(text, data.table.spaces),
  color: (text, data) => among(text, ["modality", ...data.table.columns.map((c) => c.name)]),
  projection: (text, data) =>
    among(
      text,
      Object.keys(data.points).map((kind) => kind.split("/")[0]),
    ),
  gamma: (text, data) => {
    const gamma = /^\d{1,3}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
    const gammas = data.driver === "precomputed" ? data.answers?.gammas : undefined;
    if (Number.isNaN(gamma) || gamma > 100) return undefined;
    return gammas ? gammas[nearestIndex(gammas, gamma)] : gamma;
  },
};

/**
 * What an address asks for: the state that this page can show, how the cloud is enlarged, and the names of what it
 * cannot show.
 * @param {string} hash
 * @param {Data} data
 */
export function readAddress(hash, data) {
  /** @type {Partial<State>} */
  const state = {};
  /** @type {string[]} */
  const unknown = [];
  const asked = new URLSearchParams(hash.replace(/^#/, ""));
  for (const [name, read] of Object.entries(READ)) {
    const text = asked.get(name);
    const value = text === null ? undefined : read(text, data);
    if (value !== undefined) Object.assign(state, { [name]: value });
    else if (text !== null) unknown.push(name);
  }
  const told = asked.get(VIEW)?.split(",").map(Number);
  const view = told?.length === 3 && told.every((v) => Number.isFinite(v) && v >= 0) ? told : null;
  if (told && !view) unknown.push(VIEW);
  return { state, view, unknown };
}

/**
 * The address of what is shown: what differs from how the page opens.
 * @param {(name: keyof State) => unknown} now
 * @param {Map<string, unknown>} before
 * @param {number[]} view as `Viewport.told` says
 */
export function writeAddress(now, before, view) {
  const asked = new URLSearchParams();
  for (const name of /** @type {(keyof State)[]} */ (Object.keys(READ))) {
    if (now(name) !== before.get(name)) asked.set(name, String(now(name)));
  }
  if (view[0] > 1) asked.set(VIEW, view.map((v) => Number(v.toPrecision(5))).join());
  return asked.toString().replaceAll("%2C", ",");
}

/**
 * From here on the page shows what its address asks for, and its address what it shows. A page within another has no
 * address of its own.
 * @param {App} app
 */
export function follow(app) {
  if (window !== window.top) return app;
  const before = new Map(Object.keys(READ).map((name) => [name, app.get(/** @type {keyof State} */ (name))]));
  const cloud = app.views.find((view) => view instanceof Subspaces)?.cloud;
  const take = () => {
    const { state, view, unknown } = readAddress(location.hash, app.data);
    cloud?.view.show(view ?? [1, 0.5, 0.5]);
    const what = unknown.join(", ");
    const error = what && `The address of this page asks for a ${what} that is not here; the rest is shown.`;
    app.set({ .../** @type {Partial<State>} */ (Object.fromEntries(before)), ...state, error });
  };
  let waits = 0;
  const tell = () => {
    clearTimeout(waits);
    waits = setTimeout(() => {
      const hash = writeAddress((name) => app.get(name), before, cloud?.view.told ?? [1]);
      if (hash !== location.hash.slice(1))
        history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    }, REST);
  };
  for (const touch of TOUCHES) app.root.addEventListener(touch, tell, { passive: true });
  window.addEventListener("hashchange", take);
  if (location.hash.length > 1) take();
  return app;
}
