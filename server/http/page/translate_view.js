// SPDX-License-Identifier: Apache-2.0
// Translate: the source above, the translation below, attention between them.

import * as api from "./api.js";
import {readNumber} from "./address.js";
import {attentionFigure, sourceRow} from "./attention_figure.js";
import {writeCandidates} from "./candidates.js";
import {contrastingModels} from "./catalogue.js";
import {actionButton, element, fill} from "./dom.js";
import {widthOf} from "./line_view.js";
import {choice, optionRow, slider} from "./options.js";
import {END} from "./reading.js";
import {stepOfAttention} from "./scale.js";
import {Study} from "./study.js";
import {tracksOf} from "./tracks.js";
import {showWord} from "./word_panel.js";

/** @typedef {import("./catalogue.js").Model} Model */
/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("./reading.js").Reading} Reading */

const EXAMPLES = [
  {title: "the cat is small", text: ". small is cat the"},
  {title: "home after school", text: ". school after home walking is jane"},
  {title: "a book", text: ". book a have i"},
  {title: "the proctor's exams", text: ". exams their opened students the clock the started proctor the as"},
];
const UNITS = 1;
const MOST_SHOWN = 8;

export class TranslateView extends Study {
  /** @param {Page} page */
  constructor(page) {
    super(page, {name: "translate", label: "Text to translate", placeholder: "A text to translate", onEdit: () => this.onEdit(), onSelect: (_, column) => this.select(column)});
    this.models = page.models.filter(({role}) => role === "translation");
    this.list = element("div", {class: "ranking"});
    this.options = {model: "", size: 8, alpha: 0.6};
    /** @type {api.Hypothesis[]} */
    this.hypotheses = [];
    this.place = 0;
    this.at = 0;
    /** @type {Reading | null} */
    this.reading = null;
    /** @type {number[][]} */
    this.attention = [];
    fill(
      this.column,
      this.field.element,
      this.controls,
      this.message,
      this.lines.element,
      this.list,
      element("div", {class: "below"}, actionButton("Rerank these", () => this.rerank(), {title: "key r"}), actionButton("Print", () => print(), {title: "key p"})),
    );
  }

  keys() {
    return [
      {key: "x", name: "next example", act: () => this.showExample(this.nextOf(EXAMPLES))},
      {key: "r", name: "rerank the translations", act: () => this.rerank()},
      ...this.studyKeys(),
    ];
  }

  /** @param {Map<string, string>} values of the address */
  open(values) {
    if (this.models.length === 0) {
      fill(this.element, element("p", {class: "note", text: "No translation model is served. lm_trainer translation makes one."}));
      return;
    }
    const model = values.get("model") ?? this.options.model;
    this.options = {
      model: this.models.some(({id}) => id === model) ? model : this.models[0].id,
      size: readNumber(values.get("beam"), 1, 32, this.options.size),
      alpha: readNumber(values.get("alpha"), 0, 2, this.options.alpha),
    };
    this.place = readNumber(values.get("place"), 0, 31, this.place);
    this.at = readNumber(values.get("at"), 0, 999, this.at);
    if (values.has("text") || this.field.value() === "") this.field.set(values.get("text") ?? EXAMPLES[0].text);
    this.refresh();
  }

  values() {
    return new Map([
      ["text", this.field.value()],
      ["model", this.options.model],
      ["beam", String(this.options.size)],
      ["alpha", String(this.options.alpha)],
      ["place", this.place === 0 ? "" : String(this.place)],
      ["at", String(this.at)],
    ]);
  }

  sourceText() {
    return this.field.value().trim().replace(/\s+/g, " ");
  }

  /** @param {{text: string}} example */
  showExample({text}) {
    this.field.set(text);
    this.onEdit();
  }

  onEdit() {
    this.place = 0;
    this.at = 0;
    this.refresh();
  }

  async refresh() {
    this.showControls();
    await this.search();
  }

  /** Searches, and leaves the controls alone: one of them may be in use. */
  async search() {
    this.page.saveAddress();
    const source = this.sourceText();
    if (source === "") {
      this.hypotheses = [];
      fill(this.list);
      this.lines.show([], {text: -1, column: -1});
      return;
    }
    const {model, size, alpha} = this.options;
    const found = await this.ask(this.asking, (signal) => api.translate({model, source, size, best: Math.min(size, MOST_SHOWN), lengthAlpha: alpha}, signal));
    if (found === undefined) return;
    this.hypotheses = found;
    this.place = Math.min(this.place, found.length - 1);
    await this.look();
  }

  /** Asks for what belongs to the chosen translation. */
  async look() {
    this.showList();
    const model = this.models.find(({id}) => id === this.options.model);
    const hypothesis = this.hypotheses[this.place];
    if (!hypothesis || !model) return;
    const source = this.sourceText();
    const found = await this.ask(this.looking, (signal) =>
      Promise.all([
        this.page.reader.read(model, [hypothesis.words], signal, source),
        this.page.reader.inspect(model, hypothesis.words, UNITS, signal, source),
      ]),
    );
    if (found === undefined) return;
    const [[reading], inspection] = found;
    this.reading = reading;
    this.attention = inspection?.attention ?? [];
    this.show();
  }

