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
 * Lines over a logarithmic scale, each named at its end.
 * @param {string} title
 * @param {string} xName
 * @param {Line[]} lines with at least two points each
 */
export function lineChart(title, xName, lines) {
  const all = lines.flatMap(({points}) => points);
  const [least, most] = [Math.min(...all.map(({y}) => y)), Math.max(...all.map(({y}) => y))];
  const mostX = Math.max(...all.map(({x}) => x));
  const toX = (/** @type {number} */ x) => LEFT + (x / mostX) * (WIDTH - LEFT - RIGHT);
  const toY = (/** @type {number} */ y) => TOP + ((Math.log(most) - Math.log(y)) / Math.max(1e-9, Math.log(most) - Math.log(least))) * (HEIGHT - TOP - BOTTOM);
  const svg = graphic("svg", {class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title});
  for (const tick of logTicks(least, most)) {
    svg.append(graphic("line", {class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: toY(tick), y2: toY(tick)}), graphic("text", {x: LEFT - 8, y: toY(tick) + 4, "text-anchor": "end", text: String(tick)}));
  }
  svg.append(graphic("text", {x: LEFT, y: HEIGHT - 8, text: "0"}), graphic("text", {x: WIDTH - RIGHT, y: HEIGHT - 8, "text-anchor": "end", text: xName}));
  const ends = lines.map((line) => ({line, y: toY(line.points[line.points.length - 1].y)})).sort((a, b) => a.y - b.y);
  let lowest = -Infinity;
  for (const {line, y} of ends) {
    const points = line.points.map((point) => `${toX(point.x).toFixed(1)},${toY(point.y).toFixed(1)}`).join(" ");
    svg.append(graphic("polyline", {points, "data-tone": line.tone, "stroke-dasharray": line.dashed ? "2 4" : null}));
    if (line.name === "") continue;
    const at = Math.max(y + 4, lowest + 15);
    lowest = at;
    const end = line.points[line.points.length - 1];
    svg.append(graphic("text", {class: "line-name", "data-tone": line.tone, x: toX(end.x) + 8, y: at, text: line.name}));
  }
  return svg;
}
