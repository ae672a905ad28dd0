// SPDX-License-Identifier: Apache-2.0
// What is served, as the views need it.

/** @typedef {import("./api.js").ModelInfo} ModelInfo */

/**
 * @typedef {object} Model
 * @property {string} id what requests call it: NAME, or NAME@VERSION if NAME alone means another version
 * @property {string} kind what it is, for people: "5-gram", "LSTM, 1 layer of 100"
 * @property {string} shortKind "5-gram", "LSTM"
 * @property {"text" | "gap" | "translation" | "tagger" | "classifier" | "reranker"} role
 * @property {number} reach how many words before a word it sees; Infinity: all; 0: it sees others, too
 * @property {boolean} isRecurrent it has gates and states
 * @property {number} tone 0 to 5: the mark that it has in all views
 * @property {ModelInfo} info
 */

const TONES = 6;

/** @param {ModelInfo} info @returns {Model["role"]} */
function roleOf(info) {
  if (info.family === "reranker") return "reranker";
  if (info.tagger) return "tagger";
  if (info.classifier) return "classifier";
  if (info.translation) return "translation";
  return info.bidirectional ? "gap" : "text";
}

/** @param {ModelInfo} info */
function shortKindOf(info) {
  const {family, properties} = info;
  const cell = (properties.cell ?? "").toUpperCase();
  switch (family) {
    case "ngram":
      return properties.order ? `${properties.order}-gram` : "n-gram";
    case "window":
      return properties.window ? `window of ${properties.window}` : "window";
    case "recurrent":
      return cell || "recurrent";
    case "bidirectional":
      return `bidirectional ${cell}`.trim();
    case "translation":
      return `${cell || "recurrent"} translation`;
    case "tagger":
    case "classifier":
      return `${cell} ${family}`.trim();
    default:
      return family;
  }
}

/** @param {ModelInfo} info */
function kindOf(info) {
  const {units, layers} = info.properties;
  const size = units ? `, ${layers ?? 1} × ${units}` : "";
  return shortKindOf(info) + size;
}

/** @param {ModelInfo} info */
function reachOf(info) {
  if (info.family === "ngram") return Number(info.properties.order ?? 1) - 1;
  if (info.family === "window") return Number(info.properties.window ?? Infinity);
  return roleOf(info) === "text" ? Infinity : 0;
}

/**
 * @param {ModelInfo[]} infos
 * @returns {Model[]} in the order of the list
 */
export function catalogueOf(infos) {
  const models = infos.map((info) => ({
    id: info.isDefault ? info.name : `${info.name}@${info.version}`,
    kind: kindOf(info),
    shortKind: shortKindOf(info),
    role: roleOf(info),
    reach: reachOf(info),
    isRecurrent: ["recurrent", "bidirectional", "translation"].includes(info.family),
    tone: 0,
    info,
  }));
  byReach(models).forEach((model, place) => (model.tone = place % TONES));
  return models;
}

/** @param {Model} model */
function rankOfKind({info}) {
  const cells = ["lstm", "gru", "rnn"];
  if (info.family !== "recurrent") return 0;
  return cells.indexOf(info.properties.cell ?? "") + 1;
}

/**
 * The models to begin with: the one that sees least, the one that sees most, and
 * one between them, an RNN if there is one.
 * @param {Model[]} models
 * @returns {string[]} ids
 */
export function contrastingModels(models) {
  const readers = byReach(models.filter((model) => model.role === "text"));
  const between = readers.slice(1, -1);
  const middle = between.find(({info}) => info.properties.cell === "rnn") ?? between[0];
  const picked = [readers[0], middle, readers[readers.length - 1]].filter((model) => model !== undefined);
  return [...new Set(picked.map((model) => model.id))];
}

/**
 * Orders models by what they see: n-grams first, recurrent ones last.
 * @param {Model[]} models
 */
export function byReach(models) {
  const families = ["ngram", "window", "mixture", "recurrent", "cache", "bidirectional", "translation", "tagger", "classifier", "reranker"];
  const place = (/** @type {Model} */ model) => families.indexOf(model.info.family) * 10 - rankOfKind(model);
  return [...models].sort((a, b) => place(a) - place(b));
}
