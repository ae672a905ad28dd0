// SPDX-License-Identifier: Apache-2.0
// Small charts of lines.

import {element, graphic} from "./dom.js";

/**
 * A line of the recent past under a number that says what is now.
 * @param {string} name
 * @param {string} value
 * @param {number[]} values oldest first
 * @param {number} span the number of values that fill the width
 */
export function sparkline(name, value, values, span) {
  const width = 240;
  const height = 40;
  const most = Math.max(1e-9, ...values.filter(Number.isFinite));
  const x = (/** @type {number} */ at) => width - ((values.length - 1 - at) / (span - 1)) * width;
  const points = values.flatMap((each, at) => (Number.isFinite(each) ? [`${x(at).toFixed(1)},${(height - 2 - (each / most) * (height - 6)).toFixed(1)}`] : []));
  const svg = graphic("svg", {class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true"});
  svg.append(graphic("line", {x1: 0, x2: width, y1: height - 1, y2: height - 1, class: "base"}));
  if (points.length > 1) svg.append(graphic("polyline", {points: points.join(" ")}));
  return element("div", {class: "gauge"}, element("p", {class: "gauge-value", text: value}), element("p", {class: "gauge-name", text: name}), svg);
}

/**
 * @typedef {{name: string, tone: number, points: {x: number, y: number}[], dashed?: boolean}} Line
 */

const WIDTH = 640;
const HEIGHT = 250;
const LEFT = 40;
const RIGHT = 110;
const BOTTOM = 34;
const TOP = 8;

/** The powers of 10, and 2 and 5 times these, that lie in a range. @param {number} least @param {number} most */
function logTicks(least, most) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); ++power) {
    for (const factor of [1, 2, 5]) {
      const tick = factor * 10 ** power;
      if (tick >= least * 0.999 && tick <= most * 1.001) ticks.push(tick);
    }
  }
  return ticks;
}

/**
 * The largest value of the scale: trainings begin so high that the rest, which one
 * wants to see, would be flat.
 * @param {number[]} values
 */
function topOf(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.min(sorted[sorted.length - 1], 2.5 * sorted[Math.floor((sorted.length - 1) * 0.8)]);
}

/**
 * Lines over a logarithmic scale, each named beside its end. What is above the scale
 * is left out.
 * @param {string} title
 * @param {string} xName
 * @param {Line[]} lines with at least two points each
 */
export function lineChart(title, xName, lines) {
  const values = lines.flatMap(({points}) => points.map(({y}) => y));
  const [least, most] = [Math.min(...values) * 0.95, topOf(values)];
  const mostX = Math.max(...lines.flatMap(({points}) => points.map(({x}) => x)));
  const toX = (/** @type {number} */ x) => LEFT + (x / mostX) * (WIDTH - LEFT - RIGHT);
  const toY = (/** @type {number} */ y) => TOP + (Math.log(most / y) / Math.log(most / least)) * (HEIGHT - TOP - BOTTOM);
  const svg = graphic("svg", {class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title});
  for (const tick of logTicks(least, most)) {
    svg.append(
      graphic("line", {class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: toY(tick), y2: toY(tick)}),
      graphic("text", {x: LEFT - 8, y: toY(tick) + 4, "text-anchor": "end", text: String(tick)}),
    );
  }
  svg.append(graphic("text", {x: LEFT, y: HEIGHT - 8, text: "0"}), graphic("text", {x: WIDTH - RIGHT, y: HEIGHT - 8, "text-anchor": "end", text: xName}));
  for (const {points, tone, dashed} of lines) {
    const shown = points.filter(({y}) => y <= most).map(({x, y}) => `${toX(x).toFixed(1)},${toY(y).toFixed(1)}`);
    svg.append(graphic("polyline", {points: shown.join(" "), "data-tone": tone, "stroke-dasharray": dashed ? "2 4" : null}));
  }
  const ends = lines.filter(({name}) => name !== "").map(({name, tone, points}) => ({name, tone, y: toY(points[points.length - 1].y) + 4}));
  let lowest = -Infinity;
  for (const {name, tone, y} of ends.sort((a, b) => a.y - b.y)) {
    lowest = Math.max(y, lowest + 15);
    svg.append(graphic("text", {class: "line-name", "data-tone": tone, x: WIDTH - RIGHT + 8, y: lowest, text: name}));
  }
  return svg;
}