  columns() {
    return [...this.hypotheses[this.place].words, END];
  }

  sourceColumns() {
    return [...this.sourceText().split(" "), END];
  }

  show() {
    const model = this.models.find(({id}) => id === this.options.model);
    if (!this.reading || !model) return;
    const columns = this.columns();
    this.at = Math.min(this.at, columns.length - 1);
    const readings = new Map([[model.id, this.reading]]);
    const tracks = tracksOf({models: [model], readings, quantities: ["surprisal", "entropy"], pair: ["", ""], influence: null});
    this.lines.show(
      [{title: "Translation", columns, tracks: [...tracks, ...this.attentionTracks()], strips: [], drawn: columns.length, above: (layout) => this.figure(layout)}],
      {text: 0, column: this.at},
    );
    showWord(
      this.panel,
      {words: this.hypotheses[this.place].words, column: this.at, models: [model], readings},
      {},
    );
  }

  /** @returns {import("./tracks.js").Track[]} */
  attentionTracks() {
    if (this.attention.length === 0) return [];
    return this.sourceColumns().map((word, from) => ({
      group: "attention to the source",
      label: word === END ? "end" : word,
      note: "",
      model: null,
      cells: this.attention.map((weights) => {
        const weight = weights[from] ?? 0;
        return {text: weight < 0.005 ? "·" : weight.toFixed(2).replace(/^0/, ""), step: stepOfAttention(weight), value: weight};
      }),
      look: /** @type {const} */ ("gray"),
      reach: 0,
      isDense: true,
    }));
  }

  /** @param {{label: number, widths: number[], width: number}} layout */
  figure({label, widths, width}) {
    if (this.attention.length === 0) return null;
    const source = this.sourceColumns();
    const sourceWidths = source.map(widthOf);
    const total = label + Math.max(sum(sourceWidths), sum(widths));
    if (total > width) return null;
    const centers = centersOf(widths, label);
    const sourceCenters = centersOf(sourceWidths, label);
    const shown = source.map((word) => (word === END ? "end" : word));
    return element(
      "div",
      {class: "attention", "aria-hidden": "true"},
      sourceRow(shown, sourceCenters, this.attention[this.at], total),
      attentionFigure({source: shown, sourceCenters, centers, attention: this.attention, chosen: this.at, width: total}),
    );
  }

  showList() {
    const rows = this.hypotheses.map((hypothesis, place) =>
      element(
        "tr",
        {"data-rank": place === 0 ? "first" : null},
        element("td", {class: "rank", text: String(place + 1)}),
        element("th", {scope: "row", class: "candidate"}, element("button", {type: "button", "aria-pressed": place === this.place, text: hypothesis.words.join(" ") || "(empty)", click: () => this.pick(place)})),
        element("td", {class: "figure", text: hypothesis.score.toFixed(2).replace("-", "\u2212")}),
        element("td", {class: "figure", text: hypothesis.logProb.toFixed(2).replace("-", "\u2212")}),
      ),
    );
    fill(
      this.list,
      element(
        "table",
        {class: "ranks"},
        element("caption", {class: "hidden", text: "Translations, best first"}),
        element("thead", {}, element("tr", {}, element("th", {scope: "col", class: "number-head", text: "rank"}), element("th", {scope: "col", class: "candidate", text: "translation"}), element("th", {scope: "col", class: "number-head", text: "score"}), element("th", {scope: "col", class: "number-head", text: "ln P"}))),
        element("tbody", {}, ...rows),
      ),
    );
  }

  /** @param {number} place */
  pick(place) {
    this.place = place;
    this.page.saveAddress();
    this.look();
    /** @type {HTMLElement | undefined} */ (this.list.querySelectorAll("button")[place])?.focus();
  }

  /** @param {number} column */
  select(column) {
    this.at = column;
    this.show();
    this.page.saveAddress();
  }

  rerank() {
    const candidates = this.hypotheses.map(({words}) => ({text: words.join(" "), features: {}}));
    const readers = contrastingModels(this.page.models);
    const models = [this.options.model, ...readers.slice(0, 1)];
    this.page.go("rerank", new Map([["text", writeCandidates(candidates)], ["source", this.sourceText()], ["models", models.join(",")]]));
  }

  showControls() {
    this.replaceControls(
      this.controls,
      this.exampleRow(EXAMPLES, (example) => this.showExample(example)),
      optionRow(
        "Model",
        choice("Translation model", this.models.map(({id}) => ({value: id, text: id})), this.options.model, (id) => { this.options.model = id; this.refresh(); }),
        slider("beam", {least: 1, most: 32, step: 1, value: this.options.size}, (value) => { this.options.size = value; this.search(); }),
        slider("length exponent", {least: 0, most: 2, step: 0.1, value: this.options.alpha, format: (value) => value.toFixed(1)}, (value) => { this.options.alpha = value; this.search(); }),
      ),
    );
  }
}

/** @param {number[]} values */
const sum = (values) => values.reduce((total, value) => total + value, 0);

/** @param {number[]} widths @param {number} start */
function centersOf(widths, start) {
  let left = start;
  return widths.map((width) => {
    left += width;
    return left - width / 2;
  });
}
