// Above the explorer of the playground: what the reader draws, plays and types, and whom the model believes.
import { arranged, ClipPanel } from "./clip.js";
import { button, h, inputValue, isTicked, note } from "./dom.js";
import { Drawing } from "./drawing.js";
import { sampleOf } from "./live.js";
import { fmt, softmax } from "./numbers.js";
import { Predictions } from "./predictions.js";
import { asked, mostHeard, only, Verdict } from "./verdict.js";

/** @import {App} from "./app.js" */
/** @import {PlaygroundModel} from "./playground.js" */
/** @import {Card, Clip, Input} from "./types.js" */

const PATIENCE = 60; // milliseconds without a change before the model is asked what each modality says alone
const LONGEST = 24; // letters

/** @param {number} count */
const ones = (count) => new Uint8Array(count).fill(1);

export class Workbench {
  /** @param {App} app @param {PlaygroundModel} model */
  constructor(app, model) {
    this.app = app;
    this.model = model;
    this.about = model.about;
    this.shown = "";
    this.asking = 0;
    /** @type {unknown} */
    this.judged = null;
    /** @type {Clip} */
    this.clip = { sample: "", from: 0, to: 0, later: 0 };
    /** @type {Record<string, HTMLInputElement>} */
    this.switches = {};
    /** @type {Record<string, HTMLElement>} */
    this.dots = {};
    this.predictions = new Predictions(app);
    this.verdict = new Verdict(app);
    const [vision, acoustic, language] = ["vision", "acoustic", "language"].map((m) => this.box(m));
    this.drawing = new Drawing(app, vision, (cells) => this.draw(cells));
    // beside the drawing: on a phone the bars are far below
    this.best = h("p", { class: "clcr-guess", "aria-hidden": "true" });
    vision.append(this.best, this.drawingControls());
    this.sound = new ClipPanel(
      app,
      acoustic,
      {
        ...this.about,
        voices: this.valuesOf("voice"),
        digits: this.valuesOf("label"),
        bands: this.about.tones.hertz.length,
      },
      (choice) => this.choose(choice),
      (clip) => this.play(clip),
    );
    this.word = this.wordBox(language);
    const says = h("section", { class: "clcr-panel", "aria-label": "Prediction" }, h("h2", { text: "The model says" }));
    says.append(this.predictions.el);
    const whom = h("section", { class: "clcr-panel", "aria-label": "Whom the model believes" });
    whom.append(h("h2", { text: "Whom it believes" }), this.verdict.el);
    this.began = note("");
    this.el = h("div", { class: "clcr-workbench" }, ...[vision, acoustic, language].map((box) => box), says, whom);
    app.toolbar.el.before(note(this.about.about, "clcr-about"), this.cards(), this.el, this.began);
    app.views.push(this);
    app.cleanups.push(() => clearTimeout(this.asking));
    app.refresh();
  }

  /** The frame of one modality, with its switch. @param {string} modality */
  box(modality) {
    const { model } = this;
    const onchange = (/** @type {Event} */ event) => {
      if (isTicked(event)) model.silent.delete(modality);
      else model.silent.add(modality);
      model.ask();
    };
    const box = h("input", { type: "checkbox", checked: true, "aria-label": `${modality} is there`, onchange });
    this.switches[modality] = box;
    const dot = h("i", { class: "clcr-dot" });
    this.dots[modality] = dot;
    const title = h("h2", {}, h("label", { class: "clcr-check" }, box, " ", dot, ` ${modality}`));
    return h("section", { class: "clcr-panel", "aria-label": modality, "data-input": modality }, title);
  }

  drawingControls() {
    const onchange = (/** @type {Event} */ event) => {
      this.drawing.erase = isTicked(event);
    };
    const eraser = h("label", { class: "clcr-check" }, h("input", { type: "checkbox", onchange }), " eraser");
    const clear = button("clear", () => this.drawing.clear());
    const back = button("scan", () => this.restore("vision"));
    back.title = "back to the sample's scan";
    return h("div", { class: "clcr-controls" }, clear, back, eraser);
  }

