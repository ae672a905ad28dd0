// SPDX-License-Identifier: Apache-2.0
// Gates and states of a recurrent layer as a strip: a row for each unit, a column
// for each word.

import {element} from "./dom.js";
import {choice} from "./options.js";
import {LAST_STEP} from "./scale.js";
import {orderByPeak} from "./track_layout.js";

/** @typedef {import("./api.js").LayerValues} LayerValues */
/** @typedef {import("./catalogue.js").Model} Model */

/**
 * @typedef {object} Strip
 * @property {string} group its title
 * @property {Model} model
 * @property {string} note
 * @property {number} units
 * @property {number[]} unitNames the number of each row's unit in the layer
 * @property {number} full the magnitude that gets the full color
 * @property {(column: number, unit: number) => number | null} valueAt
 * @property {(unitName: number) => void} pick called when a unit is chosen, to see its numbers; −1: none
 */

/**
 * The quantities of cells, with their names in the notes.
 * @type {{id: string, wire: string, key: string, name: string, title: string, isSigned: boolean}[]}
 */
export const STATES = [
  {id: "c", wire: "FINAL_MEMORY", key: "c", name: "memory c", title: "final memory c", isSigned: true},
  {id: "h", wire: "HIDDEN", key: "j", name: "state h", title: "hidden state h", isSigned: true},
  {id: "f", wire: "FORGET_GATE", key: "f", name: "forget f", title: "forget gate f", isSigned: false},
  {id: "i", wire: "INPUT_GATE", key: "a", name: "input i", title: "input gate i", isSigned: false},
  {id: "o", wire: "OUTPUT_GATE", key: "o", name: "output o", title: "output gate o", isSigned: false},
  {id: "z", wire: "UPDATE_GATE", key: "z", name: "update z", title: "update gate z", isSigned: false},
  {id: "g", wire: "RESET_GATE", key: "g", name: "reset r", title: "reset gate r", isSigned: false},
  {id: "m", wire: "NEW_MEMORY", key: "m", name: "new memory", title: "new memory c̃ or h̃", isSigned: true},
];

const UNIT_HEIGHT = 5;

/** The colors of the page now, as a canvas needs them. */
function palette() {
  const probe = document.querySelector(".palette") ?? document.body.appendChild(element("span", {class: "palette hidden"}));
  return getComputedStyle(probe);
}

/**
 * The strips of one layer. The rows of all of them are the same units, in the
 * order in which the state of each peaks.
 * @param {Model} model
 * @param {LayerValues} layer
 * @param {string[]} ids of STATES
 * @param {(unitName: number) => void} pick
 * @returns {Strip[]}
 */
export function stripsOf(model, layer, ids, pick) {
  const units = layer.units.length;
  const leading = layer.quantities.find(({quantity}) => quantity === "FINAL_MEMORY") ?? layer.quantities.find(({quantity}) => quantity === "HIDDEN");
  const order = leading ? orderByPeak(leading.values, units) : layer.units.map((_, unit) => unit);
  return STATES.filter(({id}) => ids.includes(id)).flatMap(({wire, title, isSigned}) => {
    const found = layer.quantities.find(({quantity}) => quantity === wire);
    if (!found) return [];
    const direction = layer.isBackward ? ", backwards" : "";
    return [
      {
        group: `${title} after each word`,
        model,
        note: `${model.shortKind}, layer ${layer.depth + 1}${direction}: ${units} units that vary most`,
        units,
        unitNames: order.map((unit) => layer.units[unit]),
        full: isSigned ? fullOf(found.values) : 1,
        pick,
        valueAt: (/** @type {number} */ column, /** @type {number} */ unit) => {
          const position = column + layer.firstWord;
          return position < layer.positions ? found.values[position * units + order[unit]] : null;
        },
      },
    ];
  });
}

/**
 * The magnitude that all but a few values stay below: memories have no bound, and
 * one far value must not make all others pale.
 * @param {Float32Array} values
 */
function fullOf(values) {
  const magnitudes = Float32Array.from(values, Math.abs).sort();
  return Math.max(1e-6, magnitudes[Math.floor((magnitudes.length - 1) * 0.97)]);
}

/**
 * Rows of a table of values; see tableOf().
 * @param {Strip[]} strips
 * @param {number} columns
 * @returns {(string | number | null)[][]}
 */
export function stripTable(strips, columns) {
  return strips.flatMap((strip) =>
    strip.unitNames.map((name, unit) => [
      strip.group,
      `${strip.model.id} unit ${name}`,
      ...Array.from({length: columns}, (_, column) => strip.valueAt(column, unit)),
    ]),
  );
}

