// SPDX-License-Identifier: Apache-2.0
// What one sees, as the fragment of the address: "#read?text=the+cat&at=0.1". A
// browser never sends the fragment to the server.

/** @typedef {{view: string, values: Map<string, string>}} Address */

/** @param {string} text */
function encode(text) {
  return encodeURIComponent(text).replace(/%20/g, "+").replace(/%2C/g, ",").replace(/%40/g, "@").replace(/%3A/g, ":");
}

/**
 * Decodes a part of a fragment. A part that no encoder wrote stands for itself.
 * @param {string} text
 */
function decode(text) {
  const spaced = text.replace(/\+/g, " ");
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}

/**
 * Reads a fragment, with or without its "#".
 * @param {string} fragment
 * @returns {Address}
 */
export function readAddress(fragment) {
  const text = fragment.replace(/^#/, "");
  const mark = text.indexOf("?");
  const view = mark < 0 ? text : text.slice(0, mark);
  const values = new Map();
  for (const pair of mark < 0 ? [] : text.slice(mark + 1).split("&")) {
    const equals = pair.indexOf("=");
    if (equals > 0) values.set(decode(pair.slice(0, equals)), decode(pair.slice(equals + 1)));
  }
  return {view: decode(view), values};
}

/**
 * Writes a fragment with its "#". Empty values are left out.
 * @param {string} view
 * @param {Map<string, string>} values
 */
export function writeAddress(view, values) {
  const pairs = [...values].filter(([, value]) => value !== "").map(([name, value]) => `${encode(name)}=${encode(value)}`);
  return `#${view}${pairs.length > 0 ? "?" + pairs.join("&") : ""}`;
}

/**
 * Reads a list of names that commas separate; the default if there is none.
 * @param {string | undefined} value
 * @param {string[]} otherwise
 */
export function readList(value, otherwise) {
  return value === undefined ? otherwise : value.split(",").filter((name) => name !== "");
}

/**
 * Reads a number within bounds; the default if it is none.
 * @param {string | undefined} value
 * @param {number} least
 * @param {number} most
 * @param {number} otherwise
 */
export function readNumber(value, least, most, otherwise) {
  const number = value === undefined || value.trim() === "" ? NaN : Number(value);
  return Number.isFinite(number) ? Math.min(most, Math.max(least, number)) : otherwise;
}
