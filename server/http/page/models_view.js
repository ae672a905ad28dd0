// SPDX-License-Identifier: Apache-2.0
// Models: what is served, how it was trained, what the server does now.

import * as api from "./api.js";
import {catalogueOf} from "./catalogue.js";
import {lineChart, sparkline} from "./chart.js";
import {element, fill} from "./dom.js";
import {increase, parseMetrics, quantileBetween, total} from "./metrics.js";
import {Latest} from "./reading.js";
import {formatBytes, formatCount, formatDuration} from "./scale.js";
import {readCurve} from "./training_curve.js";

/** @typedef {import("./catalogue.js").Model} Model */
/** @typedef {import("./page.js").Page} Page */

const POLL = 2000;
const REMEMBERED = 60;

export class ModelsView {
  /** @param {Page} page */
  constructor(page) {
    this.page = page;
    this.table = element("div", {class: "ranking"});
    this.curves = element("section", {class: "curves"});
    this.gauges = element("div", {class: "gauges"});
    this.message = element("p", {class: "message", role: "status"});
    this.asking = new Latest();
    this.timer = 0;
    /** @type {{metrics: import("./metrics.js").Metrics, time: number} | null} */
    this.before = null;
    /** @type {Record<string, number[]>} */
    this.past = {words: [], calls: [], fast: [], slow: []};
    /** @type {Set<string>} */
    this.open_ = new Set();
    this.element = element(
      "div",
      {class: "view models"},
      element("div", {class: "study"}, this.message, this.table, this.curves),
      element("aside", {class: "panel", "aria-label": "What the server does now"}, element("h2", {class: "panel-title", text: "Now"}), this.gauges),
    );
  }

  keys() {
    return [];
  }

  /** @param {Map<string, string>} values of the address */
  open(values) {
    this.open_ = new Set((values.get("open") ?? "").split(",").filter(Boolean));
    this.poll();
  }

  values() {
    return new Map([["open", [...this.open_].join(",")]]);
  }

  close() {
    clearTimeout(this.timer);
    this.asking.cancel();
    this.before = null;
  }

  async poll() {
    clearTimeout(this.timer);
    try {
      const found = await this.asking.run(async (signal) => ({list: await api.listModels(signal), text: await api.metricsText(signal)}));
      if (!found) return;
      this.message.textContent = "";
      this.page.models = catalogueOf(found.list.models);
      this.showMetrics(parseMetrics(found.text));
      this.showTable(found.list);
    } catch (error) {
      this.page.fail(error, this.message);
    }
    if (this.element.isConnected) this.timer = window.setTimeout(() => this.poll(), POLL);
  }

  /** @param {import("./metrics.js").Metrics} metrics */
  showMetrics(metrics) {
    const time = performance.now();
    const {before} = this;
    this.before = {metrics, time};
    const seconds = before ? (time - before.time) / 1000 : 1;
    const calls = "grpc_server_call_duration_seconds";
    const now = before
      ? {
          words: increase(before.metrics, metrics, "lm_words_total") / seconds,
          calls: increase(before.metrics, metrics, `${calls}_count`) / seconds,
          fast: quantileBetween(before.metrics, metrics, calls, 0.5),
          slow: quantileBetween(before.metrics, metrics, calls, 0.99),
        }
      : {words: NaN, calls: NaN, fast: NaN, slow: NaN};
    for (const [name, value] of Object.entries(now)) this.past[name] = [...this.past[name], value].slice(-REMEMBERED);
    const rate = (/** @type {number} */ value) => (Number.isFinite(value) ? formatCount(value) : "–");
    fill(
      this.gauges,
      sparkline("words a second", rate(now.words), this.past.words, REMEMBERED),
      sparkline("calls a second", rate(now.calls), this.past.calls, REMEMBERED),
      sparkline("half of the calls answered within", formatDuration(now.fast), this.past.fast, REMEMBERED),
      sparkline("99 of 100 calls answered within", formatDuration(now.slow), this.past.slow, REMEMBERED),
      element(
        "dl",
        {class: "facts-list"},
        ...definition("words waiting", formatCount(total(metrics, "lm_queued_words"))),
        ...definition("calls running", formatCount(total(metrics, "lm_calls_under_way"))),
        ...definition("connections", formatCount(total(metrics, "lm_connections") + total(metrics, "lm_http_connections"))),
        ...definition("memory", formatBytes(total(metrics, "process_resident_memory_bytes"))),
        ...definition("server", metrics.get("lm_build_info")?.[0]?.labels.version ?? "–"),
      ),
    );
  }

