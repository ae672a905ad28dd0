// SPDX-License-Identifier: Apache-2.0

import {element} from "./dom.js";

// An edit is answered when this time has passed without another, in milliseconds.
const PAUSE = 40;

/**
 * A field for a text that is as high as its text.
 * @param {string} label
 * @param {() => void} onEdit
 * @param {{placeholder?: string, id?: string}} [options]
 */
export function growingField(label, onEdit, {placeholder = "Type or paste a text"} = {}) {
  const area = element("textarea", {class: "text-field", rows: 1, "aria-label": label, placeholder, spellcheck: "false", autocapitalize: "off", autocomplete: "off"});
  let timer = 0;
  const grow = () => {
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
  };
  area.addEventListener("input", () => {
    grow();
    clearTimeout(timer);
    timer = window.setTimeout(onEdit, PAUSE);
  });
  new ResizeObserver(grow).observe(area);
  return {
    element: element("div", {class: "field"}, area),
    area,
    value: () => area.value,
    /** @param {string} text */
    set: (text) => {
      area.value = text;
      requestAnimationFrame(grow);
    },
    focus: () => area.focus(),
  };
}
