// SPDX-License-Identifier: Apache-2.0
// The wire: the only module that knows routes and messages. docs/http.md and
// proto/lm/v1 define them. Numbers that JSON has no form for, such as "-Infinity",
// arrive as strings and leave this module as numbers.

/**
 * @typedef {{name: string, version: string, isDefault: boolean, family: string, properties: Record<string, string>,
 *   aliases: string[], vocabularySize: string, stateBytes: string, fileBytes: string, loadSeconds: number,
 *   bidirectional: boolean, translation: boolean, tagger: boolean, classifier: boolean, labels: string[],
 *   embeddingDimensions: number, reranker?: any}} ModelInfo
 * @typedef {{models: ModelInfo[], refused: {name: string, version: string, reason: string}[],
 *   loading: {name: string, version: string}[],
 *   incomplete: {name: string, version: string, reason: string}[]}} ModelList
 * @typedef {{words: string[], ids: number[], logProbs: number[]}} NextWords
 * @typedef {{words: string[], logProbs: number[], unknown: boolean[], alternatives: NextWords[], ranks: number[],
 *   entropies: number[], ngramLengths: number[]}} WordScores
 * @typedef {{logProb: number, wordCount: number, unknownCount: number, perplexity: number, words: WordScores}} TextScore
 * @typedef {{words: string[], logProbs: number[], logProb: number, score: number, ended: boolean}} Hypothesis
 * @typedef {{labels: string[], logProbs: number[]}} LabelScores labels, the most probable first
 * @typedef {{labels: string[], unknown: boolean[], logProbs: number[], alternatives: LabelScores[]}} TaggedText a value
 *   for each word
 * @typedef {{quantity: string, values: Float32Array}} QuantityValues values (positions, units)
 * @typedef {{depth: number, isBackward: boolean, readsSource: boolean, firstWord: number, units: number[],
 *   positions: number, quantities: QuantityValues[]}} LayerValues position firstWord is the one after word 0
 * @typedef {{layers: LayerValues[], attention: number[][]}} Inspection attention: a row for each predicted word
 */

const TOKEN = "lmserve.token";

/** An error that the server answered. */
export class ApiError extends Error {
  /**
   * @param {number} code the one of HTTP; 0: there was no answer
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** @param {string} token an empty one is forgotten */
export function setToken(token) {
  if (token === "") sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token);
}

/** @returns {Record<string, string>} */
function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? {Authorization: `Bearer ${token}`} : {};
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, "The server does not answer.");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  throw new ApiError(answer.status, messageOf(text) ?? `The server answers ${answer.status}.`);
}

/** @param {string} text the body of an error */
function messageOf(text) {
  try {
    return JSON.parse(text).error?.message ?? null;
  } catch {
    return null;
  }
}

/**
 * @param {string} method such as "score"
 * @param {object} body
 * @param {AbortSignal} [signal]
 * @param {string} [accept]
 */
function post(method, body, signal, accept = "application/json") {
  const headers = {"Content-Type": "application/json", Accept: accept, ...authorization()};
  return ask(`/lm/v1/${method}`, {method: "POST", headers, body: JSON.stringify(body), signal});
}

/** @param {any} value a number, or its name in JSON */
const number = (value) => (value === undefined ? 0 : Number(value));

/** @param {any[] | undefined} values */
const numbers = (values) => (values ?? []).map(number);

/** @param {any} next @returns {NextWords} */
function nextWords(next) {
  return {words: next.words ?? [], ids: next.ids ?? [], logProbs: numbers(next.logProbs)};
}

/** @param {any} score @returns {TextScore} */
function textScore(score) {
  const words = score.words ?? {};
  return {
    logProb: number(score.logProb),
    wordCount: number(score.wordCount),
    unknownCount: number(score.unknownCount),
    perplexity: number(score.perplexity),
    words: {
      words: words.words ?? [],
      logProbs: numbers(words.logProbs),
      unknown: words.unknown ?? [],
      alternatives: (words.alternatives ?? []).map(nextWords),
      ranks: words.ranks ?? [],
      entropies: numbers(words.entropies),
      ngramLengths: words.ngramLengths ?? [],
    },
  };
}