  /** @param {Awaited<ReturnType<typeof api.listModels>>} list */
  showTable({refused, loading, incomplete}) {
    const focused = this.table.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.id : null;
    const heads = ["model", "kind", "vocabulary", "size", "perplexity", "loaded in"];
    fill(
      this.table,
      element(
        "table",
        {class: "ranks served"},
        element("caption", {class: "hidden", text: "Versions that are served"}),
        element("thead", {}, element("tr", {}, ...heads.map((text, at) => element("th", {scope: "col", class: at < 2 ? "candidate" : "number-head", text})))),
        element("tbody", {}, ...this.page.models.flatMap((model) => this.rows(model))),
      ),
      loading.length > 0 && element("p", {class: "note", text: `Being loaded: ${loading.map(({name, version}) => `${name}@${version}`).join(", ")}`}),
      ...incomplete.map(({name, version, reason}) => element("p", {class: "note", text: `${name}@${version} is incomplete, as while it is copied: ${reason}`})),
      ...refused.map(({name, version, reason}) => element("p", {class: "message", text: `${name}${version === "0" ? "" : `@${version}`} is not served: ${reason}`})),
    );
    if (focused) /** @type {HTMLElement | null} */ (this.table.querySelector(`[data-id="${CSS.escape(focused)}"]`))?.focus();
    this.showCurves();
  }

  /** @param {Model} model */
  rows(model) {
    const {info} = model;
    const isOpen = this.open_.has(model.id);
    const toggle = () => {
      if (isOpen) this.open_.delete(model.id);
      else this.open_.add(model.id);
      this.page.saveAddress();
      this.poll();
    };
    const perplexity = Number(info.properties.valid_perplexity);
    const versions = [`version ${info.version}`, ...info.aliases].join(", ");
    const row = element(
      "tr",
      {},
      element(
        "th",
        {scope: "row", class: "candidate"},
        element("button", {type: "button", "aria-expanded": isOpen, "data-id": model.id, click: toggle, title: "Everything that is known of it"}, element("span", {class: "name", "data-tone": model.tone, text: model.id})),
        element("small", {text: versions}),
      ),
      element("td", {class: "candidate kind", text: model.kind}),
      element("td", {class: "figure", text: model.role === "reranker" ? "–" : formatCount(Number(info.vocabularySize))}),
      element("td", {class: "figure", text: formatBytes(Number(info.fileBytes))}),
      element("td", {class: "figure", text: perplexity > 0 ? perplexity.toFixed(2) : "–"}),
      element("td", {class: "figure", text: formatDuration(info.loadSeconds)}),
    );
    return isOpen ? [row, this.details(model)] : [row];
  }

  /** @param {Model} model */
  details({info}) {
    const facts = Object.entries(info.properties).filter(([name]) => name !== "training_curve").sort(([a], [b]) => a.localeCompare(b));
    const state = info.stateBytes && info.stateBytes !== "0" ? [["state of a text", formatBytes(Number(info.stateBytes))]] : [];
    const members = info.reranker ? [["reranker", JSON.stringify(info.reranker)]] : [];
    const all = [...state, ...facts.map(([name, value]) => [name.replace(/_/g, " "), value]), ...members];
    return element("tr", {class: "details"}, element("td", {colspan: 6}, element("dl", {class: "facts-list columns"}, ...all.flatMap(([name, value]) => definition(name, value)))));
  }

  showCurves() {
    const lines = this.page.models.flatMap((model) => {
      const {training, validation} = readCurve(model.info.properties.training_curve);
      return [
        {name: validation.length < 2 ? model.id : "", tone: model.tone, points: training, dashed: true},
        {name: model.id, tone: model.tone, points: validation},
      ].filter(({points}) => points.length >= 2);
    });
    if (lines.length === 0) {
      fill(this.curves);
      return;
    }
    fill(
      this.curves,
      element("h2", {class: "panel-title", text: "Training"}),
      element("p", {class: "panel-context", text: "Perplexity while the models read their texts: dotted of the text itself, solid of the validation text."}),
      lineChart("Perplexity of each model while it was trained; the table has the last value", `${formatCount(lastOf(lines))} words read`, lines),
    );
  }
}

/** @param {import("./chart.js").Line[]} lines */
function lastOf(lines) {
  return Math.max(...lines.flatMap(({points}) => points.map(({x}) => x)));
}

/** @param {string} name @param {string} value */
function definition(name, value) {
  return [element("div", {}, element("dt", {text: name}), element("dd", {text: value}))];
}
