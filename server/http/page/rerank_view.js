// SPDX-License-Identifier: Apache-2.0
// Rerank: candidates as rows, features as columns, weights as sliders.

import * as api from "./api.js";
import {readList} from "./address.js";
import {readCandidates, rankCandidates, readWeights, writeWeights} from "./candidates.js";
import {byReach, contrastingModels} from "./catalogue.js";
import {toCsv} from "./csv.js";
import {actionButton, element, fill} from "./dom.js";
import {choice, modelSwitches, optionRow} from "./options.js";
import {END, splitTexts} from "./reading.js";
import {Study} from "./study.js";
import {growingField} from "./text_field.js";
import {differingWords} from "./track_layout.js";
import {tracksOf} from "./tracks.js";
import {showWord} from "./word_panel.js";

/** @typedef {import("./catalogue.js").Model} Model */
/** @typedef {import("./page.js").Page} Page */
/** @typedef {import("./reading.js").Reading} Reading */

const EXAMPLES = [
  {title: "I have, I has", text: "i has a book . ||| tm=-1.5\ni have a book . ||| tm=-2\nme have a book . ||| tm=-1\nme had a book . ||| tm=-2.5\ni had a book yesterday . ||| tm=-3"},
  {title: "the cat is small", text: "small is the cat .\nthe cat is small .\nis the cat small .\nthe small cat is ."},
  {title: "home or house", text: "jane is walking house after school .\njane is walking home after school .\njane was walking to home after school ."},
  {title: "exams or books", text: "as the proctor started the clock the students opened their books .\nas the proctor started the clock the students opened their exams .\nas the proctor started the clock the students opened their maps ."},
];
const NORMALIZATIONS = [
  {value: "text", text: "ln P"},
  {value: "word", text: "ln P / words"},
];
const MOST_WEIGHT = 2;
const IMPOSSIBLE = -1e5;
const MOVE = 260;

export class RerankView extends Study {
  /** @param {Page} page */
  constructor(page) {
    super(page, {
      name: "rerank",
      label: "Candidates, one to a line",
      placeholder: "Candidates, one to a line; features after |||",
      onEdit: () => this.refresh(),
      onSelect: (text, column) => this.select(text, column),
    });
    this.models = byReach(page.models.filter(({role}) => role === "text" || role === "gap"));
    this.translators = page.models.filter(({role}) => role === "translation");
    this.source = growingField("Source that the candidates translate", () => this.refresh(), {placeholder: "What the candidates translate"});
    this.table = element("div", {class: "ranking"});
    this.caption = element("p", {class: "note"});
    /** @type {string[]} */
    this.chosen = [];
    this.normalization = "text";
    /** @type {Map<string, number>} */
    this.weights = new Map();
    /** @type {import("./candidates.js").Candidate[]} */
    this.candidates = [];
    /** @type {{names: string[], rows: number[][]}} */
    this.features = {names: [], rows: []};
    this.other = -1;
    /** @type {{words: string[], readings: Map<string, Reading>, marked: boolean[]}[]} */
    this.compared = [];
    this.at = {text: -1, column: -1};
    fill(
      this.column,
      this.source.element,
      this.field.element,
      this.controls,
      this.message,
      this.table,
      this.caption,
      this.lines.element,
      element("div", {class: "below"}, actionButton("Copy as CSV", () => this.copyCsv(), {title: "key y"}), actionButton("Print", () => print(), {title: "key p"})),
    );
    this.source.element.hidden = true;
  }

  keys() {
    return [
      {key: "x", name: "next example", act: () => this.showExample(this.nextOf(EXAMPLES))},
      {key: "0", name: "weights as in the beginning", act: () => this.resetWeights()},
      {key: "y", name: "copy the table as CSV", act: () => this.copyCsv()},
      ...this.studyKeys(),
    ];
  }

