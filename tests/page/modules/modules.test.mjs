// SPDX-License-Identifier: Apache-2.0
// Tests of the page's modules that use no browser: node --test.

import assert from "node:assert/strict";
import {cpSync, mkdtempSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {after, test} from "node:test";
import {fileURLToPath, pathToFileURL} from "node:url";

// A copy, because Node takes a .js file for a module only if a package.json says so.
const folder = mkdtempSync(join(tmpdir(), "lmserve-page-"));
cpSync(fileURLToPath(new URL("../../../server/http/page/", import.meta.url)), folder, {recursive: true});
writeFileSync(join(folder, "package.json"), '{"type": "module"}');
after(() => rmSync(folder, {recursive: true}));
const load = (name) => import(pathToFileURL(join(folder, name)));

const {readAddress, writeAddress, readList, readNumber} = await load("address.js");
const {readCandidates, writeCandidates, rankCandidates, readWeights, writeWeights} = await load("candidates.js");
const {catalogueOf, contrastingModels} = await load("catalogue.js");
const {toCsv} = await load("csv.js");
const {certaintyTrack, hueOfLabel, labelTrack} = await load("label_tracks.js");
const {parseMetrics, total, increase, quantileBetween} = await load("metrics.js");
const {formatBits, formatBytes, formatCount, formatDuration, formatProbability, formatSigned, stepOfBits} = await load("scale.js");
const {breakLines, differingWords, orderByPeak} = await load("track_layout.js");
const {tableOf, tracksOf} = await load("tracks.js");
const {readCurve} = await load("training_curve.js");

test("an address survives a round trip", () => {
  const values = new Map([["text", "a & b = c\n\"d\" + 100 % ü #"], ["models", "demo,lstm@2"], ["at", "0.3"]]);
  const fragment = writeAddress("read", values);
  assert.match(fragment, /^#read\?text=[^ ]*&models=demo,lstm@2&at=0.3$/);
  assert.deepEqual(readAddress(fragment), {view: "read", values});
});

test("an address leaves out empty values, and accepts any text", () => {
  assert.equal(writeAddress("models", new Map([["open", ""]])), "#models");
  assert.deepEqual(readAddress(""), {view: "", values: new Map()});
  assert.deepEqual(readAddress("#read"), {view: "read", values: new Map()});
  assert.deepEqual(readAddress("#read?x&=y&text=100%+ok").values, new Map([["text", "100% ok"]]));
});

test("lists and numbers of an address have defaults and bounds", () => {
  assert.deepEqual(readList("a,,b", ["x"]), ["a", "b"]);
  assert.deepEqual(readList(undefined, ["x"]), ["x"]);
  assert.equal(readNumber("5", 0, 2, 1), 2);
  assert.equal(readNumber("-1", 0, 2, 1), 0);
  for (const bad of [undefined, "", " ", "x", "Infinity"]) assert.equal(readNumber(bad, 0, 2, 1), 1);
});

test("CSV quotes what needs it, and defuses formulas", () => {
  assert.equal(toCsv([["a", 1.5, null], ['say "hi"', "x,y", "two\nlines"]]), 'a,1.5,\r\n"say ""hi""","x,y","two\nlines"\r\n');
  assert.equal(toCsv([["=1+1", "-2", -2, Infinity, -Infinity, NaN]]), "'=1+1,'-2,-2,inf,-inf,\r\n");
});

test("columns are broken into lines", () => {
  assert.deepEqual(breakLines([], 100), []);
  assert.deepEqual(breakLines([40, 40, 40], 100), [[0, 2], [2, 3]]);
  assert.deepEqual(breakLines([50, 50], 100), [[0, 2]]);
  assert.deepEqual(breakLines([300, 10, 300], 100), [[0, 1], [1, 2], [2, 3]]);
});

test("units are ordered by when they peak", () => {
  // Three positions of three units: unit 0 peaks last, unit 1 first, unit 2 in between.
  assert.deepEqual(orderByPeak(new Float32Array([0, -9, 1, 1, 2, 5, 3, 0, -4]), 3), [1, 2, 0]);
});

test("words that two texts do not share", () => {
  assert.deepEqual(differingWords(["i", "have", "a", "book"], ["i", "has", "a", "book"]), [[false, true, false, false], [false, true, false, false]]);
  assert.deepEqual(differingWords(["a"], []), [[true], []]);
  assert.deepEqual(differingWords(["a", "b", "c"], ["b", "c", "d"]), [[true, false, false], [false, false, true]]);
});

test("numbers for people", () => {
  assert.equal(formatBits(0), "0.0");
  assert.equal(formatBits(123.4), "123");
  assert.equal(formatBits(Infinity), "∞");
  assert.equal(formatSigned(-1.25), "−1.3");
  assert.equal(formatSigned(0.01), "0.0");
  assert.equal(formatSigned(2), "+2.0");
  assert.equal(formatProbability(1), "100 %");
  assert.equal(formatProbability(0.1234), "12.3 %");
  assert.equal(formatProbability(0.00051), "0.05 %");
  assert.equal(formatProbability(0.0000096), "1·10⁻⁵");
  assert.equal(formatProbability(2e-13), "2·10⁻¹³");
  assert.equal(formatProbability(0), "0");
  assert.equal(formatCount(1234567), "1\u202f234\u202f567");
  assert.equal(formatBytes(999), "999 B");
  assert.equal(formatBytes(5259724), "5.3 MB");
  assert.equal(formatDuration(0.00042), "0.4 ms");
  assert.equal(formatDuration(12.34), "12.3 s");
  assert.equal(formatDuration(NaN), "–");
  assert.equal(stepOfBits(0), 0);
  assert.equal(stepOfBits(Infinity), 7);
});

test("candidates and their features", () => {
  const candidates = readCandidates("a  b ||| tm=-1.5 x=oops\n\n c ||| lm=2\n");
  assert.deepEqual(candidates, [
    {text: "a b", features: {tm: -1.5, lm: 0}},
    {text: "c", features: {tm: 0, lm: 2}},
  ]);
  assert.deepEqual(readCandidates(writeCandidates(candidates)), candidates);
  assert.equal(writeCandidates([{text: "a", features: {}}]), "a");
  const withEmpty = [{text: "a", features: {}}, {text: "", features: {}}];
  assert.deepEqual(readCandidates(writeCandidates(withEmpty)), withEmpty);
});

test("candidates are ordered by score, equal ones by place", () => {
  assert.deepEqual(rankCandidates([[1, 0], [2, 0], [0, 4]], [1, 0.5]), [
    {index: 1, score: 2},
    {index: 2, score: 2},
    {index: 0, score: 1},
  ]);
  const weights = new Map([["demo", 0.5], ["tm", -1]]);
  assert.deepEqual(readWeights(writeWeights(weights)), weights);
  assert.deepEqual(readWeights("a,b=,=1,c=x"), new Map());
});

const METRICS = `# TYPE x counter
words_total{model="a",version="1"} 10
words_total{model="b \\"quoted\\"",version="1"} 5
calls_bucket{le="0.1"} 0
calls_bucket{le="0.2"} 8
calls_bucket{le="+Inf"} 10
idle 3`;

test("metrics are read", () => {
  const metrics = parseMetrics(METRICS);
  assert.equal(total(metrics, "words_total"), 15);
  assert.equal(total(metrics, "words_total", {model: 'b "quoted"'}), 5);
  assert.equal(total(metrics, "idle"), 3);
  assert.equal(total(metrics, "missing"), 0);
});

test("rates and quantiles between two moments", () => {
  const before = parseMetrics("words_total 4\n");
  const after = parseMetrics(METRICS);
  assert.equal(increase(before, after, "words_total"), 11);
  // A server that started again counts from 0.
  assert.equal(increase(parseMetrics("words_total 100"), after, "words_total"), 15);
  assert.ok(Math.abs(quantileBetween(before, after, "calls", 0.4) - 0.15) < 1e-9);
  assert.equal(quantileBetween(before, after, "calls", 0.99), 0.2);
  assert.ok(Number.isNaN(quantileBetween(after, after, "calls", 0.5)));
});

test("the curve of a training", () => {
  assert.deepEqual(readCurve("100:50: 300:12.35:9"), {training: [{x: 100, y: 50}, {x: 300, y: 12.35}], validation: [{x: 300, y: 9}]});
  assert.deepEqual(readCurve(undefined), {training: [], validation: []});
  assert.deepEqual(readCurve("junk x:1:2"), {training: [], validation: []});
});

const info = (name, family, properties = {}, more = {}) => ({
  name, version: "1", isDefault: true, family, properties, aliases: [], vocabularySize: "10", stateBytes: "0",
  fileBytes: "1", loadSeconds: 0, bidirectional: false, translation: false, ...more,
});
const MODELS = catalogueOf([
  info("big", "ngram", {order: "5"}),
  info("gru", "recurrent", {cell: "gru"}),
  info("lstm", "recurrent", {cell: "lstm"}, {isDefault: false, version: "7"}),
  info("mt", "translation", {cell: "lstm"}, {translation: true}),
  info("near", "window", {window: "3"}),
  info("choice", "reranker"),
]);

test("models as the views need them", () => {
  assert.deepEqual(MODELS.map(({id, shortKind, role, reach}) => [id, shortKind, role, reach]), [
    ["big", "5-gram", "text", 4],
    ["gru", "GRU", "text", Infinity],
    ["lstm@7", "LSTM", "text", Infinity],
    ["mt", "LSTM translation", "translation", 0],
    ["near", "window of 3", "text", 3],
    ["choice", "reranker", "reranker", 0],
  ]);
  assert.deepEqual(contrastingModels(MODELS), ["big", "near", "lstm@7"]);
  assert.deepEqual(contrastingModels([]), []);
  assert.equal(new Set(MODELS.map(({tone}) => tone)).size, 6);
});

test("tracks, and their table", () => {
  const reading = (bits) => ({bits, ranks: [1, 7], entropies: [1, 1], unknown: [false, true], alternatives: [], lengths: [], total: 3, perplexity: 2});
  const models = MODELS.filter(({id}) => ["big", "near"].includes(id));
  const readings = new Map([["big", reading([1, Infinity])], ["near", reading([2.5, 3])]]);
  const influence = {word: "b", values: new Map([["big", [0.5, null]]])};
  const tracks = tracksOf({models, readings, quantities: ["influence", "difference", "unknown", "surprisal"], pair: ["big", "near"], influence});
  assert.deepEqual(tracks.map(({group, label}) => [group, label]), [
    ["surprisal, bits", "big"],
    ["surprisal, bits", "near"],
    ["difference of surprisal, bits", "big − near"],
    ["influence on “b”, bits", "big"],
    ["unknown words", "big"],
    ["unknown words", "near"],
  ]);
  assert.deepEqual(tracks[2].cells.map((cell) => cell.text), ["−1.5", "+∞"]);
  assert.deepEqual(tracks[4].cells, [null, {text: "unknown", step: 4, value: "unknown"}]);
  assert.deepEqual(tableOf(["a", "b"], tracks.slice(0, 1)), [["quantity", "model", "a", "b"], ["surprisal, bits", "big", 1, Infinity]]);
});

test("labels have hues, chunks one for all their words", () => {
  const labels = ["O", "B-NP", "I-NP", "B-VP", "I-VP"];
  assert.deepEqual(labels.map((label) => hueOfLabel(label, labels)), [undefined, 0, 0, 137.5, 137.5]);
  const parts = ["ADJ", "NOUN", "VERB", "DET", "ADP", "PRON", "PUNCT"];
  assert.equal(new Set(parts.map((label) => hueOfLabel(label, parts))).size, 7);
  // Without the list of labels, equal ones still have equal hues.
  assert.notEqual(hueOfLabel("B-NP", []), undefined);
  assert.equal(hueOfLabel("VERB", []), hueOfLabel("VERB", []));
});

test("tracks of a tagger", () => {
  const [model] = catalogueOf([{...MODELS[0].info, name: "pos", family: "tagger", tagger: true, classifier: false, labels: ["DET", "NOUN"], properties: {cell: "lstm"}}]);
  assert.equal(model.role, "tagger");
  assert.equal(model.shortKind, "LSTM tagger");
  const sentence = {labels: ["DET", "NOUN"], unknown: [false, true], logProbs: [0, Math.log(0.5)], alternatives: []};
  assert.deepEqual(labelTrack(model, sentence).cells.map(({text, hue}) => [text, hue]), [["DET", 0], ["NOUN", 137.5]]);
  assert.deepEqual(certaintyTrack(model, sentence).cells.map(({text, step}) => [text, step]), [["100 %", 7], ["50.0 %", 4]]);
});
