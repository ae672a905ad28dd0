// SPDX-License-Identifier: Apache-2.0
// Candidates of a system that proposes several texts, with their own features:
// "i have a book . ||| tm=-2".

/**
 * @typedef {{text: string, features: Record<string, number>}} Candidate
 */

const SEPARATOR = "|||";

/**
 * Reads candidates, one to a line. A feature that a candidate lacks is 0.
 * @param {string} lines
 * @returns {Candidate[]}
 */
export function readCandidates(lines) {
  const candidates = lines
    .split("\n")
    .map((line) => line.split(SEPARATOR))
    .filter(([text, features]) => text.trim() !== "" || features !== undefined)
    .map(([text, features = ""]) => ({text: text.trim().replace(/\s+/g, " "), features: readFeatures(features)}));
  const names = new Set(candidates.flatMap(({features}) => Object.keys(features)));
  for (const {features} of candidates) {
    for (const name of names) features[name] ??= 0;
  }
  return candidates;
}

/** @param {string} text "tm=-2 length=4" */
function readFeatures(text) {
  /** @type {Record<string, number>} */
  const features = {};
  for (const pair of text.split(/\s+/)) {
    const [name, value] = pair.split("=");
    if (name !== "" && value !== undefined && value !== "" && Number.isFinite(Number(value))) features[name] = Number(value);
  }
  return features;
}

/**
 * Writes candidates as readCandidates() reads them. An empty text gets the
 * separator, because an empty line is none.
 * @param {Candidate[]} candidates
 */
export function writeCandidates(candidates) {
  return candidates
    .map(({text, features}) => {
      const pairs = Object.entries(features).map(([name, value]) => `${name}=${value}`);
      return pairs.length > 0 || text === "" ? `${text} ${SEPARATOR} ${pairs.join(" ")}`.trim() : text;
    })
    .join("\n");
}

/**
 * Orders candidates by the weighted sums of their features, the best first; equal
 * ones stay in their order.
 * @param {number[][]} rows features of each candidate
 * @param {number[]} weights
 * @returns {{index: number, score: number}[]}
 */
export function rankCandidates(rows, weights) {
  return rows
    .map((features, index) => ({index, score: features.reduce((sum, value, at) => sum + value * weights[at], 0)}))
    .sort((a, b) => b.score - a.score || a.index - b.index);
}

/**
 * Reads weights: "demo=1,tm=0.5".
 * @param {string | undefined} text
 * @returns {Map<string, number>}
 */
export function readWeights(text) {
  const pairs = (text ?? "").split(",").map((pair) => pair.split("="));
  return new Map(pairs.filter(([name, value]) => name && value && Number.isFinite(Number(value))).map(([name, value]) => [name, Number(value)]));
}

/** @param {Map<string, number>} weights */
export function writeWeights(weights) {
  return [...weights].map(([name, value]) => `${name}=${Number(value.toFixed(3))}`).join(",");
}