  /** @param {Map<string, string>} values of the address */
  open(values) {
    const known = (/** @type {string} */ id) => [...this.models, ...this.translators].some((model) => model.id === id);
    this.chosen = readList(values.get("models"), this.chosen.length > 0 ? this.chosen : extremes(contrastingModels(this.models))).filter(known);
    this.normalization = NORMALIZATIONS.some(({value}) => value === values.get("per")) ? /** @type {string} */ (values.get("per")) : this.normalization;
    if (values.has("weights")) this.weights = readWeights(values.get("weights"));
    if (values.has("source")) this.source.set(values.get("source") ?? "");
    if (values.has("text") || this.field.value() === "") this.field.set(values.get("text") ?? EXAMPLES[0].text);
    this.other = values.has("other") ? Number(values.get("other")) : this.other;
    this.refresh();
  }

  values() {
    return new Map([
      ["text", this.field.value()],
      ["source", this.source.element.hidden ? "" : this.source.value()],
      ["models", this.chosen.join(",")],
      ["weights", writeWeights(this.weights)],
      ["per", this.normalization === "text" ? "" : this.normalization],
      ["other", this.other < 0 ? "" : String(this.other)],
    ]);
  }

  /** @param {{text: string}} example */
  showExample({text}) {
    this.field.set(text);
    this.other = -1;
    this.chosen = this.chosen.filter((id) => !this.translators.some((model) => model.id === id));
    this.refresh();
  }

  resetWeights() {
    this.weights.clear();
    this.show(true);
  }

  async refresh() {
    const models = this.chosen;
    this.source.element.hidden = !this.translators.some(({id}) => models.includes(id));
    this.showControls();
    this.page.saveAddress();
    const candidates = readCandidates(this.field.value());
    if (candidates.length === 0 || models.length === 0) {
      this.message.textContent = models.length === 0 ? "Choose a model above." : "Write candidates above, one to a line.";
      fill(this.table);
      this.showCompared([]);
      return;
    }
    const source = this.source.element.hidden ? undefined : this.source.value().trim();
    const found = await this.ask(this.asking, (signal) => api.rerankFeatures({models, candidates, perWord: this.normalization === "word", source}, signal));
    if (found === undefined) return;
    this.candidates = candidates;
    this.features = found;
    this.show(false);
  }

  /** @param {string} name of a feature */
  weightOf(name) {
    return this.weights.get(name) ?? (this.chosen.includes(name) || name in (this.candidates[0]?.features ?? {}) ? 1 : 0);
  }

  /** The columns that are shown: those with a weight, and those that tell candidates apart. */
  shownColumns() {
    const {names, rows} = this.features;
    const own = Object.keys(this.candidates[0]?.features ?? {});
    return names
      .map((name, column) => ({name, column}))
      .filter(({name, column}) => {
        if (own.includes(name) || this.chosen.includes(name) || this.weightOf(name) !== 0) return true;
        if (name.endsWith(".end")) return false;
        const isFirstLength = name.endsWith(".words") && name === `${this.chosen[0]}.words`;
        return (isFirstLength || name.endsWith(".unknown")) && rows.some((row) => row[column] !== rows[0][column]);
      });
  }

  ranking() {
    return rankCandidates(this.features.rows, this.features.names.map((name) => this.weightOf(name)));
  }

  /** @param {boolean} moves whether rows glide to their new places */
  show(moves) {
    const before = new Map([...this.table.querySelectorAll("tbody tr")].map((row) => [/** @type {HTMLElement} */ (row).dataset.index, row.getBoundingClientRect().top]));
    const ranking = this.ranking();
    const columns = this.shownColumns();
    const existing = this.table.querySelector("thead");
    const names = columns.map(({name}) => name).join("\n");
    const body = element("tbody", {}, ...ranking.map((place, rank) => this.row(place, rank, ranking, columns)));
    if (moves && existing instanceof HTMLElement && existing.dataset.names === names) {
      this.table.querySelector("tbody")?.replaceWith(body);
    } else {
      fill(this.table, element("table", {class: "ranks"}, element("caption", {class: "hidden", text: "Candidates, best first"}), this.head(columns, names), body));
    }
    if (moves && !matchMedia("(prefers-reduced-motion: reduce)").matches) glide(body, before);
    this.compare(ranking);
  }

