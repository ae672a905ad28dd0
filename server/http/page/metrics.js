// SPDX-License-Identifier: Apache-2.0
// Metrics in the text format of Prometheus, and rates between two moments.

/** @typedef {{labels: Record<string, string>, value: number}} Sample */
/** @typedef {Map<string, Sample[]>} Metrics by name */

const LINE = /^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** @param {string} text @returns {Metrics} */
export function parseMetrics(text) {
  /** @type {Metrics} */
  const metrics = new Map();
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    if (!found) continue;
    /** @type {Record<string, string>} */
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(LABEL)) labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    const samples = metrics.get(found[1]) ?? [];
    samples.push({labels, value: found[3] === "+Inf" ? Infinity : Number(found[3])});
    metrics.set(found[1], samples);
  }
  return metrics;
}

/**
 * The sum of a metric's samples whose labels match.
 * @param {Metrics} metrics
 * @param {string} name
 * @param {Record<string, string>} [labels]
 */
export function total(metrics, name, labels = {}) {
  const samples = (metrics.get(name) ?? []).filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value));
  return samples.reduce((sum, {value}) => sum + value, 0);
}

/**
 * How much a counter grew; one that started again at 0 counts from there.
 * @param {Metrics} before
 * @param {Metrics} after
 * @param {string} name
 * @param {Record<string, string>} [labels]
 */
export function increase(before, after, name, labels = {}) {
  const now = total(after, name, labels);
  const then = total(before, name, labels);
  return now < then ? now : now - then;
}

/**
 * A quantile of what a histogram counted between two moments, by linear
 * interpolation in a bucket; NaN if it counted nothing.
 * @param {Metrics} before
 * @param {Metrics} after
 * @param {string} name without "_bucket"
 * @param {number} quantile from 0 to 1
 */
export function quantileBetween(before, after, name, quantile) {
  const bounds = [...new Set((after.get(`${name}_bucket`) ?? []).map(({labels}) => labels.le))];
  const buckets = bounds
    .map((le) => ({bound: le === "+Inf" ? Infinity : Number(le), count: increase(before, after, `${name}_bucket`, {le})}))
    .sort((a, b) => a.bound - b.bound);
  const all = buckets.length > 0 ? buckets[buckets.length - 1].count : 0;
  if (all <= 0) return NaN;
  let least = 0;
  let below = 0;
  for (const {bound, count} of buckets) {
    if (count >= quantile * all) {
      if (bound === Infinity) return least;
      return least + ((bound - least) * (quantile * all - below)) / Math.max(1e-12, count - below);
    }
    least = bound;
    below = count;
  }
  return least;
}
