// SPDX-License-Identifier: Apache-2.0

/**
 * Quotes a field where RFC 4180 needs it. A text that a table program would take
 * for a formula gets an apostrophe in front.
 * @param {string | number | null} value
 */
function field(value) {
  if (value === null) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : value > 0 ? "inf" : value < 0 ? "-inf" : "";
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/**
 * A table as comma-separated values.
 * @param {(string | number | null)[][]} rows
 */
export function toCsv(rows) {
  return rows.map((row) => row.map(field).join(",") + "\r\n").join("");
}
