// SPDX-License-Identifier: Apache-2.0
// A text as lines of words with its tracks under them: a table for each line, a
// column for each word. One word is in the order of Tab; arrow keys walk.

import {element, fill, hidden} from "./dom.js";
import {END} from "./reading.js";
import {stripRow, unitTrack} from "./state_strip.js";
import {breakLines} from "./track_layout.js";

/** @typedef {import("./tracks.js").Track} Track */
/** @typedef {import("./state_strip.js").Strip} Strip */

const LEAST_WIDTH = 46;
const GAP_TITLE = "end";
// The size of labels to that of words, and what is around them.
const LABEL_SCALE = 0.68;
const LABEL_PADDING = 10;

/**
 * @typedef {object} LineText
 * @property {string} title for screen readers: "Text 1"
 * @property {string[]} columns words, and END if it is scored
 * @property {Track[]} tracks
 * @property {Strip[]} strips
 * @property {number} drawn how many of the first words are the reader's own; those after it were generated
 * @property {boolean[]} [marked] words to mark
 * @property {number} [unit] the unit of the strips whose numbers are shown
 * @property {(layout: {label: number, widths: number[], width: number}) => Node | null} [above] what stands over a text
 *   that fits into one line
 */

// Of a word in its column, both sides together.
let padding = 18;

const measure = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));

/** @param {string} word */
const shown = (word) => (word === END ? GAP_TITLE : word);

/**
 * The width of a word's column, in the font of the line view that was rendered last.
 * @param {string} word
 */
export function widthOf(word) {
  return Math.max(LEAST_WIDTH, Math.ceil(measure.measureText(shown(word)).width) + padding);
}

/**
 * The width that a label needs under its word, in smaller letters; 0 for other cells.
 * @param {Track} track
 * @param {number} column
 */
function widthOfLabel({look, cells}, column) {
  const cell = look === "label" ? cells[column] : null;
  return cell ? Math.ceil(measure.measureText(cell.text).width * LABEL_SCALE) + LABEL_PADDING : 0;
}

