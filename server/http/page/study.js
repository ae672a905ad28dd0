// SPDX-License-Identifier: Apache-2.0
// What the views that study texts have in common: a column with a field, controls,
// messages and lines of words, and a panel beside it.

import {element, fill} from "./dom.js";
import {LineView} from "./line_view.js";
import {focusMark, optionRow} from "./options.js";
import {Latest} from "./reading.js";
import {growingField} from "./text_field.js";

/** @typedef {import("./page.js").Page} Page */

export class Study {
  /**
   * @param {Page} page
   * @param {object} parts
   * @param {string} parts.name of the view
   * @param {string} parts.label of the field
   * @param {string} [parts.placeholder]
   * @param {() => void} parts.onEdit the text was edited
   * @param {(text: number, column: number) => void} parts.onSelect a word was chosen
   */
  constructor(page, {name, label, placeholder, onEdit, onSelect}) {
    this.page = page;
    this.field = growingField(label, onEdit, {placeholder});
    this.lines = new LineView(onSelect);
    this.controls = element("div", {class: "controls"});
    this.message = element("p", {class: "message", role: "status"});
    this.panel = element("aside", {class: "panel", "aria-label": "What was expected"});
    this.column = element("div", {class: "study"});
    this.element = element("div", {class: `view ${name}`}, this.column, this.panel);
    this.asking = new Latest();
    this.looking = new Latest();
  }

  /** Keys that all these views have. */
  studyKeys() {
    return [
      {key: "e", name: "edit the text", act: () => this.field.focus()},
      {key: "w", name: "walk the words: then ← → ↑ ↓", act: () => this.lines.focusSelected()},
      {key: "p", name: "print", act: () => print()},
    ];
  }

  /**
   * Does work that asks the server, instead of the work before. Returns undefined
   * if newer work came, or if it failed and the view says why.
   * @template Value
   * @param {Latest} latest
   * @param {(signal: AbortSignal) => Promise<Value>} work
   * @returns {Promise<Value | undefined>}
   */
  async ask(latest, work) {
    try {
      const found = await this.page.busy(latest.run(work));
      if (found !== undefined) this.message.textContent = "";
      return found;
    } catch (error) {
      this.page.fail(error, this.message);
      return undefined;
    }
  }

  /**
   * Replaces switches, and leaves the focus where it was.
   * @param {Element} place
   * @param {...import("./dom.js").Child} children
   */
  replaceControls(place, ...children) {
    const mark = focusMark(place);
    fill(place, ...children);
    mark.restore();
  }

  /**
   * @template {{title: string, text: string}} Example
   * @param {Example[]} examples
   * @param {(example: Example) => void} show
   */
  exampleRow(examples, show) {
    const now = this.field.value();
    const buttons = examples.map((each) =>
      element("button", {type: "button", class: "example", text: each.title, "aria-current": each.text === now, click: () => show(each)}),
    );
    return optionRow("Examples", ...buttons);
  }

  /**
   * The example after the one that is shown.
   * @template {{text: string}} Example
   * @param {Example[]} examples
   */
  nextOf(examples) {
    const now = examples.findIndex(({text}) => text === this.field.value());
    return examples[(now + 1) % examples.length];
  }

  /** Copies a table. @param {string} csv */
  async copy(csv) {
    await navigator.clipboard.writeText(csv);
    this.page.announce("Copied as CSV.", true);
  }

  close() {
    this.asking.cancel();
    this.looking.cancel();
  }
}
