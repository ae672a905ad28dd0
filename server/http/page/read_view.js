// SPDX-License-Identifier: Apache-2.0
// Read: a text, and what models say about it.

import {readList, readNumber} from "./address.js";
import {byReach, contrastingModels} from "./catalogue.js";
import {toCsv} from "./csv.js";
import {actionButton, element, fill} from "./dom.js";
import {EXAMPLES} from "./examples.js";
import {choice, modelSwitches, optionRow, switches} from "./options.js";
import {END, splitTexts} from "./reading.js";
import {STATES, stripTable, stripsOf} from "./state_strip.js";
import {Study} from "./study.js";
import {QUANTITIES, tableOf, tracksOf} from "./tracks.js";
import {showWord} from "./word_panel.js";

/** @typedef {import("./catalogue.js").Model} Model */
/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("./reading.js").Reading} Reading */

const UNITS = 24;
const MOST_WORDS = 3000;

export class ReadView extends Study {
  /** @param {Page} page */
  constructor(page) {
    super(page, {name: "read", label: "Text to read, one to a line", onEdit: () => this.onEdit(), onSelect: (text, column) => this.select(text, column)});
    this.models = byReach(page.models.filter(({role}) => role === "text" || role === "gap"));
    this.note = element("p", {class: "note"});
    /** @type {string[][]} */
    this.texts = [];
    /** @type {Map<string, Reading[]>} */
    this.readings = new Map();
    /** @type {Map<string, import("./api.js").LayerValues>[]} */
    this.layers = [];
    /** @type {{word: string, values: Map<string, (number | null)[]>} | null} */
    this.influence = null;
    this.at = {text: -1, column: -1};
    this.unit = -1;
    /** @type {string[]} */
    this.chosen = [];
    /** @type {string[]} */
    this.tracks = [];
    /** @type {[string, string]} */
    this.pair = ["", ""];
    fill(
      this.column,
      this.field.element,
      this.controls,
      this.note,
      this.message,
      this.lines.element,
      element(
        "div",
        {class: "below"},
        actionButton("Copy as CSV", () => this.copyCsv(), {title: "The tracks as a table · key y"}),
        actionButton("Print", () => print(), {title: "A figure for a paper · key p"}),
        legend(),
      ),
    );
  }

  keys() {
    return [
      ...[...QUANTITIES, ...STATES].map(({id, key, name}) => ({key, name: `track: ${name}`, act: () => this.setTracks(toggled(this.tracks, id))})),
      {key: "x", name: "next example", act: () => this.showExample(this.nextOf(EXAMPLES))},
      {key: "y", name: "copy the tracks as CSV", act: () => this.copyCsv()},
      ...this.studyKeys(),
    ];
  }

  /** @param {Map<string, string>} values of the address */
  open(values) {
    const example = EXAMPLES[0];
    const isBlank = !values.has("text") && this.texts.length === 0;
    this.chosen = readList(values.get("models"), this.chosen.length > 0 ? this.chosen : contrastingModels(this.models)).filter((id) => this.models.some((model) => model.id === id));
    this.tracks = readList(values.get("tracks"), this.tracks.length > 0 ? this.tracks : example.tracks);
    this.unit = readNumber(values.get("unit"), -1, 1e6, this.unit);
    const pair = readList(values.get("pair"), []);
    this.pair = [pair[0] ?? "", pair[1] ?? ""];
    if (values.has("text") || isBlank) this.field.set(values.get("text") ?? example.text);
    const [text, column] = (values.get("at") ?? (isBlank ? example.at : "")).split(".").map(Number);
    if (Number.isInteger(text) && Number.isInteger(column)) this.at = {text, column};
    this.refresh();
  }

  /** @returns {Map<string, string>} */
  values() {
    const [first, second] = this.currentPair();
    return new Map([
      ["text", this.field.value()],
      ["models", this.chosen.join(",")],
      ["tracks", this.tracks.join(",")],
      ["at", this.at.text < 0 ? "" : `${this.at.text}.${this.at.column}`],
      ["unit", this.unit < 0 ? "" : String(this.unit)],
      ["pair", this.pair[0] !== "" ? `${first},${second}` : ""],
    ]);
  }

  chosenModels() {
    return this.models.filter(({id}) => this.chosen.includes(id));
  }

  /** @returns {[string, string]} */
  currentPair() {
    const shown = this.chosenModels();
    const isShown = (/** @type {string} */ id) => shown.some((model) => model.id === id);
    const first = isShown(this.pair[0]) ? this.pair[0] : (shown[0]?.id ?? "");
    const second = isShown(this.pair[1]) ? this.pair[1] : (shown[shown.length - 1]?.id ?? "");
    return [first, second];
  }

