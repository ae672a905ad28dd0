// SPDX-License-Identifier: Apache-2.0
// Makes elements without markup in strings, as the content security policy wants.

/** @typedef {Node | string | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {Element} node
 * @param {Record<string, any>} properties
 */
function setProperties(node, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("aria-")) node.setAttribute(name, String(value));
    else if (value === false) continue;
    else if (name === "text") node.textContent = value;
    else if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * Makes an element. A property that is a function listens to the event of its
 * name; "text" is the text; all others are attributes, without those that are
 * null or undefined. Attributes but those of ARIA may be false, which means none.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  setProperties(node, properties);
  append(node, children);
  return node;
}

/**
 * Makes an element of SVG; see element().
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function graphic(tag, properties = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  setProperties(node, properties);
  append(node, children);
  return /** @type {SVGElement} */ (node);
}

/**
 * @param {Element} node
 * @param {Child[]} children
 */
function append(node, children) {
  for (const child of children) {
    if (child) node.append(child);
  }
}

/**
 * Replaces what an element contains.
 * @param {Element} node
 * @param {...Child} children
 */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
}

/**
 * A button that is on or off.
 * @param {string} text
 * @param {boolean} isOn
 * @param {() => void} toggle
 * @param {Record<string, any>} [properties]
 */
export function toggleButton(text, isOn, toggle, properties = {}) {
  return element("button", {type: "button", class: "toggle", "aria-pressed": isOn, text, click: toggle, ...properties});
}

/**
 * A button that does something at once.
 * @param {string} text
 * @param {() => void} act
 * @param {Record<string, any>} [properties]
 */
export function actionButton(text, act, properties = {}) {
  return element("button", {type: "button", class: "action", text, click: act, ...properties});
}

/**
 * Text for screen readers alone.
 * @param {string} text
 */
export function hidden(text) {
  return element("span", {class: "hidden", text});
}