  /** @param {HTMLElement} parent */
  wordBox(parent) {
    const { words, letters } = this.about;
    const oninput = (/** @type {Event} */ event) => this.type(inputValue(event));
    const word = h("input", {
      class: "clcr-word",
      type: "text",
      "aria-label": "The word",
      maxlength: LONGEST,
      oninput,
    });
    word.setAttribute("autocomplete", "off");
    word.setAttribute("autocapitalize", "off");
    word.setAttribute("spellcheck", "false");
    const names = Object.keys(words);
    const language = h(
      "select",
      { "aria-label": "Language" },
      ...names.map((value) => h("option", { value, text: value })),
    );
    const digit = h(
      "select",
      { "aria-label": "Digit of the word" },
      ...words.en.map((_, i) => h("option", { value: i, text: i })),
    );
    this.language = language;
    this.digit = digit;
    const fill = () => this.type(words[language.value][Number(digit.value)]);
    for (const select of [language, digit]) select.addEventListener("change", fill);
    this.unknown = note("");
    const back = button("as it was", () => this.restore("language"));
    parent.append(word, h("div", { class: "clcr-controls" }, language, digit, back), this.unknown);
    parent.append(note(`Letters it knows: ${letters.slice(3).join("")}, é, ü. Misspell at will.`));
    return word;
  }

  /** The values of a column that samples have. @param {string} name */
  valuesOf(name) {
    const column = this.app.data.table.columns.find((c) => c.name === name);
    return column ? column.names.filter((_, i) => Array.from(column.values.v).includes(i)) : [];
  }

  cards() {
    const { cards, left_out } = this.about;
    const items = cards.map((card) =>
      h(
        "button",
        { type: "button", class: "clcr-card", onclick: () => this.apply(card) },
        h("strong", { text: card.title }),
        h("span", { text: card.look }),
      ),
    );
    const all = h("section", { class: "clcr-cards", "aria-label": "Try this" }, ...items);
    for (const reason of left_out) all.append(note(reason));
    return all;
  }

  /** Lead the reader to the moment that a card tells of. @param {Card} card */
  apply(card) {
    const { app, model } = this;
    model.silent = new Set(card.off);
    this.shown = "";
    app.set({ selection: [], picked: card.sample, muted: [] });
    if (card.word !== undefined) this.type(card.word);
    if (card.clip) this.play(card.clip);
    const { gamma, muted, level, modality, space } = card;
    app.set({ gamma, level, modality, space, muted });
    app.say(`${card.title}. ${card.look}`);
  }

  // -- what the reader makes

  /** @param {string} sample @param {string} modality @returns {Input} */
  original(sample, modality) {
    const { inputs } = this.model;
    return sampleOf(inputs, Math.max(0, inputs.ids.indexOf(sample)))[modality];
  }

  /** @param {Float32Array} cells */
  draw(cells) {
    this.model.edit("vision", { size: 8, ids: false, mask: ones(8), values: cells });
  }

  /** @param {string} text */
  type(text) {
    const { letters } = this.about;
    const typed = [...text.toLowerCase()];
    const known = typed.filter((letter) => letter && letters.includes(letter));
    const unknown = [...new Set(typed.filter((letter) => !known.includes(letter)))];
    if (this.unknown) this.unknown.textContent = unknown.length ? `It has never seen: ${unknown.join(" ")}` : "";
    const values = Float32Array.from(known, (letter) => letters.indexOf(letter));
    this.model.edit("language", { size: 1, ids: true, mask: ones(known.length), values });
    if (this.word.value !== text) this.word.value = text;
  }

  /** @param {{voice?: string, digit?: string, next?: boolean}} choice */
  choose({ voice, digit, next }) {
    const { data } = this.app;
    const now = data.rowOf.get(this.clip.sample) ?? 0;
    const [v, d] = [voice ?? data.fact("voice", now), digit ?? data.fact("label", now)];
    const fits = data.ids.filter((_, i) => data.fact("voice", i) === v && data.fact("label", i) === d);
    const sample = fits[next ? (fits.indexOf(this.clip.sample) + 1) % fits.length : 0];
    if (!sample) return this.app.say(`No clip of ${v} saying ${d}`);
    this.play({ sample, from: 0, to: this.original(sample, "acoustic").mask.length, later: 0 });
  }

