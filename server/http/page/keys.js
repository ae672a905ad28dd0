// SPDX-License-Identifier: Apache-2.0
// Keys of one character, and the list of them. They can be switched off, as WCAG
// 2.1.4 asks, because speech input and some screen readers press them by chance.

import {actionButton, element, fill} from "./dom.js";

/** @typedef {{key: string, name: string, act: () => void}} Key */

const SETTING = "lmserve.keys";

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && (target.matches("textarea, select, input:not([type=range]):not([type=checkbox])") || target.isContentEditable);
}

export class Keys {
  /** @param {() => {title: string, keys: Key[]}[]} list what applies now */
  constructor(list) {
    this.list = list;
    this.isOn = localStorage.getItem(SETTING) !== "off";
    this.dialog = element("dialog", {class: "help", "aria-labelledby": "help-title"});
    document.body.append(this.dialog);
    document.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    if (event.key === "Escape" && isTyping(event.target)) /** @type {HTMLElement} */ (event.target).blur();
    if (isTyping(event.target) || this.dialog.open) return;
    if (!this.isOn) return;
    const found = this.list().flatMap(({keys}) => keys).find(({key}) => key === event.key);
    if (!found) return;
    event.preventDefault();
    found.act();
  }

  showHelp() {
    const toggle = element("input", {type: "checkbox", checked: this.isOn});
    toggle.addEventListener("change", () => {
      this.isOn = toggle.checked;
      localStorage.setItem(SETTING, this.isOn ? "on" : "off");
    });
    fill(
      this.dialog,
      element("h2", {id: "help-title", text: "Keys"}),
      element(
        "div",
        {class: "help-groups"},
        ...this.list().map(({title, keys}) =>
          element(
            "section",
            {},
            element("h3", {text: title}),
            element("dl", {}, ...keys.map(({key, name}) => element("div", {}, element("dt", {}, element("kbd", {text: key})), element("dd", {text: name})))),
          ),
        ),
      ),
      element("label", {class: "check"}, toggle, " Keys of one character are on"),
      actionButton("Close", () => this.dialog.close()),
    );
    this.dialog.showModal();
  }
}
