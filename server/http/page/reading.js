// SPDX-License-Identifier: Apache-2.0
// What models say about texts, asked once for each model and text.

import * as api from "./api.js";
import {bitsOf} from "./scale.js";

/** @typedef {import("./catalogue.js").Model} Model */

/**
 * What one model says about one text: a value for each column, that is each word
 * and, if the model predicts it, the end.
 * @typedef {object} Reading
 * @property {number[]} bits surprisal
 * @property {number[]} ranks
 * @property {number[]} entropies in bits
 * @property {boolean[]} unknown
 * @property {api.NextWords[]} alternatives
 * @property {number[]} lengths of the n-grams used; may be empty
 * @property {number} total bits of all columns
 * @property {number} perplexity
 */

/** The column after the last word. */
export const END = "</s>";

const ALTERNATIVES = 12;
const MOST_CACHED = 400;
// Influences are measured of this number of words before a word, against other words
// that the model gave at least this share of the probability in their places.
const MOST_INFLUENCES = 40;
const LEAST_SHARE = 0.01;

/**
 * The texts of a field: a line is a text.
 * @param {string} field
 * @returns {string[][]} words
 */
export function splitTexts(field) {
  return field
    .split("\n")
    .map((line) => line.split(/[ \t\r\f\v]+/).filter((word) => word !== ""))
    .filter((words) => words.length > 0);
}

/** @param {api.TextScore} score @returns {Reading} */
function readingOf(score) {
  const {words} = score;
  return {
    bits: words.logProbs.map(bitsOf),
    ranks: words.ranks,
    entropies: words.entropies.map((nats) => nats / Math.LN2),
    unknown: words.unknown,
    alternatives: words.alternatives,
    lengths: words.ngramLengths,
    total: bitsOf(score.logProb),
    perplexity: score.perplexity,
  };
}

/**
 * Other words that a model expected in a place.
 * @param {api.NextWords} expected
 * @param {string} own
 * @param {number} at the place
 */
function replacements({words, logProbs}, own, at) {
  return words
    .map((word, index) => ({at, word, share: Math.exp(logProbs[index])}))
    .filter(({word, share}) => share >= LEAST_SHARE && word !== own && !word.startsWith("<"));
}

/** Asks models, and remembers what they said. */
export class Reader {
  constructor() {
    /** @type {Map<string, any>} */
    this.cache = new Map();
  }

  /**
   * @template Value
   * @param {string} key
   * @param {Value} value
   */
  remember(key, value) {
    if (this.cache.size >= MOST_CACHED) this.cache.delete(/** @type {string} */ (this.cache.keys().next().value));
    this.cache.set(key, value);
    return value;
  }

  /**
   * Reads texts with one model.
   * @param {Model} model
   * @param {string[][]} texts
   * @param {AbortSignal} [signal]
   * @param {string} [source] what a translation model translates
   * @returns {Promise<Reading[]>}
   */
  async read(model, texts, signal, source) {
    return this.each(["read", model.id, model.info.version, source ?? ""], texts, async (missing) => {
      const scores = await api.score(
        {model: model.id, texts: missing, source, alternatives: ALTERNATIVES, ranks: true, ngramLengths: model.info.family === "ngram" || undefined},
        signal,
      );
      return scores.map(readingOf);
    });
  }

  /**
   * The labels that a tagger gives the words of texts.
   * @param {Model} model
   * @param {string[][]} texts
   * @param {AbortSignal} [signal]
   * @returns {Promise<api.TaggedText[]>}
   */
  tag(model, texts, signal) {
    return this.each(["tag", model.id, model.info.version], texts, (missing) => api.tag({model: model.id, texts: missing, alternatives: ALTERNATIVES}, signal));
  }

  /**
   * The labels that a classifier gives texts.
   * @param {Model} model
   * @param {string[][]} texts
   * @param {AbortSignal} [signal]
   * @returns {Promise<api.LabelScores[]>}
   */
  classify(model, texts, signal) {
    return this.each(["classify", model.id, model.info.version], texts, (missing) => api.classify({model: model.id, texts: missing}, signal));
  }

