// SPDX-License-Identifier: Apache-2.0
// Tracks: what hangs under the words of a text. A track is a model times a
// quantity; it has a cell for each column.

import {formatBits, formatCount, formatRank, formatSigned, stepOfBits, stepOfDifference, stepOfRank} from "./scale.js";

/** @typedef {import("./catalogue.js").Model} Model */
/** @typedef {import("./reading.js").Reading} Reading */

/**
 * @typedef {{text: string, step: number, sign?: "more" | "less", hue?: number, value: number | string | null}} Cell
 * @typedef {object} Track
 * @property {string} group the title of the tracks of one quantity
 * @property {string} label
 * @property {string} note
 * @property {Model | null} model
 * @property {(Cell | null)[]} cells null: the model says nothing there
 * @property {"tint" | "gray" | "signed" | "word" | "label"} look
 * @property {boolean} [isDense] one of many rows that belong together
 * @property {number} reach how many words before a word it depends on
 */

/**
 * A quantity that tracks show.
 * @typedef {object} Quantity
 * @property {string} id
 * @property {string} name
 * @property {string} key that switches it
 * @property {string} help
 */

/** @type {Quantity[]} */
export const QUANTITIES = [
  {id: "surprisal", name: "surprisal", key: "s", help: "−log₂ P of the word, given the words before it"},
  {id: "rank", name: "rank", key: "r", help: "how many words the model found at least as probable"},
  {id: "entropy", name: "entropy", key: "h", help: "how uncertain the model was before the word"},
  {id: "luck", name: "luck", key: "l", help: "surprisal − entropy: above 0, the word is rarer than the model's words are here on average"},
  {id: "difference", name: "difference", key: "d", help: "surprisal of one model less that of another"},
  {id: "influence", name: "influence", key: "i", help: "how many bits each earlier word takes off the surprisal of the chosen word, " +
    "compared with knowing only what the model expected in its place"},
  {id: "unknown", name: "unknown words", key: "u", help: "words that are not in a model's vocabulary"},
  {id: "context", name: "context used", key: "k", help: "how many words before it the n-gram model used"},
];

/** @param {number} bits @returns {Cell} */
const bitsCell = (bits) => ({text: formatBits(bits), step: stepOfBits(bits), value: bits});

/** @param {number} rank @returns {Cell} */
const rankCell = (rank) => ({text: formatRank(rank), step: stepOfRank(rank), value: rank});

/** @param {number | null} bits @returns {Cell | null} */
function signedCell(bits) {
  if (bits === null || Number.isNaN(bits)) return null;
  const step = stepOfDifference(bits);
  return {text: step === 0 ? "0" : formatSigned(bits), step, sign: bits > 0 ? "more" : "less", value: bits};
}

/** @param {Reading} reading */
function summary(reading) {
  return `${formatBits(reading.total)} bits · PPL ${formatBits(reading.perplexity)}`;
}

/**
 * The tracks of one text.
 * @param {object} input
 * @param {Model[]} input.models in the order to show them
 * @param {Map<string, Reading>} input.readings by model
 * @param {string[]} input.quantities ids, which are shown in the order of QUANTITIES
 * @param {[string, string]} input.pair the models whose difference is shown
 * @param {{word: string, values: Map<string, (number | null)[]>} | null} input.influence by model
 * @returns {Track[]}
 */
export function tracksOf({models, readings, quantities, pair, influence}) {
  /** @type {Track[]} */
  const tracks = [];
  /**
   * @param {string} group
   * @param {Track["look"]} look
   * @param {(reading: Reading) => (Cell | null)[]} cells
   * @param {(model: Model, reading: Reading) => string} [note]
   */
  const perModel = (group, look, cells, note = (model) => model.shortKind) => {
    for (const model of models) {
      const reading = readings.get(model.id);
      if (!reading) continue;
      tracks.push({group, label: model.id, note: note(model, reading), model, cells: cells(reading), look, reach: model.reach});
    }
  };
  for (const {id} of QUANTITIES.filter(({id}) => quantities.includes(id))) {
    switch (id) {
      case "surprisal":
        perModel("surprisal, bits", "tint", (reading) => reading.bits.map(bitsCell), (_, reading) => summary(reading));
        break;
      case "rank":
        perModel("rank", "tint", (reading) => reading.ranks.map(rankCell), (model) => `of ${formatCount(Number(model.info.vocabularySize))} words`);
        break;
      case "entropy":
        perModel("entropy, bits", "gray", (reading) => reading.entropies.map(bitsCell));
        break;
      case "luck":
        perModel("luck: surprisal − entropy, bits", "signed", (reading) => reading.bits.map((bits, at) => signedCell(bits - reading.entropies[at])));
        break;
      case "unknown":
        perModel("unknown words", "word", (reading) =>
          reading.unknown.map((is) => (is ? {text: "unknown", step: 4, value: "unknown"} : null)));
        break;
      case "context":
        for (const model of models) {
          const lengths = readings.get(model.id)?.lengths ?? [];
          if (lengths.length === 0) continue;
          const cells = lengths.map((length) => ({text: String(Math.max(0, length - 1)), step: Math.min(7, Math.max(0, length - 1)), value: Math.max(0, length - 1)}));
          tracks.push({group: "context used, words", label: model.id, note: model.shortKind, model, cells, look: "gray", reach: 0});
        }
        break;
      case "difference":
        addDifference(tracks, readings, pair);
        break;
      case "influence":
        addInfluences(tracks, models, influence);
        break;
    }
  }
  return tracks;
}

/**
 * @param {Track[]} tracks
 * @param {Map<string, Reading>} readings
 * @param {[string, string]} pair
 */
function addDifference(tracks, readings, [first, second]) {
  const a = readings.get(first);
  const b = readings.get(second);
  if (!a || !b || first === second) return;
  const cells = Array.from({length: Math.max(a.bits.length, b.bits.length)}, (_, at) => {
    const difference = a.bits[at] - b.bits[at];
    return signedCell(a.bits[at] === b.bits[at] ? 0 : difference);
  });
  const sum = a.total - b.total;
  const note = Number.isFinite(sum) ? `${formatSigned(sum)} bits in all` : "";
  tracks.push({group: "difference of surprisal, bits", label: `${first} − ${second}`, note, model: null, cells, look: "signed", reach: 0});
}

/**
 * @param {Track[]} tracks
 * @param {Model[]} models
 * @param {{word: string, values: Map<string, (number | null)[]>} | null} influence
 */
function addInfluences(tracks, models, influence) {
  if (!influence) return;
  for (const model of models) {
    const values = influence.values.get(model.id);
    if (!values) continue;
    tracks.push({
      group: `influence on “${influence.word}”, bits`,
      label: model.id,
      note: Number.isFinite(model.reach) ? `sees ${model.reach} words` : "sees all words",
      model,
      cells: values.map(signedCell),
      look: "signed",
      reach: 0,
    });
  }
}

/**
 * Tracks as rows of a table, words as columns.
 * @param {string[]} columns
 * @param {Track[]} tracks
 * @returns {(string | number | null)[][]}
 */
export function tableOf(columns, tracks) {
  const head = ["quantity", "model", ...columns];
  const rows = tracks.map((track) => [
    track.group,
    track.label,
    ...columns.map((_, at) => track.cells[at]?.value ?? null),
  ]);
  return [head, ...rows];
}