/** @param {string} text */
const asText = (text) => ({text});

/** @param {string[]} words */
const asWords = (words) => ({words: {words}});

/** @param {string | undefined} source */
const asOptionalText = (source) => (source === undefined ? undefined : asText(source));

/**
 * Returns everything that is served.
 * @param {AbortSignal} [signal]
 */
export async function listModels(signal) {
  /** @type {ModelList} */
  const list = {models: [], refused: [], loading: [], incomplete: []};
  let token = "";
  do {
    const query = token === "" ? "" : `?pageToken=${encodeURIComponent(token)}`;
    const answer = await ask(`/lm/v1/models${query}`, {headers: authorization(), signal});
    const page = await answer.json();
    list.models.push(...(page.models ?? []));
    list.refused.push(...(page.refused ?? []));
    list.loading.push(...(page.loading ?? []));
    list.incomplete.push(...(page.incomplete ?? []));
    token = page.nextPageToken ?? "";
  } while (token !== "");
  return list;
}

/**
 * Scores texts word by word.
 * @param {{model: string, texts: (string | string[])[], source?: string, alternatives?: number, ranks?: boolean,
 *   includeEnd?: boolean, ngramLengths?: boolean}} request
 * @param {AbortSignal} [signal]
 * @returns {Promise<TextScore[]>}
 */
export async function score(request, signal) {
  const {source, texts, ...rest} = request;
  const body = {
    ...rest,
    texts: texts.map((text) => (typeof text === "string" ? asText(text) : asWords(text))),
    perWord: true,
    sources: source === undefined ? [] : [asText(source)],
  };
  const answer = await (await post("score", body, signal)).json();
  return answer.scores.map(textScore);
}

/** @param {any} scores @returns {LabelScores} */
function labelScores(scores) {
  return {labels: scores.labels ?? [], logProbs: numbers(scores.logProbs)};
}

/**
 * Labels the words of texts.
 * @param {{model: string, texts: string[][], alternatives: number}} request
 * @param {AbortSignal} [signal]
 * @returns {Promise<TaggedText[]>}
 */
export async function tag({model, texts, alternatives}, signal) {
  const answer = await (await post("tag", {model, sentences: texts.map(asWords), alternatives}, signal)).json();
  return answer.sentences.map((/** @type {any} */ sentence) => ({
    labels: sentence.labels ?? [],
    unknown: sentence.unknown ?? [],
    logProbs: numbers(sentence.logProbs),
    alternatives: (sentence.alternatives ?? []).map(labelScores),
  }));
}

/**
 * Labels texts.
 * @param {{model: string, texts: string[][]}} request
 * @param {AbortSignal} [signal]
 * @returns {Promise<LabelScores[]>}
 */
export async function classify({model, texts}, signal) {
  const answer = await (await post("classify", {model, texts: texts.map(asWords)}, signal)).json();
  return answer.texts.map(labelScores);
}

/**
 * The most probable next words after a context.
 * @param {{model: string, context: string, k: number, prefix?: string}} request
 * @param {AbortSignal} [signal]
 * @returns {Promise<NextWords>}
 */
export async function predict({model, context, k, prefix}, signal) {
  const body = {model, contexts: [asText(context)], k, prefix};
  const answer = await (await post("predict", body, signal)).json();
  return nextWords(answer.predictions[0]);
}

/**
 * The features of candidates.
 * @param {{models: string[], candidates: {text: string, features: Record<string, number>}[], perWord: boolean,
 *   source?: string}} request perWord: ln P of a model is divided by the number of words
 * @param {AbortSignal} [signal]
 * @returns {Promise<{names: string[], rows: number[][]}>} a row for each candidate, in their order
 */
