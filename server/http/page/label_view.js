// SPDX-License-Identifier: Apache-2.0
// Label: taggers color the words of texts, and classifiers weigh labels of texts.

import {readList} from "./address.js";
import {actionButton, element, fill} from "./dom.js";
import {toCsv} from "./csv.js";
import {certaintyTrack, labelTrack} from "./label_tracks.js";
import {modelSwitches, optionRow} from "./options.js";
import {splitTexts} from "./reading.js";
import {formatProbability} from "./scale.js";
import {Study} from "./study.js";
import {tableOf} from "./tracks.js";
import {bar} from "./word_panel.js";

/** @typedef {import("./api.js").LabelScores} LabelScores */
/** @typedef {import("./api.js").TaggedText} TaggedText */
/** @typedef {import("./catalogue.js").Model} Model */
/** @typedef {import("./page.js").Page} Page */

const EXAMPLES = [
  {title: "walking home", text: "jane is walking home after school ."},
  {title: "the proctor", text: "as the proctor started the clock the students opened their exams ."},
  {title: "three of a kind", text: "i have a book .\nthe cat is small .\njane said hi to john ."},
];
const MOST_BARS = 8;

export class LabelView extends Study {
  /** @param {Page} page */
  constructor(page) {
    super(page, {name: "label", label: "Texts to label, one a line", onEdit: () => this.onEdit(), onSelect: (text, column) => this.select(text, column)});
    this.models = page.models.filter(({role}) => role === "tagger" || role === "classifier");
    /** @type {string[]} */
    this.chosen = [];
    this.at = {text: 0, column: 0};
    /** @type {string[][]} */
    this.texts = [];
    /** @type {Map<string, TaggedText[]>} by tagger */
    this.tagged = new Map();
    /** @type {Map<string, LabelScores[]>} by classifier */
    this.classified = new Map();
    this.list = element("div", {class: "ranking"});
    this.panel.setAttribute("aria-label", "Labels of the chosen word and its text");
    fill(
      this.column,
      this.field.element,
      this.controls,
      this.message,
      this.lines.element,
      this.list,
      element("div", {class: "below"}, actionButton("Copy as CSV", () => this.copyTable(), {title: "key c"}), actionButton("Print", () => print(), {title: "key p"})),
    );
  }

  keys() {
    return [
      {key: "x", name: "next example", act: () => this.showExample(this.nextOf(EXAMPLES))},
      {key: "c", name: "copy as CSV", act: () => this.copyTable()},
      ...this.studyKeys(),
    ];
  }

  /** @param {Map<string, string>} values of the address */
  open(values) {
    if (this.models.length === 0) {
      fill(this.element, element("p", {class: "note", text: "No tagger or classifier is served. lm_trainer tagger and lm_trainer classifier make them."}));
      return;
    }
    const ids = this.models.map(({id}) => id);
    const chosen = readList(values.get("models"), this.chosen).filter((id) => ids.includes(id));
    this.chosen = chosen.length > 0 ? chosen : ids;
    const [text, column] = (values.get("at") ?? "0.0").split(".").map(Number);
    this.at = {text: text || 0, column: column || 0};
    if (values.has("text") || this.field.value() === "") this.field.set(values.get("text") ?? EXAMPLES[0].text);
    this.refresh();
  }

  values() {
    return new Map([
      ["text", this.field.value()],
      ["models", this.chosen.join(",")],
      ["at", `${this.at.text}.${this.at.column}`],
    ]);
  }

  /** @param {{text: string}} example */
  showExample({text}) {
    this.field.set(text);
    this.onEdit();
  }

  onEdit() {
    this.at = {text: 0, column: 0};
    this.refresh();
  }

  /** The chosen models that do something, in the order of the list. @param {Model["role"]} role */
  having(role) {
    return this.models.filter((model) => model.role === role && this.chosen.includes(model.id));
  }

  async refresh() {
    this.showControls();
    this.page.saveAddress();
    const texts = splitTexts(this.field.value());
    const [taggers, classifiers] = [this.having("tagger"), this.having("classifier")];
    const {reader} = this.page;
    const found = await this.ask(this.asking, (signal) =>
      Promise.all([
        Promise.all(taggers.map((model) => reader.tag(model, texts, signal))),
        Promise.all(classifiers.map((model) => reader.classify(model, texts, signal))),
      ]),
    );
    if (!found) return;
    this.texts = texts;
    this.tagged = new Map(taggers.map(({id}, at) => [id, found[0][at]]));
    this.classified = new Map(classifiers.map(({id}, at) => [id, found[1][at]]));
    this.show();
  }

  /** @param {number} text */
  tracksOfText(text) {
    const tagged = this.having("tagger").map((model) => ({model, sentence: /** @type {TaggedText[]} */ (this.tagged.get(model.id))[text]}));
    return [
      ...tagged.map(({model, sentence}) => labelTrack(model, sentence)),
      ...tagged.map(({model, sentence}) => certaintyTrack(model, sentence)),
    ];
  }