  /** @param {Clip} clip */
  play(clip) {
    const { values, size } = this.original(clip.sample, "acoustic");
    this.clip = clip;
    const frames = arranged(clip, values, size);
    this.model.edit("acoustic", { size, ids: false, mask: ones(frames.length / size), values: frames });
  }

  /** One modality as the picked sample has it. @param {string} modality */
  restore(modality) {
    const { [modality]: _, ...others } = this.model.edits;
    this.model.edits = others;
    this.shown = "";
    this.model.ask();
  }

  // -- what it shows

  update() {
    const { app, model } = this;
    const picked = app.get("picked");
    if (this.shown !== picked) this.begin(picked);
    app.data.table.modalities.forEach((m, i) => {
      this.switches[m].checked = !model.silent.has(m);
      this.dots[m].style.background = app.theme.modality(i);
    });
    this.drawing.update();
    this.predictions.update();
    this.best.textContent = this.guess();
    const whole = model.whole();
    if (whole) {
      const { data } = app;
      const row = data.rowOf.get(this.clip.sample) ?? 0;
      const length = this.original(this.clip.sample, "acoustic").mask.length;
      this.sound.show(
        this.clip,
        length,
        data.fact("voice", row) ?? "",
        data.fact("label", row) ?? "",
        whole.acoustic.values,
      );
    }
    this.sound.update();
    const changed = Object.keys(model.edits);
    const label = app.data.fact("label", app.data.row);
    this.began.textContent =
      `Begun from sample ${picked} of the test part, a ${label}; ` +
      (changed.length ? `changed: ${changed.join(", ")}. Ghosts show where it began.` : "nothing is changed yet.");
    if (model.pass && this.judged !== model.pass) {
      this.judged = model.pass;
      clearTimeout(this.asking);
      this.asking = setTimeout(() => this.judge(), PATIENCE);
    }
  }

  guess() {
    const { outputs } = this.app.data.table;
    const parts = softmax(this.app.data.answer().prediction);
    const most = Math.max(...parts);
    return `${outputs[parts.indexOf(most)]}\n${fmt(100 * most, 0)} %`;
  }

  /** Another sample to begin from: what is not edited is shown as it has it. @param {string} picked */
  begin(picked) {
    const { model } = this;
    const whole = model.whole();
    if (!whole) return;
    this.shown = picked;
    if (!model.edits.vision) this.drawing.lay(whole.vision.values);
    if (!model.edits.language) {
      this.word.value = Array.from(whole.language.values, (letter) => this.about.letters[letter]).join("");
      const { data } = this.app;
      for (const [select, fact] of /** @type {const} */ ([
        [this.language, "language"],
        [this.digit, "label"],
      ])) {
        if (select) select.value = data.fact(fact, data.row) ?? "";
      }
    }
    if (!model.edits.acoustic) this.clip = { sample: picked, from: 0, to: whole.acoustic.mask.length, later: 0 };
  }

  /** Ask what each modality says alone, and find out through whom the model was told. */
  async judge() {
    const { app, model } = this;
    const pass = model.pass;
    if (!pass) return;
    const { sample, outputs } = pass;
    const present = app.data.table.modalities.filter((m) => sample[m].mask.includes(1));
    const questions = asked(present);
    const network = await model.network;
    const samples = questions.map(({ on }) => only(sample, on));
    const { prediction } = await network.run(samples, app.get("gamma"), app.get("muted"));
    if (model.pass === pass) this.verdict.show(present, questions, prediction, this.through(present, outputs));
  }

  /**
   * Which level weighs most, and the token that is heard most there.
   * @param {string[]} present
   * @param {Record<string, import("./types.js").Values>} outputs
   */
  through(present, outputs) {
    const { data } = this.app;
    const gate = Array.from(outputs.level_gate.v);
    const level = gate.indexOf(Math.max(...gate));
    const name = data.table.levels[level];
    const heard = present.length > 1 ? mostHeard(outputs, data.table.modalities, level) : null;
    const text = heard && data.tokens(heard.modality, level)?.text[heard.token];
    const whose = heard
      ? `Most heard there: ${heard.modality} token ${heard.token}${text ? ` (${text})` : ""}, by ${heard.listener}.`
      : "";
    return `The ${name} level weighs most (ω ${fmt(gate[level])}). ${whose}`;
  }
}
