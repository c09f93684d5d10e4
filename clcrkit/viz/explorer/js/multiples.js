// Attention of all heads at all levels at a glance; one of them is opened by a click.
import { canvasOf } from "./canvas.js";
import { h } from "./dom.js";
import { pixels } from "./heatmap.js";

/** @import {App} from "./app.js" */
/** @import {Drawn, Weights} from "./types.js" */

/**
 * A small heat map for each head, a row for each level; all have one scale. The button of the one shown is marked.
 * @param {App} app
 * @param {(weights: Weights) => Drawn} toDraw
 * @param {(level: number, head: number) => void} open
 */
export function multiples(app, toDraw, open) {
  const { levels, heads } = app.data.table;
  const modality = app.get("modality");
  const all = levels.map((_, level) =>
    Array.from({ length: heads }, (_, head) => {
      const weights = app.data.weights(modality, level, head);
      return weights && toDraw(weights);
    }),
  );
  const peak = Math.max(...all.flat().map((data) => data?.peak ?? 0));
  const rows = levels.map((name, level) => {
    const maps = all[level].map((data, head) => {
      if (!data) return "";
      const shown = level === app.get("level") && head === app.get("head");
      const label = `${name}, head ${head + 1}`;
      const map = canvasOf(pixels(app, { ...data, peak }));
      map.className = "clcr-thumbnail";
      return h(
        "button",
        {
          type: "button",
          "aria-label": `open ${label}`,
          "aria-pressed": String(shown),
          onclick: () => open(level, head),
        },
        map,
        speakersOf(app, data),
        h("span", { text: `head ${head + 1}` }),
      );
    });
    return h("div", { class: "clcr-multiple" }, h("strong", { text: name }), ...maps);
  });
  return { rows, peak };
}

/** Whose columns are where. @param {App} app @param {Drawn} data */
function speakersOf(app, { speakers, others }) {
  const parts = others.map((m) => {
    const part = speakers.filter((s) => s.modality === m).length / speakers.length;
    const color = app.theme.modality(app.data.table.modalities.indexOf(m));
    return h("i", { style: `width:${100 * part}%;background:${color}` });
  });
  return h("span", { class: "clcr-stack" }, ...parts);
}