  /** @param {{name: string, column: number}[]} columns @param {string} names */
  head(columns, names) {
    return element(
      "thead",
      {"data-names": names},
      element(
        "tr",
        {},
        element("th", {scope: "col", class: "number-head", text: "rank"}),
        element("th", {scope: "col", class: "candidate", text: "candidate"}),
        ...columns.map(({name}) => element("th", {scope: "col", class: "number-head"}, this.columnName(name), this.weight(name))),
        element("th", {scope: "col", class: "number-head score-head", text: "score"}),
      ),
    );
  }

  /** @param {string} name */
  columnName(name) {
    const model = [...this.models, ...this.translators].find(({id}) => id === name);
    return element("span", {class: "name", "data-tone": model?.tone, text: name});
  }

  /** @param {string} name */
  weight(name) {
    const output = element("output", {text: this.weightOf(name).toFixed(2)});
    const input = element("input", {type: "range", min: -MOST_WEIGHT, max: MOST_WEIGHT, step: 0.05, value: this.weightOf(name), "aria-label": `Weight of ${name}`});
    input.addEventListener("input", () => {
      this.weights.set(name, Number(input.value));
      output.textContent = Number(input.value).toFixed(2);
      this.show(true);
      this.page.saveAddress();
    });
    return element("span", {class: "weight"}, input, output);
  }

  /**
   * @param {{index: number, score: number}} place
   * @param {number} rank
   * @param {{index: number, score: number}[]} ranking
   * @param {{name: string, column: number}[]} columns
   */
  row({index, score}, rank, ranking, columns) {
    const candidate = this.candidates[index];
    const isOther = index === this.otherOf(ranking);
    const behind = ranking[0].score - score;
    const worst = Math.max(1e-9, ranking[0].score - Math.max(ranking[ranking.length - 1].score, IMPOSSIBLE));
    const mark = element("span", {class: "gap-fill"});
    mark.style.width = `${Math.min(100, (behind / worst) * 100)}%`;
    return element(
      "tr",
      {"data-index": index, "data-rank": rank === 0 ? "first" : null},
      element("td", {class: "rank", text: `${rank + 1}`}),
      element(
        "th",
        {scope: "row", class: "candidate"},
        rank === 0
          ? element("span", {text: candidate.text})
          : element("button", {type: "button", "aria-pressed": isOther, text: candidate.text, title: "Compare with the best", click: () => this.pick(index)}),
      ),
      ...columns.map(({column}) => element("td", {class: "figure", text: formatFeature(this.features.rows[index][column])})),
      element("td", {class: "figure score"}, element("span", {text: formatFeature(score)}), element("span", {class: "gap-track", "aria-hidden": "true"}, mark)),
    );
  }

  /** The candidate that is compared with the best. @param {{index: number}[]} ranking */
  otherOf(ranking) {
    const isThere = ranking.slice(1).some(({index}) => index === this.other);
    return isThere ? this.other : (ranking[1]?.index ?? -1);
  }

  /** @param {number} index */
  pick(index) {
    this.other = index;
    this.show(false);
    this.page.saveAddress();
    /** @type {HTMLElement | null} */ (this.table.querySelector(`[data-index="${index}"] button`))?.focus();
  }

  /** Shows the words in which the best candidate and another differ. @param {{index: number}[]} ranking */
  async compare(ranking) {
    const indices = [ranking[0].index, this.otherOf(ranking)].filter((index) => index >= 0);
    const texts = indices.flatMap((index) => splitTexts(this.candidates[index].text).slice(0, 1));
    const models = this.models.filter(({id}) => this.chosen.includes(id));
    if (texts.length < 2 || models.length === 0) {
      this.showCompared([]);
      return;
    }
    const found = await this.ask(this.looking, (signal) => Promise.all(models.map((model) => this.page.reader.read(model, texts, signal))));
    if (found === undefined) return;
    const marks = differingWords(texts[0], texts[1]);
    this.showCompared(
      texts.map((words, text) => ({
        words,
        readings: new Map(models.map((model, index) => [model.id, found[index][text]])),
        marked: marks[text],
      })),
    );
  }

