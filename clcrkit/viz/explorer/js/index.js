// The two ways in: the live widget (anywidget calls `render`) and the saved page (`openPage`). Both give the App a
// model with get, set, on and save_changes; it draws, and never asks the network.
import { App } from "./app.js";

/** @import {Model} from "./types.js" */

export { openPage } from "./page.js";

/** @param {{model: Model, el: HTMLElement}} place */
function render({ model, el }) {
  const root = document.createElement("div");
  el.append(root);
  const app = new App(model, root, true);
  return () => app.close();
}

export default { render };