  onEdit() {
    this.influence = null;
    this.layers = [];
    this.refresh();
  }

  /** @param {string[]} ids */
  setTracks(ids) {
    this.tracks = ids;
    this.refresh();
  }

  /** @param {import("./examples.js").Example} example */
  showExample(example) {
    this.field.set(example.text);
    this.tracks = example.tracks;
    const [text, column] = example.at.split(".").map(Number);
    this.at = {text, column};
    this.onEdit();
  }

  /** Asks for everything that is shown, and shows it. */
  async refresh() {
    this.showControls();
    this.page.saveAddress();
    const texts = splitTexts(this.field.value());
    const words = texts.reduce((sum, text) => sum + text.length, 0);
    if (words > MOST_WORDS) {
      this.message.textContent = `The text has ${words} words; this page reads up to ${MOST_WORDS} at a time.`;
      return;
    }
    const models = this.chosenModels();
    const answers = await this.ask(this.asking, (signal) => Promise.all(models.map((model) => this.page.reader.read(model, texts, signal))));
    if (answers === undefined) return;
    if (models.length === 0) this.message.textContent = "Choose a model above.";
    this.texts = texts;
    this.readings = new Map(models.map((model, index) => [model.id, answers[index]]));
    this.clampSelection();
    this.show();
    await this.refreshDetail();
  }

  clampSelection() {
    if (this.texts.length === 0) this.at = {text: -1, column: -1};
    if (this.at.text >= this.texts.length) this.at = {text: this.texts.length - 1, column: this.at.column};
    if (this.at.text >= 0) this.at.column = Math.min(this.at.column, this.columns(this.at.text).length - 1);
  }

  /** What costs more: the influence on the chosen word, gates and states. */
  async refreshDetail() {
    const models = this.chosenModels();
    const {text, column} = this.at;
    const wantsInfluence = this.tracks.includes("influence") && text >= 0;
    const inspected = STATES.some(({id}) => this.tracks.includes(id)) ? models.filter(({isRecurrent}) => isRecurrent) : [];
    if (!wantsInfluence && inspected.length === 0) return;
    const found = await this.ask(this.looking, async (signal) => {
      const influenced = wantsInfluence ? models.filter(({role}) => role === "text") : [];
      const influences = await Promise.all(influenced.map((model) => this.page.reader.influences(model, this.texts[text], column, signal)));
      const layers = await Promise.all(this.texts.map((words) => this.inspectAll(inspected, words, signal)));
      return {influences: new Map(influenced.map(({id}, index) => [id, influences[index]])), layers};
    });
    if (found === undefined) return;
    this.influence = wantsInfluence ? {word: this.columns(text)[column], values: found.influences} : null;
    this.layers = found.layers.map((layers) => layers ?? new Map());
    if (found.layers.includes(null)) this.message.textContent = "This server does not show gates and states.";
    this.show();
  }

  /**
   * The last layer of each model; null if the server does not show layers.
   * @param {Model[]} models
   * @param {string[]} words
   * @param {AbortSignal} signal
   */
  async inspectAll(models, words, signal) {
    const all = await Promise.all(models.map((model) => this.page.reader.inspect(model, words, UNITS, signal)));
    if (all.includes(null)) return null;
    return new Map(all.map((found, index) => [models[index].id, /** @type {any} */ (found).layers.at(-1)]));
  }

  /** @param {number} text */
  columns(text) {
    const words = this.texts[text];
    const ends = [...this.readings.values()].some((readings) => (readings[text]?.bits.length ?? 0) > words.length);
    return ends ? [...words, END] : words;
  }

  /** @param {number} text @returns {Map<string, Reading>} */
  readingsOf(text) {
    return new Map([...this.readings].map(([id, readings]) => [id, readings[text]]));
  }

  /** @param {number} text */
  tracksOfText(text) {
    return tracksOf({
      models: this.chosenModels(),
      readings: this.readingsOf(text),
      quantities: this.tracks,
      pair: this.currentPair(),
      influence: text === this.at.text ? this.influence : null,
    });
  }

  /** @param {number} unit its number; the one that is shown, or −1, shows none */
  pickUnit(unit) {
    this.unit = unit === this.unit ? -1 : unit;
    this.show();
    this.page.saveAddress();
  }

