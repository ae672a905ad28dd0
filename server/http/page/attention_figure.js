// SPDX-License-Identifier: Apache-2.0
// Attention as ribbons between the words of a source, above, and of a translation,
// below: the more attention, the wider.

import {element, graphic} from "./dom.js";

const HEIGHT = 150;
const WIDEST = 16;
const LEAST = 0.03;

/**
 * @param {object} picture
 * @param {string[]} picture.source its words, then its end
 * @param {number[]} picture.sourceCenters
 * @param {number[]} picture.centers of the columns of the translation
 * @param {number[][]} picture.attention a row for each column of the translation
 * @param {number} picture.chosen a column of the translation; -1: none
 * @param {number} picture.width
 */
export function attentionFigure({source, sourceCenters, centers, attention, chosen, width}) {
  const svg = graphic("svg", {class: "ribbons", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": "Attention between source and translation; the tracks below have the numbers"});
  const paths = attention.slice(0, centers.length).flatMap((weights, column) =>
    weights.map((weight, from) => ({weight, column, from})).filter(({weight, from}) => weight >= LEAST && from < sourceCenters.length),
  );
  paths.sort((a, b) => Number(a.column === chosen) - Number(b.column === chosen) || a.weight - b.weight);
  for (const {weight, column, from} of paths) {
    const path = `M ${sourceCenters[from]} 0 C ${sourceCenters[from]} ${HEIGHT * 0.5}, ${centers[column]} ${HEIGHT * 0.5}, ${centers[column]} ${HEIGHT}`;
    svg.append(
      graphic("path", {
        d: path,
        "stroke-width": Math.max(1, weight * WIDEST).toFixed(1),
        "data-state": chosen < 0 ? null : column === chosen ? "chosen" : "other",
        "data-weight": Math.ceil(weight * 4),
      }, graphic("title", {text: `${source[from]}: ${weight.toFixed(2)}`})),
    );
  }
  return svg;
}

/**
 * The source as a row of words, each at its place.
 * @param {string[]} source
 * @param {number[]} centers
 * @param {number[] | undefined} weights of the chosen word
 * @param {number} width
 */
export function sourceRow(source, centers, weights, width) {
  const row = element("div", {class: "source-row"});
  row.style.width = `${width}px`;
  source.forEach((word, at) => {
    const item = element("span", {class: "source-word", "data-lit": weights !== undefined && weights[at] >= 0.15, text: word});
    item.style.left = `${centers[at]}px`;
    row.append(item);
  });
  return row;
}