export async function rerankFeatures({models, candidates, perWord, source}, signal) {
  const body = {
    models,
    candidates: candidates.map(({text, features}) => ({text: asText(text), features})),
    normalization: perWord ? "NORMALIZATION_MEAN" : "NORMALIZATION_SUM",
    source: asOptionalText(source),
  };
  const answer = await (await post("rerank", body, signal)).json();
  const rows = new Array(candidates.length);
  for (const candidate of answer.candidates) rows[candidate.index ?? 0] = numbers(candidate.features);
  return {names: answer.featureNames, rows};
}

/**
 * The messages of a stream of events.
 * @param {Response} answer
 */
async function* events(answer) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    text += decoder.decode(value, {stream: true});
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const data = lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (data === "") continue;
      const message = JSON.parse(data);
      if (message.error) throw new ApiError(message.error.code, message.error.message);
      yield message;
    }
  }
}

/**
 * Draws words one after the other; the last thing is the end.
 * @param {{model: string, prompt: string, maxWords: number, temperature: number, topP: number, seed?: string}} request
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<{word: string, logProb: number} | {end: {reason: string, seed: string}}>}
 */
export async function* generate({prompt, ...rest}, signal) {
  const body = {...rest, prompt: asText(prompt)};
  for await (const message of events(await post("generate", body, signal, "text/event-stream"))) {
    if (message.end) yield {end: {reason: message.end.reason.replace(/^REASON_/, ""), seed: message.end.seed}};
    else yield {word: message.word.word, logProb: number(message.word.logProb)};
  }
}

/**
 * Searches for the best translations of a source.
 * @param {{model: string, source: string, size: number, best: number, lengthAlpha: number}} request
 * @param {AbortSignal} [signal]
 * @returns {Promise<Hypothesis[]>}
 */
export async function translate({model, source, ...beamSearch}, signal) {
  const body = {model, source: asText(source), beamSearch};
  for await (const message of events(await post("generate", body, signal, "text/event-stream"))) {
    if (!message.hypotheses) continue;
    return message.hypotheses.hypotheses.map((/** @type {any} */ found) => ({
      words: found.words ?? [],
      logProbs: numbers(found.logProbs),
      logProb: number(found.logProb),
      score: number(found.score),
      ended: Boolean(found.ended),
    }));
  }
  return [];
}

/**
 * What the layers of a recurrent model compute while it reads a text.
 * @param {{model: string, text: string, source?: string, units: number}} request units: how many of each layer, those
 *   that vary most
 * @param {AbortSignal} [signal]
 * @returns {Promise<Inspection>}
 */
export async function inspect({model, text, source, units}, signal) {
  const body = {model, text: asText(text), source: asOptionalText(source), mostVariable: units, attention: source !== undefined};
  const answer = await (await post("inspect", body, signal)).json();
  return {layers: answer.layers.map((/** @type {any} */ layer) => layerValues(layer, answer)), attention: attentionRows(answer)};
}

/** @param {any} layer @param {any} answer @returns {LayerValues} */
function layerValues(layer, answer) {
  const positions = (layer.readsSource ? answer.sourceWords : answer.words).length;
  const size = positions * layer.units.length;
  return {
    depth: layer.depth,
    isBackward: layer.isBackward,
    readsSource: layer.readsSource,
    // A text is read after <s>.
    firstWord: layer.readsSource ? 0 : 1,
    units: layer.units,
    positions,
    quantities: layer.quantities.map((/** @type {string} */ quantity, /** @type {number} */ at) => ({
      quantity: quantity.replace(/^QUANTITY_/, ""),
      values: Float32Array.from(layer.values.slice(at * size, (at + 1) * size), number),
    })),
  };
}

/** @param {any} answer */
function attentionRows({attention, words, sourceWords}) {
  if (attention.length === 0) return [];
  return words.map((/** @type {string} */ _, /** @type {number} */ row) => numbers(attention.slice(row * sourceWords.length, (row + 1) * sourceWords.length)));
}

/**
 * The metrics, in the text format of Prometheus.
 * @param {AbortSignal} [signal]
 */
export async function metricsText(signal) {
  return (await ask("/metrics", {headers: authorization(), signal})).text();
}
