// SPDX-License-Identifier: Apache-2.0
// Write: what comes next as one types, and continuations that models draw.

import * as api from "./api.js";
import {readList, readNumber} from "./address.js";
import {byReach, contrastingModels} from "./catalogue.js";
import {actionButton, element, fill} from "./dom.js";
import {choice, modelSwitches, optionRow, slider, switches} from "./options.js";
import {Study} from "./study.js";
import {QUANTITIES, tracksOf} from "./tracks.js";
import {showNext, showWord} from "./word_panel.js";

/** @typedef {import("./catalogue.js").Model} Model */
/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("./reading.js").Reading} Reading */

const NEXT = 8;
const TRACKS = QUANTITIES.filter(({id}) => ["surprisal", "rank", "entropy", "luck", "difference"].includes(id));
const FIRST_TEXT = "as the librarian entered the room the ";

/** @type {Record<string, string>} */
const REASONS = {
  END_OF_SENTENCE: "The model ended the sentence",
  MAX_WORDS: "All words that were asked for",
  NO_WORD: "No word is possible any more",
};

export class WriteView extends Study {
  /** @param {Page} page */
  constructor(page) {
    super(page, {name: "write", label: "Text to continue", placeholder: "Begin a sentence", onEdit: () => this.onEdit(), onSelect: (_, column) => this.select(column)});
    this.models = byReach(page.models.filter(({role}) => role === "text"));
    this.settings = element("div", {class: "settings"});
    this.ending = element("div", {class: "ending"});
    this.isDrawing = false;
    /** @type {string[]} */
    this.drawn = [];
    /** @type {Map<string, Reading>} */
    this.readings = new Map();
    /** @type {Map<string, api.NextWords>} */
    this.next = new Map();
    // What this.next follows.
    this.place = {context: "", prefix: ""};
    this.at = -1;
    /** @type {string[]} */
    this.chosen = [];
    this.tracks = ["surprisal", "luck"];
    this.options = {by: "", temperature: 1, topP: 1, words: 20, seed: ""};
    this.isReading = false;
    this.wantsReading = false;
    fill(this.column, this.field.element, this.controls, this.settings, this.ending, this.message, this.lines.element);
  }

  keys() {
    return [
      {key: "g", name: "continue, or stop", act: () => (this.isDrawing ? this.stop() : this.draw())},
      {key: "n", name: "continue with another seed", act: () => this.drawAgain()},
      {key: "k", name: "keep the continuation", act: () => this.keep()},
      ...this.studyKeys(),
      ...TRACKS.filter(({key}) => key !== "k").map(({id, key, name}) => ({
        key,
        name: `track: ${name}`,
        act: () => this.setTracks(this.tracks.includes(id) ? this.tracks.filter((other) => other !== id) : [...this.tracks, id]),
      })),
    ];
  }

  /** @param {Map<string, string>} values of the address */
  open(values) {
    const known = (/** @type {string} */ id) => this.models.some((model) => model.id === id);
    this.chosen = readList(values.get("models"), this.chosen.length > 0 ? this.chosen : contrastingModels(this.models)).filter(known);
    this.tracks = readList(values.get("tracks"), this.tracks);
    const by = values.get("by") ?? this.options.by;
    this.options = {
      by: known(by) ? by : (this.chosen[this.chosen.length - 1] ?? this.models[0]?.id ?? ""),
      temperature: readNumber(values.get("temperature"), 0, 2, this.options.temperature),
      topP: readNumber(values.get("top-p"), 0.05, 1, this.options.topP),
      words: readNumber(values.get("words"), 1, 200, this.options.words),
      seed: /^\d{1,19}$/.test(values.get("seed") ?? "") ? /** @type {string} */ (values.get("seed")) : this.options.seed,
    };
    if (values.has("text") || this.field.value() === "") {
      this.field.set(values.get("text") ?? FIRST_TEXT);
      this.drawn = [];
    }
    this.showControls();
    this.refresh();
    if (values.get("drawn") === "1" && this.options.seed !== "") this.draw();
  }