  /**
   * What is known of each text; asks once about those of which nothing is.
   * @template Value
   * @param {string[]} question what is asked
   * @param {string[][]} texts
   * @param {(missing: string[][]) => Promise<Value[]>} ask
   * @returns {Promise<Value[]>}
   */
  async each(question, texts, ask) {
    const keyOf = (/** @type {string[]} */ words) => [...question, words.join(" ")].join("\n");
    const missing = texts.filter((words, index) => !this.cache.has(keyOf(words)) && texts.indexOf(words) === index);
    const found = new Map(texts.map((words) => [words, this.cache.get(keyOf(words))]));
    if (missing.length > 0) {
      const values = await ask(missing);
      missing.forEach((words, index) => found.set(words, this.remember(keyOf(words), values[index])));
    }
    return texts.map((words) => found.get(words));
  }

  /**
   * By how many bits each earlier word makes the word at a column less surprising
   * than if one knew only what the model expected in the earlier word's place:
   *   log P(word | text) − log sum_v P(v) P(word | text with v in the place)
   * with v from the earlier word itself and the most probable others (prediction
   * difference analysis: Robnik-Šikonja and Kononenko 2008).
   * @param {Model} model that reads from left to right
   * @param {string[]} words
   * @param {number} column
   * @param {AbortSignal} [signal]
   * @returns {Promise<(number | null)[]>} null where it is not known
   */
  async influences(model, words, column, signal) {
    const key = ["influence", model.id, model.info.version, column, words.join(" ")].join("\n");
    if (this.cache.has(key)) return this.cache.get(key);
    const [reading] = await this.read(model, [words], signal);
    const first = Math.max(0, column - MOST_INFLUENCES);
    const variants = words.slice(0, column).flatMap((word, at) => (at < first ? [] : replacements(reading.alternatives[at], word, at)));
    const texts = variants.map(({at, word}) => words.slice(0, column + 1).map((own, place) => (place === at ? word : own)));
    const scores = texts.length > 0 ? await api.score({model: model.id, texts, includeEnd: column === words.length}, signal) : [];
    const sums = words.map((_, at) => {
      const own = 2 ** -reading.bits[at];
      return {share: own, probability: own * 2 ** -reading.bits[column]};
    });
    variants.forEach(({at, share}, index) => {
      sums[at].share += share;
      sums[at].probability += share * Math.exp(scores[index].words.logProbs[column]);
    });
    const values = sums.map(({share, probability}, at) => (at < first || at >= column ? null : Math.log2(share / probability) - reading.bits[column]));
    return this.remember(key, values);
  }

  /**
   * The gates and states of a recurrent model; null if the server does not show them.
   * @param {Model} model
   * @param {string[]} words
   * @param {number} units
   * @param {AbortSignal} [signal]
   * @param {string} [source]
   * @returns {Promise<api.Inspection | null>}
   */
  async inspect(model, words, units, signal, source) {
    const key = ["inspect", model.id, model.info.version, units, source ?? "", words.join(" ")].join("\n");
    if (this.cache.has(key)) return this.cache.get(key);
    try {
      return this.remember(key, await api.inspect({model: model.id, text: words.join(" "), source, units}, signal));
    } catch (error) {
      if (error instanceof api.ApiError && [404, 501].includes(error.code)) return this.remember(key, null);
      throw error;
    }
  }
}

/** Runs one piece of work at a time: a newer one cancels the older. */
export class Latest {
  constructor() {
    this.controller = new AbortController();
  }

  cancel() {
    this.controller.abort();
    this.controller = new AbortController();
  }

  /**
   * Returns what the work returns; undefined if newer work came.
   * @template Value
   * @param {(signal: AbortSignal) => Promise<Value>} work
   * @returns {Promise<Value | undefined>}
   */
  async run(work) {
    this.cancel();
    const {signal} = this.controller;
    try {
      const value = await work(signal);
      return signal.aborted ? undefined : value;
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    }
  }
}