  show() {
    this.at.text = Math.min(this.at.text, Math.max(0, this.texts.length - 1));
    this.at.column = Math.min(this.at.column, Math.max(0, (this.texts[this.at.text]?.length ?? 1) - 1));
    this.lines.show(
      this.texts.map((words, index) => ({title: `Text ${index + 1}`, columns: words, tracks: this.tracksOfText(index), strips: [], drawn: words.length})),
      this.texts.length > 0 ? this.at : {text: -1, column: -1},
    );
    this.showList();
    this.showPanel();
  }

  /** What each classifier says of each text. */
  showList() {
    const classifiers = this.having("classifier");
    if (classifiers.length === 0 || this.texts.length === 0) {
      fill(this.list);
      return;
    }
    const rows = this.texts.map((words, text) =>
      element(
        "tr",
        {},
        element("th", {scope: "row", class: "candidate"}, element("button", {type: "button", "aria-pressed": text === this.at.text, text: words.join(" "), click: () => this.select(text, 0)})),
        ...classifiers.map(({id}) => {
          const {labels, logProbs} = /** @type {LabelScores[]} */ (this.classified.get(id))[text];
          return element("td", {class: "figure"}, labels.length > 0 ? `${labels[0]} ${formatProbability(Math.exp(logProbs[0]))}` : "–");
        }),
      ),
    );
    fill(
      this.list,
      element(
        "table",
        {class: "ranks"},
        element("caption", {class: "hidden", text: "The most probable label of each text"}),
        element("thead", {}, element("tr", {}, element("th", {scope: "col", class: "candidate", text: "text"}), ...classifiers.map(({id, tone}) => element("th", {scope: "col", class: "number-head"}, element("span", {class: "name", "data-tone": tone, text: id}))))),
        element("tbody", {}, ...rows),
      ),
    );
  }

  showPanel() {
    const {text, column} = this.at;
    const words = this.texts[text];
    if (!words) {
      fill(this.panel);
      return;
    }
    fill(
      this.panel,
      element("h2", {class: "panel-word", text: words[column]}),
      ...this.having("tagger").map((model) => {
        const sentence = /** @type {TaggedText[]} */ (this.tagged.get(model.id))[text];
        return labelBars(model, `What ${model.id} calls the word`, sentence.unknown[column] ? "unknown word" : "", sentence.alternatives[column], sentence.labels[column]);
      }),
      ...this.having("classifier").map((model) => {
        const scores = /** @type {LabelScores[]} */ (this.classified.get(model.id))[text];
        return labelBars(model, `What ${model.id} calls the text`, "the whole text", scores, scores.labels[0]);
      }),
    );
  }

  /** @param {number} text @param {number} column */
  select(text, column) {
    const isSameText = text === this.at.text;
    this.at = {text, column};
    this.lines.choose(this.at);
    if (!isSameText) this.showList();
    this.showPanel();
    this.page.saveAddress();
  }

  copyTable() {
    const rows = this.texts.flatMap((words, text) => [
      ...tableOf(words, this.tracksOfText(text)),
      ...this.having("classifier").flatMap(({id}) => {
        const {labels, logProbs} = /** @type {LabelScores[]} */ (this.classified.get(id))[text];
        return labels.map((label, at) => [`P(${label})`, id, Math.exp(logProbs[at])]);
      }),
    ]);
    this.copy(toCsv(rows));
  }

  showControls() {
    /** @param {Model["role"]} role @param {string} name */
    const row = (role, name) => {
      const models = this.models.filter((model) => model.role === role);
      if (models.length === 0) return null;
      return optionRow(name, ...modelSwitches(models, this.chosen, (ids) => { this.chosen = ids; this.refresh(); }));
    };
    this.replaceControls(
      this.controls,
      this.exampleRow(EXAMPLES, (example) => this.showExample(example)),
      row("tagger", "Taggers"),
      row("classifier", "Classifiers"),
    );
  }
}

/**
 * @param {Model} model
 * @param {string} title for screen readers
 * @param {string} note
 * @param {LabelScores} scores
 * @param {string} own the label that was given
 */
function labelBars(model, title, note, {labels, logProbs}, own) {
  const rows = labels.map((word, at) => ({word, probability: Math.exp(logProbs[at]), rank: at + 1}));
  return element(
    "section",
    {class: "expectation", "data-tone": model.tone, "aria-label": title},
    element("h3", {}, element("span", {class: "name", "data-tone": model.tone, text: model.id}), element("span", {class: "kind", text: model.shortKind})),
    note !== "" && element("p", {class: "facts", text: note}),
    element("ol", {class: "bars"}, ...rows.filter(({word}, at) => at < MOST_BARS || word === own).map((row) => bar(row, row.word === own, 1, undefined))),
  );
}
