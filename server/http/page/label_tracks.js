// SPDX-License-Identifier: Apache-2.0
// Tracks of the labels that a tagger gives words.

import {LAST_STEP, formatProbability} from "./scale.js";

/** @typedef {import("./api.js").TaggedText} TaggedText */
/** @typedef {import("./catalogue.js").Model} Model */
/** @typedef {import("./tracks.js").Track} Track */

// The golden angle in degrees: hues that follow each other at this distance differ,
// however many there are.
const STEP = 137.5;

/**
 * The hue of a label, in degrees: one for each label, and the same for the first and
 * the next words of a chunk (B-NP, I-NP). Words of no chunk (O) have none.
 * @param {string} label
 * @param {string[]} labels of the model; may be empty
 * @returns {number | undefined}
 */
export function hueOfLabel(label, labels) {
  if (label === "O") return undefined;
  const type = (/** @type {string} */ name) => name.replace(/^[BI]-/, "");
  const types = [...new Set(labels.filter((name) => name !== "O").map(type))];
  const at = types.indexOf(type(label));
  // ModelInfo has no labels if there are very many.
  return ((at >= 0 ? at : [...label].reduce((sum, letter) => sum + letter.charCodeAt(0), 0)) * STEP) % 360;
}

/** @param {Model} model @param {TaggedText} sentence @returns {Track} */
export function labelTrack(model, {labels}) {
  const cells = labels.map((label) => ({text: label, step: 0, hue: hueOfLabel(label, model.info.labels ?? []), value: label}));
  return {group: "labels", label: model.id, note: model.shortKind, model, cells, look: "label", reach: 0};
}

/** @param {Model} model @param {TaggedText} sentence @returns {Track} */
export function certaintyTrack(model, {logProbs}) {
  const cells = logProbs.map((logProb) => {
    const probability = Math.exp(logProb);
    return {text: formatProbability(probability), step: Math.round(probability * LAST_STEP), value: probability};
  });
  return {group: "how certain", label: model.id, note: "P of the label", model, cells, look: "gray", reach: 0};
}