  /** @param {RerankView["compared"]} compared the best candidate and another, or nothing */
  showCompared(compared) {
    const isNew = compared.map(({words}) => words.join(" ")).join("\n") !== this.compared.map(({words}) => words.join(" ")).join("\n");
    this.compared = compared;
    this.caption.textContent = compared.length > 0 ? "The best, and the candidate that is chosen above. Words that only one of them has are underlined." : "";
    if (isNew) this.at = firstMark(compared);
    this.showLines();
  }

  showLines() {
    const models = this.models.filter(({id}) => this.chosen.includes(id));
    this.lines.show(
      this.compared.map(({words, readings, marked}, text) => {
        const ends = [...readings.values()].some(({bits}) => bits.length > words.length);
        return {
          title: text === 0 ? "The best" : "The other",
          columns: ends ? [...words, END] : words,
          tracks: tracksOf({models, readings, quantities: ["surprisal"], pair: ["", ""], influence: null}),
          strips: [],
          drawn: words.length,
          marked,
        };
      }),
      this.at,
    );
    const {text, column} = this.at;
    if (text < 0) fill(this.panel);
    else showWord(this.panel, {words: this.compared[text].words, column, models, readings: this.compared[text].readings}, {});
  }

  /** @param {number} text @param {number} column */
  select(text, column) {
    this.at = {text, column};
    this.showLines();
  }

  showControls() {
    const onModels = (/** @type {string[]} */ ids) => { this.chosen = ids; this.refresh(); };
    this.replaceControls(
      this.controls,
      this.exampleRow(EXAMPLES, (example) => this.showExample(example)),
      optionRow("Models", ...modelSwitches([...this.models, ...this.translators], this.chosen, onModels)),
      optionRow(
        "Features",
        choice("Form of the models' features", NORMALIZATIONS, this.normalization, (value) => { this.normalization = value; this.refresh(); }),
        actionButton("Weights as in the beginning", () => this.resetWeights(), {title: "key 0"}),
      ),
    );
  }

  copyCsv() {
    const {names, rows} = this.features;
    const body = this.ranking().map(({index, score}, rank) => [rank + 1, this.candidates[index].text, ...rows[index], score]);
    return this.copy(toCsv([["rank", "candidate", ...names, "score"], ...body]));
  }
}

/** @param {string[]} ids */
const extremes = (ids) => ids.filter((_, at) => at === 0 || at === ids.length - 1);

/**
 * The first word in which the texts differ, of the second text if it has one.
 * @param {{marked: boolean[]}[]} compared
 */
function firstMark(compared) {
  for (const text of [1, 0]) {
    const column = compared[text]?.marked.indexOf(true) ?? -1;
    if (column >= 0) return {text, column};
  }
  return {text: compared.length > 0 ? 0 : -1, column: compared.length > 0 ? 0 : -1};
}

/** @param {number} value */
function formatFeature(value) {
  if (value <= IMPOSSIBLE) return "impossible";
  return (Number.isInteger(value) ? String(value) : value.toFixed(2)).replace("-", "\u2212");
}

/**
 * Lets rows glide from where they were.
 * @param {HTMLElement} body
 * @param {Map<string | undefined, number>} before
 */
function glide(body, before) {
  for (const row of /** @type {NodeListOf<HTMLElement>} */ (body.querySelectorAll("tr"))) {
    const from = before.get(row.dataset.index);
    const shift = from === undefined ? 0 : from - row.getBoundingClientRect().top;
    if (Math.abs(shift) > 1) row.animate([{transform: `translateY(${shift}px)`}, {transform: "none"}], {duration: MOVE, easing: "ease-out"});
  }
}
