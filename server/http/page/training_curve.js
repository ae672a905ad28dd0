// SPDX-License-Identifier: Apache-2.0

/** @typedef {{x: number, y: number}} Point */

/**
 * Reads the property training_curve of a model: records "WORDS:TRAINING:VALIDATION"
 * with perplexities, separated by spaces. Validation is empty where it was not
 * measured.
 * @param {string | undefined} text
 * @returns {{training: Point[], validation: Point[]}}
 */
export function readCurve(text) {
  /** @type {Point[]} */
  const training = [];
  /** @type {Point[]} */
  const validation = [];
  for (const record of (text ?? "").split(" ")) {
    const [words, trained = "", validated = ""] = record.split(":");
    const x = Number(words);
    if (words === "" || !Number.isFinite(x)) continue;
    if (Number(trained) > 0) training.push({x, y: Number(trained)});
    if (Number(validated) > 0) validation.push({x, y: Number(validated)});
  }
  return {training, validation};
}