/**
 * The numbers of one unit, as a track.
 * @param {Strip} strip
 * @param {number} unitName
 * @param {number} columns
 * @returns {import("./tracks.js").Track | null} null if the strip does not have the unit
 */
export function unitTrack(strip, unitName, columns) {
  const unit = strip.unitNames.indexOf(unitName);
  if (unit < 0) return null;
  const cells = Array.from({length: columns}, (_, column) => {
    const value = strip.valueAt(column, unit);
    if (value === null) return null;
    const step = Math.min(LAST_STEP, Math.round((Math.abs(value) / strip.full) * LAST_STEP));
    /** @type {import("./tracks.js").Cell} */
    const cell = {text: value.toFixed(2).replace("-", "\u2212"), step, sign: value < 0 ? "less" : "more", value};
    return cell;
  });
  return {group: strip.group, label: `unit ${unitName}`, note: "", model: null, cells, look: "signed", reach: 0};
}

/**
 * @param {Strip} strip
 * @param {number[]} columns
 * @param {number[]} widths of all columns
 * @param {boolean} isFirst whether it is in the first line of its text
 * @param {number} picked the unit whose numbers are shown; −1: none
 */
export function stripRow(strip, columns, widths, isFirst, picked) {
  const canvas = element("canvas", {role: "img", "aria-label": describe(strip, columns)});
  const width = columns.reduce((sum, column) => sum + widths[column], 0);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${strip.units * UNIT_HEIGHT}px`;
  draw(canvas, strip, columns, widths, width);
  canvas.addEventListener("pointermove", (event) => (canvas.title = titleAt(event, strip, columns, widths)));
  canvas.addEventListener("click", (event) => strip.pick(strip.unitNames[unitAt(event, strip)]));
  const names = [...strip.unitNames].sort((a, b) => a - b).map((name) => ({value: String(name), text: `unit ${name}`}));
  return element(
    "tr",
    {class: "strip", "data-tone": strip.model.tone},
    element(
      "th",
      {scope: "row", class: "track"},
      element("span", {class: "name", "data-tone": strip.model.tone, text: strip.model.id}),
      isFirst && element("small", {text: strip.note}),
      isFirst && choice(`Unit of ${strip.model.id} to see in numbers`, [{value: "-1", text: "a unit …"}, ...names], String(picked), (value) => strip.pick(Number(value))),
    ),
    element("td", {colspan: columns.length}, canvas),
  );
}

/** The row under the pointer. @param {MouseEvent} event @param {Strip} strip */
function unitAt({offsetY}, strip) {
  return Math.max(0, Math.min(strip.units - 1, Math.floor(offsetY / UNIT_HEIGHT)));
}

/**
 * What is under the pointer: "unit 37: 0.82".
 * @param {PointerEvent} event
 * @param {Strip} strip
 * @param {number[]} columns
 * @param {number[]} widths
 */
function titleAt(event, strip, columns, widths) {
  const unit = unitAt(event, strip);
  const {offsetX} = event;
  let left = 0;
  const column = columns.find((each) => (left += widths[each]) > offsetX) ?? columns[columns.length - 1];
  const value = strip.valueAt(column, unit);
  return value === null ? "" : `unit ${strip.unitNames[unit]}: ${value.toFixed(2)}`;
}

/** @param {Strip} strip @param {number[]} columns */
function describe(strip, columns) {
  const values = columns.flatMap((column) => Array.from({length: strip.units}, (_, unit) => strip.valueAt(column, unit) ?? 0));
  const most = Math.max(...values.map(Math.abs));
  return `${strip.group}: ${strip.units} units over ${columns.length} words, up to ${most.toFixed(2)} in magnitude`;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Strip} strip
 * @param {number[]} columns
 * @param {number[]} widths
 * @param {number} width
 */
function draw(canvas, strip, columns, widths, width) {
  const scale = Math.max(1, window.devicePixelRatio);
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(strip.units * UNIT_HEIGHT * scale);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const {color: more, backgroundColor: less, borderTopColor: zero} = palette();
  context.scale(scale, scale);
  let x = 0;
  for (const column of columns) {
    for (let unit = 0; unit < strip.units; ++unit) {
      const value = strip.valueAt(column, unit);
      if (value === null) continue;
      const strength = Math.min(1, Math.abs(value) / strip.full) ** 1.25;
      context.globalAlpha = 1;
      context.fillStyle = zero;
      context.fillRect(x + 1, unit * UNIT_HEIGHT, widths[column] - 2, UNIT_HEIGHT - 1);
      context.globalAlpha = strength;
      context.fillStyle = value >= 0 ? more : less;
      context.fillRect(x + 1, unit * UNIT_HEIGHT, widths[column] - 2, UNIT_HEIGHT - 1);
    }
    x += widths[column];
  }
}
