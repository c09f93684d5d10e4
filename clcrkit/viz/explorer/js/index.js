// The ways in: the live widget (anywidget calls `render`) and the saved pages, without a model (`openPage`) and with
// one that runs in the page (`openLivePage`, `openPlayground`). All give the App a model with get, set, on and
// save_changes; it draws, and never asks the network.
import { App } from "./app.js";

/** @import {Model} from "./types.js" */

export { openLivePage } from "./live.js";
export { openPage } from "./page.js";
export { openPlayground } from "./playground.js";

/** @param {{model: Model, el: HTMLElement}} place */
function render({ model, el }) {
  const root = document.createElement("div");
  el.append(root);
  const app = new App(model, root, "kernel");
  return () => app.close();
}

export default { render };