  values() {
    const {by, temperature, topP, words, seed} = this.options;
    return new Map([
      ["text", this.field.value()],
      ["models", this.chosen.join(",")],
      ["tracks", this.tracks.join(",")],
      ["by", by],
      ["temperature", temperature === 1 ? "" : String(temperature)],
      ["top-p", topP === 1 ? "" : String(topP)],
      ["words", String(words)],
      ["seed", seed],
      ["drawn", this.drawn.length > 0 ? "1" : ""],
    ]);
  }

  chosenModels() {
    return this.models.filter(({id}) => this.chosen.includes(id));
  }

  /** The whole words of the field, and the word that is being typed, if one is. */
  parts() {
    const text = this.field.value().replace(/\s+/g, " ").trimStart();
    const space = document.activeElement === this.field.area ? text.lastIndexOf(" ") : text.length;
    return {context: text.slice(0, space + 1).trim(), prefix: text.slice(space + 1)};
  }

  /** @returns {string[]} */
  ownWords() {
    return this.field.value().split(/\s+/).filter((word) => word !== "");
  }

  onEdit() {
    this.stop();
    this.drawn = [];
    this.at = -1;
    fill(this.ending);
    this.refresh();
  }

  /** @param {string[]} ids */
  setTracks(ids) {
    this.tracks = ids;
    this.showControls();
    this.showLines();
    this.page.saveAddress();
  }

  async refresh() {
    this.page.saveAddress();
    const place = this.parts();
    const models = this.chosenModels();
    const answers = await this.ask(this.asking, (signal) => Promise.all(models.map((model) => api.predict({model: model.id, ...place, k: NEXT}, signal))));
    if (answers === undefined) return;
    if (models.length === 0) this.message.textContent = "Choose a model above.";
    this.place = place;
    this.next = new Map(models.map((model, index) => [model.id, answers[index]]));
    this.showPanel();
    this.readSoon();
  }

  /** Reads the text and its continuation, one request at a time. */
  async readSoon() {
    if (this.isReading) {
      this.wantsReading = true;
      return;
    }
    this.isReading = true;
    try {
      do {
        this.wantsReading = false;
        const words = [...this.shownWords(), ...this.drawn];
        const models = this.chosenModels();
        const found = words.length === 0 ? [] : await Promise.all(models.map((model) => this.page.reader.read(model, [words])));
        this.readings = new Map(found.map(([reading], index) => [models[index].id, reading]));
        this.showLines();
      } while (this.wantsReading);
    } catch (error) {
      this.page.fail(error, this.message);
    } finally {
      this.isReading = false;
    }
  }

  /** The words of the field, without one that is still being typed. */
  shownWords() {
    return this.parts().prefix !== "" && this.drawn.length === 0 ? this.ownWords().slice(0, -1) : this.ownWords();
  }

  showLines() {
    const own = this.shownWords();
    const columns = [...own, ...this.drawn];
    const cut = (/** @type {Reading} */ reading) => ({...reading, bits: reading.bits.slice(0, columns.length), entropies: reading.entropies.slice(0, columns.length), ranks: reading.ranks.slice(0, columns.length)});
    const readings = new Map([...this.readings].map(([id, reading]) => [id, cut(reading)]));
    const models = this.chosenModels();
    const pair = /** @type {[string, string]} */ ([models[0]?.id ?? "", models[models.length - 1]?.id ?? ""]);
    const tracks = tracksOf({models, readings, quantities: this.tracks, pair, influence: null});
    this.lines.show(columns.length === 0 ? [] : [{title: "Text and continuation", columns, tracks, strips: [], drawn: own.length}], {text: this.at < 0 ? -1 : 0, column: this.at});
  }

  showPanel() {
    const models = this.chosenModels();
    if (this.at >= 0) {
      showWord(
        this.panel,
        {words: [...this.ownWords(), ...this.drawn], column: this.at, models, readings: this.readings},
        {replace: (word) => this.replace(word), write: () => this.cutHere()},
      );
      return;
    }
    showNext(this.panel, {...this.place, models, next: this.next}, (word) => this.take(word));
  }

  /** @param {string} word */
  take(word) {
    this.field.set(`${this.place.context} ${word} `.trimStart());
    this.onEdit();
    this.field.focus();
    this.page.announce(`${word} is taken.`);
  }

  /** @param {string} word */
  replace(word) {
    const words = [...this.ownWords(), ...this.drawn];
    this.field.set([...words.slice(0, this.at), word].join(" ") + " ");
    this.onEdit();
  }

