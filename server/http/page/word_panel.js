// SPDX-License-Identifier: Apache-2.0
// What each model expected in the place of a word.

import {actionButton, element, fill} from "./dom.js";
import {END} from "./reading.js";
import {formatBits, formatCount, formatProbability} from "./scale.js";

/** @typedef {import("./catalogue.js").Model} Model */
/** @typedef {import("./reading.js").Reading} Reading */

const SHOWN = 8;
// Words that are less probable are shown only to fill up a short list.
const LEAST = 0.001;
const FEWEST = 3;
const CONTEXT = 7;

/**
 * @typedef {object} Place
 * @property {string[]} words of the text
 * @property {number} column of the word; the last is the end
 * @property {Model[]} models
 * @property {Map<string, Reading>} readings
 */

/**
 * @param {Element} panel
 * @param {Place} place
 * @param {{replace?: (word: string) => void, write?: () => void}} actions what the panel offers
 */
export function showWord(panel, place, actions) {
  const word = place.words[place.column] ?? END;
  const before = place.words.slice(Math.max(0, place.column - CONTEXT), place.column).join(" ");
  const dots = place.column > CONTEXT ? "… " : "";
  const most = mostProbable(place);
  fill(
    panel,
    element("h2", {class: "panel-word", text: word === END ? "end of the text" : word}),
    element("p", {class: "panel-context"}, before === "" ? "at the beginning" : "after ", before !== "" && element("q", {text: dots + before})),
    ...place.models.map((model) => modelBlock(model, place, word, most, actions.replace)),
    actions.write && element("div", {class: "panel-actions"}, actionButton("Write on from here", actions.write, {title: "Opens Write with the text up to this word"})),
  );
}

/**
 * The largest probability in the panel, so that bars of all models compare.
 * @param {Place} place
 */
function mostProbable({models, readings, column}) {
  const logProbs = models.flatMap((model) => readings.get(model.id)?.alternatives[column]?.logProbs[0] ?? []);
  return Math.exp(Math.max(-20, ...logProbs));
}

/**
 * @param {Model} model
 * @param {Place} place
 * @param {string} word
 * @param {number} most the probability of a full bar
 * @param {((word: string) => void) | undefined} replace
 */
function modelBlock(model, place, word, most, replace) {
  const reading = place.readings.get(model.id);
  const at = place.column;
  if (!reading || reading.bits[at] === undefined) return null;
  const isUnknown = reading.unknown[at];
  const own = isUnknown ? "<unk>" : word;
  const probability = 2 ** -reading.bits[at];
  const next = reading.alternatives[at] ?? {words: [], logProbs: []};
  const rows = rowsOf(next);
  const isListed = rows.some((row) => row.word === own);
  const rest = Math.max(0, 1 - rows.reduce((sum, row) => sum + row.probability, 0));
  return element(
    "section",
    {class: "expectation", "data-tone": model.tone, "aria-label": `What ${model.id} expected`},
    element(
      "h3",
      {},
      element("span", {class: "name", "data-tone": model.tone, text: model.id}),
      element("span", {class: "kind", text: model.shortKind}),
    ),
    element(
      "p",
      {class: "facts"},
      fact(isUnknown ? "unknown word" : "", formatProbability(probability), ""),
      fact("rank", formatCount(reading.ranks[at]), `of ${formatCount(Number(model.info.vocabularySize))}`),
      fact("entropy", formatBits(reading.entropies[at]), "bits"),
    ),
    element(
      "ol",
      {class: "bars"},
      ...rows.map((row) => bar(row, row.word === own, most, replace)),
      !isListed && bar({word: own, probability, rank: reading.ranks[at]}, true, most, replace),
    ),
    rest > 0.001 && element("p", {class: "rest", text: `all other words ${formatProbability(isListed ? rest : Math.max(0, rest - probability))}`}),
  );
}

/** @param {import("./api.js").NextWords} next the most probable words, best first */
function rowsOf({words, logProbs}) {
  const rows = words.slice(0, SHOWN).map((word, index) => ({word, probability: Math.exp(logProbs[index]), rank: index + 1}));
  return rows.filter(({probability}, index) => probability >= LEAST || index < FEWEST);
}

/**
 * What models expect next.
 * @param {Element} panel
 * @param {{context: string, prefix: string, models: Model[], next: Map<string, import("./api.js").NextWords>}} place
 * @param {(word: string) => void} take
 */
export function showNext(panel, {context, prefix, models, next}, take) {
  const most = Math.exp(Math.max(-20, ...[...next.values()].flatMap(({logProbs}) => logProbs[0] ?? [])));
  const words = context.split(" ").filter((word) => word !== "");
  const dots = words.length > CONTEXT ? "… " : "";
  fill(
    panel,
    element("h2", {class: "panel-word", text: prefix === "" ? "Next" : `${prefix}…`}),
    element("p", {class: "panel-context"}, words.length === 0 ? "at the beginning" : "after ", words.length > 0 && element("q", {text: dots + words.slice(-CONTEXT).join(" ")})),
    ...models.map((model) => {
      const found = next.get(model.id);
      if (!found) return null;
      const rows = rowsOf(found);
      return element(
        "section",
        {class: "expectation", "data-tone": model.tone, "aria-label": `What ${model.id} expects`},
        element("h3", {}, element("span", {class: "name", "data-tone": model.tone, text: model.id}), element("span", {class: "kind", text: model.shortKind})),
        rows.length > 0
          ? element("ol", {class: "bars"}, ...rows.map((row) => bar(row, false, most, take)))
          : element("p", {class: "rest", text: "no word begins so"}),
      );
    }),
  );
}

/** @param {string} name @param {string} value @param {string} unit */
function fact(name, value, unit) {
  return element("span", {}, name && `${name} `, element("b", {text: value}), unit && ` ${unit}`);
}

/**
 * @param {{word: string, probability: number, rank: number}} row
 * @param {boolean} isOwn
 * @param {number} most
 * @param {((word: string) => void) | undefined} replace
 */
export function bar(row, isOwn, most, replace) {
  const fillMark = element("span", {class: "bar-fill"});
  fillMark.style.width = `${Math.max(0.6, (row.probability / most) * 100)}%`;
  const name = row.word === END ? "end" : row.word;
  const isReplaceable = replace !== undefined && !isOwn && row.word !== END && !row.word.startsWith("<");
  return element(
    "li",
    {class: "bar", value: row.rank, "data-own": isOwn, "data-far": isOwn && row.rank > FEWEST && row.probability < LEAST},
    isReplaceable
      ? element("button", {type: "button", class: "bar-word", text: name, title: `Take “${name}”`, click: () => replace(row.word)})
      : element("span", {class: "bar-word", text: name}),
    element("span", {class: "bar-track", "aria-hidden": "true"}, fillMark),
    element("span", {class: "bar-value", text: formatProbability(row.probability)}),
  );
}
