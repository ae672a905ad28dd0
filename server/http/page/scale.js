// SPDX-License-Identifier: Apache-2.0
// From numbers to what the eye gets: steps of a tint, and short texts.

/** The darkest step of a tint; 0 is paper. */
export const LAST_STEP = 7;

const BITS = [0.05, 0.4, 1, 2, 3.5, 6, 9];
const RANKS = [1, 2, 5, 10, 50, 100, 1000];
const ATTENTIONS = [0.02, 0.08, 0.2, 0.35, 0.55, 0.75, 0.9];
const SIGNED_BITS = [0.1, 0.3, 0.8, 1.6, 3, 5, 8];

/**
 * The number of bounds that a value exceeds.
 * @param {number} value
 * @param {number[]} bounds
 */
function stepOf(value, bounds) {
  const step = bounds.findIndex((bound) => value <= bound);
  return step < 0 ? bounds.length : step;
}

/** @param {number} bits a surprisal or an entropy */
export const stepOfBits = (bits) => stepOf(bits, BITS);

/** @param {number} rank from 1 */
export const stepOfRank = (rank) => stepOf(rank, RANKS);

/** @param {number} bits of either sign */
export const stepOfDifference = (bits) => stepOf(Math.abs(bits), SIGNED_BITS);

/** @param {number} weight from 0 to 1 */
export const stepOfAttention = (weight) => stepOf(weight, ATTENTIONS);

/** @param {number} logProb ln P */
export const bitsOf = (logProb) => Math.max(0, -logProb / Math.LN2);

/**
 * A number of bits: "3.4", "12", "∞".
 * @param {number} bits
 */
export function formatBits(bits) {
  if (!Number.isFinite(bits)) return "∞";
  return bits >= 99.95 ? bits.toFixed(0) : bits.toFixed(1);
}

/**
 * A number with its sign, a true minus.
 * @param {number} bits
 */
export function formatSigned(bits) {
  const text = formatBits(Math.abs(bits));
  if (text === "0.0") return "0.0";
  return (bits > 0 ? "+" : "\u2212") + text;
}

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/**
 * A probability: "16 %", "3.2 %", "0.04 %", "2·10⁻⁷".
 * @param {number} probability
 */
export function formatProbability(probability) {
  const percent = probability * 100;
  if (percent >= 99.95) return "100 %";
  if (percent >= 1) return `${percent.toFixed(1)} %`;
  if (percent >= 0.005) return `${percent.toFixed(2)} %`;
  if (probability <= 0) return "0";
  const [mantissa, exponent] = probability.toExponential(0).split("e-");
  const digits = [...exponent].map((digit) => SUPERSCRIPTS[Number(digit)]).join("");
  return `${mantissa}·10⁻${digits}`;
}

/**
 * A count with thin spaces between thousands.
 * @param {number} count
 */
export function formatCount(count) {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/**
 * A rank that fits a cell: "1", "402", "13k".
 * @param {number} rank
 */
export function formatRank(rank) {
  return rank < 10000 ? String(rank) : `${Math.round(rank / 1000)}k`;
}

/**
 * A size: "5.3 MB".
 * @param {number} bytes
 */
export function formatBytes(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000;
    ++unit;
  }
  return `${unit === 0 || bytes >= 99.5 ? bytes.toFixed(0) : bytes.toFixed(1)} ${units[unit]}`;
}

/**
 * A duration: "0.4 ms", "12 ms", "3.1 s".
 * @param {number} seconds
 */
export function formatDuration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds >= 0.9995) return `${seconds.toFixed(1)} s`;
  const milliseconds = seconds * 1000;
  return `${milliseconds >= 9.95 ? milliseconds.toFixed(0) : milliseconds.toFixed(1)} ms`;
}