  /** @param {number} text */
  stripsOfText(text) {
    return this.chosenModels().flatMap((model) => {
      const layer = this.layers[text]?.get(model.id);
      return layer ? stripsOf(model, layer, this.tracks, (unit) => this.pickUnit(unit)) : [];
    });
  }

  show() {
    this.lines.show(
      this.texts.map((words, text) => ({
        title: `Text ${text + 1}`,
        columns: this.columns(text),
        tracks: this.tracksOfText(text),
        strips: this.stripsOfText(text),
        drawn: words.length,
        unit: this.unit,
      })),
      this.at,
    );
    this.showPanel();
  }

  showPanel() {
    const {text, column} = this.at;
    if (text < 0) {
      fill(this.panel, element("p", {class: "panel-context", text: "Choose a word to see what each model expected in its place."}));
      return;
    }
    const words = this.texts[text];
    showWord(
      this.panel,
      {words, column, models: this.chosenModels(), readings: this.readingsOf(text)},
      {
        replace: (word) => this.replace(text, column, word),
        write: () => this.page.go("write", new Map([["text", words.slice(0, column).join(" ")], ["models", this.chosen.join(",")]])),
      },
    );
  }

  /** @param {number} text @param {number} column @param {string} word */
  replace(text, column, word) {
    const texts = this.texts.map((words) => [...words]);
    texts[text][column] = word;
    this.field.set(texts.map((words) => words.join(" ")).join("\n"));
    this.onEdit();
    this.page.announce(`The word is now ${word}.`);
  }

  /** @param {number} text @param {number} column */
  select(text, column) {
    this.at = {text, column};
    this.lines.choose(this.at);
    this.showPanel();
    this.page.saveAddress();
    this.refreshDetail();
    const words = this.columns(text);
    const values = this.chosenModels().map(({id}) => `${id} ${this.readings.get(id)?.[text].bits[column]?.toFixed(1) ?? "no"} bits`);
    this.page.announce(`${words[column] === END ? "end" : words[column]}: ${values.join(", ")}`);
  }

  showControls() {
    const stateIds = this.statesOfModels();
    this.replaceControls(
      this.controls,
      this.exampleRow(EXAMPLES, (example) => this.showExample(example)),
      optionRow("Models", ...modelSwitches(this.models, this.chosen, (ids) => { this.chosen = ids; this.refresh(); })),
      optionRow("Tracks", ...switches(QUANTITIES, this.tracks, (ids) => this.setTracks(ids)), this.tracks.includes("difference") && this.chosen.length > 2 && this.pairChoice()),
      stateIds.length > 0 && optionRow("Inside", ...switches(STATES.filter(({id}) => stateIds.includes(id)), this.tracks, (ids) => this.setTracks(ids))),
    );
    this.note.textContent = EXAMPLES.find(({text}) => text === this.field.value())?.note ?? "";
  }

  /** The states and gates that the chosen models have. */
  statesOfModels() {
    const cells = new Set(this.chosenModels().filter(({isRecurrent}) => isRecurrent).map(({info}) => info.properties.cell ?? "lstm"));
    const ids = new Set([...cells].flatMap((cell) => (cell === "lstm" ? ["c", "h", "f", "i", "o", "m"] : cell === "gru" ? ["h", "z", "g", "m"] : ["h"])));
    return [...ids];
  }

  pairChoice() {
    const options = this.chosenModels().map(({id}) => ({value: id, text: id}));
    const [first, second] = this.currentPair();
    return element(
      "span",
      {class: "pair"},
      choice("Difference: model", options, first, (id) => { this.pair = [id, second]; this.refresh(); }),
      " − ",
      choice("Difference: less the model", options, second, (id) => { this.pair = [first, id]; this.refresh(); }),
    );
  }

  copyCsv() {
    const tables = this.texts.map((_, text) => {
      const columns = this.columns(text);
      return toCsv([...tableOf(columns, this.tracksOfText(text)), ...stripTable(this.stripsOfText(text), columns.length)]);
    });
    return this.copy(tables.join("\r\n"));
  }
}

/** @param {string[]} list @param {string} id */
function toggled(list, id) {
  return list.includes(id) ? list.filter((other) => other !== id) : [...list, id];
}

function legend() {
  return element(
    "span",
    {class: "legend"},
    element("span", {text: "expected"}),
    element("span", {class: "ramp", "aria-hidden": "true"}, ...Array.from({length: 8}, (_, step) => element("i", {"data-step": step}))),
    element("span", {text: "surprising"}),
  );
}
