// Elements. Text reaches the page as text nodes only, so that no label can bring markup along.

/**
 * An element with attributes; "onclick" and the like are listeners, "text" is its text, true is an empty attribute,
 * false, null and undefined are none.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null | undefined)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) el.addEventListener(name.slice(2), value);
    else if (name === "text") el.textContent = value;
    else if (value === true) el.setAttribute(name, "");
    else if (value !== false && value != null) el.setAttribute(name, value);
  }
  for (const child of children) if (child != null) el.append(child);
  // JupyterLab would take the arrow keys of any focused control for its own cells
  if (/^(input|select|button|canvas)$/.test(tag)) el.setAttribute("data-lm-suppress-shortcuts", "true");
  return el;
}

/** A line of small print. @param {string} text @param {string} [more] further classes */
export const note = (text, more = "") => h("p", { class: `clcr-note${more && ` ${more}`}`, text });

/** @param {string} text @param {(event: MouseEvent) => void} onclick */
export const button = (text, onclick) => h("button", { type: "button", text, onclick });

/** The value of the control that an event came from. @param {Event} event */
export const inputValue = (event) => /** @type {HTMLInputElement | HTMLSelectElement} */ (event.target).value;

/** Is the check box that an event came from ticked? @param {Event} event */
export const isTicked = (event) => /** @type {HTMLInputElement} */ (event.target).checked;

/**
 * What a pointer tells of an element: `over` where it moves or a finger touches, `left` when it has gone. What a finger
 * has opened stays when it is lifted.
 * @param {HTMLElement} el
 * @param {(event: PointerEvent) => void} over
 * @param {() => void} left
 */
export function hovered(el, over, left) {
  /** @param {PointerEvent} event */
  const byFinger = (event) => event.pointerType === "touch";
  el.addEventListener("pointermove", over);
  el.addEventListener("pointerdown", (event) => byFinger(event) && over(event));
  el.addEventListener("pointerleave", (event) => byFinger(event) || left());
}
