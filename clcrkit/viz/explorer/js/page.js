// A saved page has no kernel: its state lives here, and answers come from what was computed beforehand.
import { follow } from "./address.js";
import { App } from "./app.js";
import { inflate, revive } from "./decode.js";

/** @import {Model, State} from "./types.js" */

/** @implements {Model} */
export class PageModel {
  /** @param {State} state */
  constructor(state) {
    this.state = state;
    /** @type {Map<string, (() => void)[]>} */
    this.listeners = new Map();
  }

  /** @template {keyof State} K @param {K} name @returns {State[K]} */
  get(name) {
    return this.state[name];
  }

  /** @template {keyof State} K @param {K} name @param {State[K]} value */
  set(name, value) {
    this.state[name] = value;
    for (const run of [...(this.listeners.get(`change:${name}`) ?? [])]) run();
  }

  /** @param {string} event @param {() => void} run */
  on(event, run) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), run]);
  }

  /** @param {string} event @param {() => void} run */
  off(event, run) {
    this.listeners.set(
      event,
      (this.listeners.get(event) ?? []).filter((other) => other !== run),
    );
  }

  save_changes() {}

  send() {}
}

/**
 * @param {HTMLElement} root
 * @param {any} state with places in the arrays instead of bytes
 * @param {string} packed all arrays, deflated, in base64
 */
export async function openPage(root, state, packed) {
  return follow(new App(new PageModel(revive(state, await inflate(packed, "deflate"))), root, "precomputed"));
}
