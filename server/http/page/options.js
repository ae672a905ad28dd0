// SPDX-License-Identifier: Apache-2.0
// Rows of switches: models, and tracks.

import {element, toggleButton} from "./dom.js";

/** @typedef {import("./catalogue.js").Model} Model */

/**
 * A named row of switches.
 * @param {string} name
 * @param {...(Node | null | false)} items
 */
export function optionRow(name, ...items) {
  const label = element("span", {class: "option-name", text: name});
  return element("div", {class: "options", role: "group", "aria-label": name}, label, element("div", {class: "option-items"}, ...items));
}

/**
 * @param {Model[]} models
 * @param {string[]} chosen ids
 * @param {(ids: string[]) => void} onChange
 */
export function modelSwitches(models, chosen, onChange) {
  return models.map((model) => {
    const isOn = chosen.includes(model.id);
    const toggle = () => onChange(isOn ? chosen.filter((id) => id !== model.id) : [...chosen, model.id]);
    const button = toggleButton(model.id, isOn, toggle, {"data-tone": model.tone, title: model.kind});
    button.append(element("small", {text: model.shortKind}));
    return button;
  });
}

/**
 * @param {{id: string, name: string, key?: string, help?: string}[]} items
 * @param {string[]} chosen
 * @param {(ids: string[]) => void} onChange
 */
export function switches(items, chosen, onChange) {
  return items.map(({id, name, key, help}) => {
    const isOn = chosen.includes(id);
    const toggle = () => onChange(isOn ? chosen.filter((other) => other !== id) : [...chosen, id]);
    return toggleButton(name, isOn, toggle, {"data-id": id, title: [help, key && `key ${key}`].filter(Boolean).join(" · ")});
  });
}

/**
 * A choice of one of some.
 * @param {string} label for screen readers
 * @param {{value: string, text: string}[]} options
 * @param {string} chosen
 * @param {(value: string) => void} onChange
 */
export function choice(label, options, chosen, onChange) {
  const select = element("select", {"aria-label": label}, ...options.map(({value, text}) => element("option", {value, text, selected: value === chosen})));
  select.addEventListener("change", () => onChange(select.value));
  return select;
}

/**
 * A number that can be dragged, with its value.
 * @param {string} name
 * @param {{least: number, most: number, step: number, value: number, format?: (value: number) => string}} range
 * @param {(value: number) => void} onChange
 */
export function slider(name, {least, most, step, value, format = String}, onChange) {
  const output = element("output", {text: format(value)});
  const input = element("input", {type: "range", min: least, max: most, step, value, "aria-label": name});
  input.addEventListener("input", () => {
    output.textContent = format(Number(input.value));
    onChange(Number(input.value));
  });
  return element("label", {class: "slider"}, element("span", {text: name}), input, output);
}

/**
 * Remembers which switch of some controls has the focus, to give it back after
 * they were made again.
 * @param {Element} controls
 */
export function focusMark(controls) {
  const active = document.activeElement;
  const index = active && controls.contains(active) ? [...controls.querySelectorAll("button, select, input")].indexOf(active) : -1;
  return {
    restore: () => {
      if (index >= 0) /** @type {HTMLElement | undefined} */ (controls.querySelectorAll("button, select, input")[index])?.focus();
    },
  };
}