  cutHere() {
    this.field.set([...this.ownWords(), ...this.drawn].slice(0, this.at).join(" ") + " ");
    this.onEdit();
    this.field.focus();
  }

  /** @param {number} column */
  select(column) {
    this.at = this.at === column ? -1 : column;
    this.showLines();
    this.showPanel();
  }

  stop() {
    this.looking.cancel();
    this.isDrawing = false;
    this.showSettings();
  }

  drawAgain() {
    this.options.seed = "";
    this.draw();
  }

  async draw() {
    if (this.options.seed === "") this.options.seed = String(Math.floor(Math.random() * 1e6));
    const {by, temperature, topP, words, seed} = this.options;
    this.drawn = [];
    this.at = -1;
    this.isDrawing = true;
    fill(this.ending);
    this.showSettings();
    this.page.saveAddress();
    try {
      await this.looking.run(async (signal) => {
        const request = {model: by, prompt: this.ownWords().join(" "), maxWords: words, temperature, topP, seed};
        for await (const event of api.generate(request, signal)) {
          if ("end" in event) this.showEnding(event.end);
          else this.drawn.push(event.word);
          this.readSoon();
        }
      });
    } catch (error) {
      this.page.fail(error, this.message);
    }
    this.isDrawing = false;
    this.showSettings();
    this.page.saveAddress();
  }

  /** @param {{reason: string, seed: string}} end */
  showEnding({reason, seed}) {
    fill(
      this.ending,
      element("span", {text: `${REASONS[reason] ?? "It ended"}: ${this.drawn.length} words, seed ${seed}.`}),
      actionButton("Keep", () => this.keep(), {title: "The continuation becomes part of the text · key k"}),
      actionButton("Another", () => this.drawAgain(), {title: "Continue with another seed · key n"}),
    );
    this.page.announce(`${this.drawn.join(" ")}. ${REASONS[reason] ?? ""}`);
  }

  keep() {
    if (this.drawn.length === 0) return;
    this.field.set([...this.ownWords(), ...this.drawn].join(" ") + " ");
    this.onEdit();
  }

  showControls() {
    this.replaceControls(
      this.controls,
      optionRow("Models", ...modelSwitches(this.models, this.chosen, (ids) => { this.chosen = ids; this.showControls(); this.refresh(); })),
      optionRow("Tracks", ...switches(TRACKS, this.tracks, (ids) => this.setTracks(ids))),
    );
    this.showSettings();
  }

  showSettings() {
    const {by, temperature, topP, words, seed} = this.options;
    const seedField = element("input", {class: "number", inputmode: "numeric", value: seed, placeholder: "any", "aria-label": "Seed"});
    seedField.addEventListener("change", () => {
      this.options.seed = seedField.value.replace(/\D/g, "").slice(0, 19);
      this.page.saveAddress();
    });
    this.replaceControls(
      this.settings,
      this.isDrawing
        ? actionButton("Stop", () => this.stop(), {class: "action strong", title: "key g"})
        : actionButton("Continue", () => this.draw(), {class: "action strong", title: "Let a model draw the next words · key g", disabled: by === ""}),
      element("label", {class: "slider"}, element("span", {text: "with"}), choice("Model that continues", this.models.map(({id}) => ({value: id, text: id})), by, (id) => { this.options.by = id; this.page.saveAddress(); })),
      this.option("temperature", 0, 2, 0.05, temperature, (value) => (this.options.temperature = value)),
      this.option("top-p", 0.05, 1, 0.05, topP, (value) => (this.options.topP = value)),
      this.option("words", 1, 100, 1, words, (value) => (this.options.words = value)),
      element("label", {class: "slider"}, element("span", {text: "seed"}), seedField),
    );
  }

  /**
   * @param {string} name
   * @param {number} least
   * @param {number} most
   * @param {number} step
   * @param {number} value
   * @param {(value: number) => void} set
   */
  option(name, least, most, step, value, set) {
    return slider(name, {least, most, step, value, format: (number) => (step < 1 ? number.toFixed(2) : String(number))}, (number) => {
      set(number);
      this.page.saveAddress();
    });
  }
}