export class LineView {
  /** @param {(text: number, column: number) => void} onSelect */
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.element = element("div", {class: "lines", keydown: (/** @type {KeyboardEvent} */ event) => this.walk(event)});
    /** @type {LineText[]} */
    this.texts = [];
    this.selected = {text: -1, column: -1};
    this.width = 0;
    new ResizeObserver(() => {
      if (Math.abs(this.element.clientWidth - this.width) > 1 && this.texts.length > 0) this.render();
    }).observe(this.element);
    addEventListener("themechange", () => this.render());
    addEventListener("beforeprint", () => this.render(PRINT_WIDTH));
    addEventListener("afterprint", () => this.render());
  }

  /**
   * @param {LineText[]} texts
   * @param {{text: number, column: number}} selected -1: no word is
   */
  show(texts, selected) {
    this.texts = texts;
    this.selected = selected;
    this.render();
  }

  /** @param {number} [width] */
  render(width = this.element.clientWidth) {
    this.width = width;
    const hadFocus = this.element.contains(document.activeElement);
    const style = getComputedStyle(this.element);
    const label = parseFloat(style.getPropertyValue("--label")) || 132;
    padding = parseFloat(style.getPropertyValue("--word-padding")) || padding;
    measure.font = `${style.getPropertyValue("--word-size")} ${style.getPropertyValue("--serif")}`;
    fill(
      this.element,
      ...this.texts.map((text, index) => {
        const widths = text.columns.map((word, column) => Math.max(widthOf(word), ...text.tracks.map((track) => widthOfLabel(track, column))));
        const lines = breakLines(widths, Math.max(LEAST_WIDTH, width - label));
        const above = lines.length === 1 && text.above ? text.above({label, widths, width}) : null;
        return element("div", {class: "text"}, above, ...lines.map((line, number) => this.table(text, index, line, number, lines.length, widths, label)));
      }),
    );
    this.mark(this.selected, true);
    if (hadFocus) this.focusSelected();
  }

  /**
   * Chooses a word, without drawing the lines again.
   * @param {{text: number, column: number}} selected
   */
  choose(selected) {
    this.mark(this.selected, false);
    this.selected = selected;
    this.mark(selected, true);
  }

  /**
   * Marks the column of a word, and the words that models saw before it; or removes
   * the marks. If no word is chosen, the first one is in the order of Tab.
   * @param {{text: number, column: number}} place
   * @param {boolean} isOn
   */
  mark({text, column}, isOn) {
    const tables = /** @type {HTMLTableElement[]} */ ([...(this.element.children[Math.max(0, text)]?.querySelectorAll("table.line") ?? [])]);
    const first = tables[0]?.querySelector("button.word");
    if (text < 0) first?.setAttribute("tabindex", isOn ? "0" : "-1");
    for (const table of text < 0 ? [] : tables) {
      const start = Number(table.dataset.start);
      for (const row of table.rows) {
        if (row.matches(".group, .strip")) continue;
        const cells = [...row.cells].slice(1);
        const cell = cells[column - start];
        cell?.classList.toggle("chosen", isOn);
        const button = cell?.querySelector("button.word");
        button?.setAttribute("aria-pressed", String(isOn));
        button?.setAttribute("tabindex", isOn ? "0" : "-1");
        const reach = Number(row.dataset.reach ?? 0);
        cells.slice(Math.max(0, column - reach - start), Math.max(0, column - start)).forEach((seen) => reach > 0 && seen.toggleAttribute("data-seen", isOn));
      }
    }
  }

  focusSelected() {
    /** @type {HTMLElement | null} */ (this.element.querySelector("button[tabindex='0']"))?.focus({preventScroll: true});
  }

  /**
   * @param {LineText} text
   * @param {number} index
   * @param {[number, number]} line
   * @param {number} number
   * @param {number} count
   * @param {number[]} widths
   * @param {number} label
   */
  table(text, index, [first, end], number, count, widths, label) {
    const columns = Array.from({length: end - first}, (_, at) => first + at);
    const colgroup = element("colgroup", {}, element("col"), ...columns.map(() => element("col")));
    const total = columns.reduce((sum, column) => sum + widths[column], label);
    const cols = /** @type {HTMLElement[]} */ ([...colgroup.children]);
    cols.forEach((col, at) => (col.style.width = `${at === 0 ? label : widths[columns[at - 1]]}px`));
    const part = count > 1 ? `, line ${number + 1} of ${count}` : "";
    const table = element(
      "table",
      {class: "line", "data-start": first},
      element("caption", {class: "hidden", text: text.title + part}),
      colgroup,
      element("thead", {}, element("tr", {}, element("td", {class: "corner"}), ...columns.map((column) => this.head(text, index, column)))),
      ...this.groups(text, columns, widths, number === 0),
    );
    table.style.width = `${total}px`;
    return table;
  }

  /** @param {LineText} text @param {number} index @param {number} column */
  head(text, index, column) {
    const word = text.columns[column];
    const button = element("button", {
      type: "button",
      class: "word",
      tabindex: -1,
      "aria-pressed": false,
      "data-text": index,
      "data-column": column,
      text: shown(word),
      click: () => this.onSelect(index, column),
    });
    if (word === END) {
      button.dataset.role = "end";
      button.append(hidden(" of the text"));
    }
    if (column >= text.drawn && word !== END) button.dataset.role = "drawn";
    if (text.marked?.[column]) button.dataset.mark = "";
    return element("th", {scope: "col"}, button);
  }

  /**
   * @param {LineText} text
   * @param {number[]} columns
   * @param {number[]} widths
   * @param {boolean} isFirst
   */
  groups(text, columns, widths, isFirst) {
    const names = [...new Set(text.tracks.map(({group}) => group))];
    const needsTitles = names.length + text.strips.length > 1;
    const groups = names.map((name) => {
      const tracks = text.tracks.filter(({group}) => group === name);
      return element(
        "tbody",
        {},
        needsTitles && groupTitle(name, columns.length),
        ...tracks.map((track) => this.row(track, columns, isFirst)),
      );
    });
    const strips = text.strips.map((strip) => {
      const picked = text.unit ?? -1;
      const numbers = unitTrack(strip, picked, text.columns.length);
      return element(
        "tbody",
        {},
        needsTitles && groupTitle(strip.group, columns.length),
        stripRow(strip, columns, widths, isFirst, picked),
        numbers && this.row(numbers, columns, isFirst),
      );
    });
    return [...groups, ...strips];
  }

  /** @param {Track} track @param {number[]} columns @param {boolean} isFirst */
  row(track, columns, isFirst) {
    const label = element(
      "th",
      {scope: "row", class: "track"},
      element("span", {class: "name", "data-tone": track.model?.tone, text: track.label}),
      isFirst && track.note !== "" && element("small", {text: track.note}),
    );
    const cells = columns.map((column) => {
      const cell = track.cells[column];
      if (!cell) return element("td");
      const shown = element("span", {class: "cell", "data-look": track.look, "data-step": cell.step, "data-sign": cell.sign, text: cell.text});
      if (cell.hue !== undefined) shown.style.setProperty("--hue", String(cell.hue));
      shown.toggleAttribute("data-hue", cell.hue !== undefined);
      return element("td", {}, shown);
    });
    return element("tr", {"data-tone": track.model?.tone, "data-dense": track.isDense === true, "data-reach": track.reach}, label, ...cells);
  }

  /** @param {KeyboardEvent} event */
  walk(event) {
    const button = /** @type {HTMLElement} */ (event.target).closest("button.word");
    if (!(button instanceof HTMLElement) || event.ctrlKey || event.altKey || event.metaKey) return;
    let text = Number(button.dataset.text);
    let column = Number(button.dataset.column);
    const last = () => this.texts[text].columns.length - 1;
    switch (event.key) {
      case "ArrowRight":
        if (column < last()) ++column;
        else if (text < this.texts.length - 1) [text, column] = [text + 1, 0];
        break;
      case "ArrowLeft":
        if (column > 0) --column;
        else if (text > 0) [text, column] = [text - 1, this.texts[text - 1].columns.length - 1];
        break;
      case "ArrowDown":
        if (text < this.texts.length - 1) column = Math.min(column, this.texts[++text].columns.length - 1);
        break;
      case "ArrowUp":
        if (text > 0) column = Math.min(column, this.texts[--text].columns.length - 1);
        break;
      case "Home":
        column = 0;
        break;
      case "End":
        column = last();
        break;
      default:
        return;
    }
    event.preventDefault();
    this.onSelect(text, column);
    this.focusSelected();
  }
}

// The width of a line on A4 paper, in CSS pixels.
const PRINT_WIDTH = 680;

/** @param {string} title @param {number} columns */
function groupTitle(title, columns) {
  return element("tr", {class: "group"}, element("th", {scope: "rowgroup", colspan: columns + 1, text: title}));
}
