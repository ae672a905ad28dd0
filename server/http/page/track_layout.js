// SPDX-License-Identifier: Apache-2.0

/**
 * Breaks a row of columns into lines, as many columns to a line as fit. A column
 * that is wider than a line has a line of its own.
 * @param {number[]} widths of the columns
 * @param {number} available the width of a line
 * @returns {[number, number][]} the first column of each line, and the one after its last
 */
export function breakLines(widths, available) {
  /** @type {[number, number][]} */
  const lines = [];
  let first = 0;
  let used = 0;
  widths.forEach((width, column) => {
    if (column > first && used + width > available) {
      lines.push([first, column]);
      first = column;
      used = 0;
    }
    used += width;
  });
  if (widths.length > 0) lines.push([first, widths.length]);
  return lines;
}

/**
 * The order of units in which each reaches its largest magnitude not before the
 * one above it, so that a picture of them reads from left to right.
 * @param {Float32Array} values (positions, units)
 * @param {number} units
 * @returns {number[]} columns of `values`
 */
export function orderByPeak(values, units) {
  const peaks = Array.from({length: units}, (_, unit) => {
    let peak = 0;
    for (let at = unit; at < values.length; at += units) {
      if (Math.abs(values[at]) > Math.abs(values[peak * units + unit])) peak = Math.floor(at / units);
    }
    return peak;
  });
  return peaks.map((_, unit) => unit).sort((a, b) => peaks[a] - peaks[b] || a - b);
}

/**
 * Which words of two texts are not common to both, by a longest common
 * subsequence.
 * @param {string[]} a
 * @param {string[]} b
 * @returns {[boolean[], boolean[]]} for each word, whether it differs
 */
export function differingWords(a, b) {
  const lengths = Array.from({length: a.length + 1}, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; --i) {
    for (let j = b.length - 1; j >= 0; --j) {
      lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  const inA = a.map(() => true);
  const inB = b.map(() => true);
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) {
      inA[i++] = false;
      inB[j++] = false;
    } else if (lengths[i + 1][j] >= lengths[i][j + 1]) {
      ++i;
    } else {
      ++j;
    }
  }
  return [inA, inB];
}
