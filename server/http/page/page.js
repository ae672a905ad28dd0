// SPDX-License-Identifier: Apache-2.0
// The page: its views, its address, what all views share.

import * as api from "./api.js";
import {readAddress, writeAddress} from "./address.js";
import {catalogueOf} from "./catalogue.js";
import {actionButton, element, fill} from "./dom.js";
import {Keys} from "./keys.js";
import {LabelView} from "./label_view.js";
import {ModelsView} from "./models_view.js";
import {ReadView} from "./read_view.js";
import {Reader} from "./reading.js";
import {RerankView} from "./rerank_view.js";
import {formatDuration} from "./scale.js";
import {nextTheme, startTheme} from "./theme.js";
import {TranslateView} from "./translate_view.js";
import {WriteView} from "./write_view.js";

/**
 * @typedef {object} View
 * @property {HTMLElement} element
 * @property {(values: Map<string, string>) => void} open
 * @property {() => Map<string, string>} values
 * @property {() => import("./keys.js").Key[]} keys
 * @property {() => void} close
 */

const VIEWS = [
  {id: "read", title: "Read", make: (/** @type {Page} */ page) => new ReadView(page)},
  {id: "write", title: "Write", make: (/** @type {Page} */ page) => new WriteView(page)},
  {id: "rerank", title: "Rerank", make: (/** @type {Page} */ page) => new RerankView(page)},
  {id: "translate", title: "Translate", make: (/** @type {Page} */ page) => new TranslateView(page)},
  {id: "label", title: "Label", make: (/** @type {Page} */ page) => new LabelView(page)},
  {id: "models", title: "Models", make: (/** @type {Page} */ page) => new ModelsView(page)},
];

// A wait that is shorter than this, in milliseconds, shows nothing.
const QUIET = 200;
const ADDRESS_PAUSE = 150;

/** @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

export class Page {
  constructor() {
    /** @type {import("./catalogue.js").Model[]} */
    this.models = [];
    this.reader = new Reader();
    /** @type {Map<string, View>} */
    this.views = new Map();
    this.view = "";
    this.running = 0;
    this.addressTimer = 0;
    this.keys = new Keys(() => [
      {title: this.titleOf(this.view), keys: this.views.get(this.view)?.keys() ?? []},
      {title: "Everywhere", keys: this.ownKeys()},
    ]);
    addEventListener("hashchange", () => this.openAddress());
    byId("theme").addEventListener("click", () => this.changeTheme());
    byId("link").addEventListener("click", () => this.copyLink());
    byId("keys").addEventListener("click", () => this.keys.showHelp());
  }

  ownKeys() {
    return [
      ...VIEWS.map(({id, title}, index) => ({key: String(index + 1), name: title, act: () => this.go(id)})),
      {key: "t", name: "light, dark, or as the system", act: () => this.changeTheme()},
      {key: "q", name: "copy a link to this", act: () => this.copyLink()},
      {key: "?", name: "this list", act: () => this.keys.showHelp()},
    ];
  }

  /** @param {string} id */
  titleOf(id) {
    return VIEWS.find((view) => view.id === id)?.title ?? "";
  }

  async start() {
    try {
      const {models} = await api.listModels();
      this.models = catalogueOf(models);
      byId("state").textContent = `${models.length} ${models.length === 1 ? "model" : "models"}`;
      this.openAddress();
    } catch (error) {
      this.askForToken(error);
    }
  }

  openAddress() {
    const {view, values} = readAddress(location.hash);
    this.open(VIEWS.some(({id}) => id === view) ? view : VIEWS[0].id, values);
  }

  /** @param {string} id @param {Map<string, string>} values */
  open(id, values) {
    const found = VIEWS.find((view) => view.id === id);
    if (!found) return;
    if (this.view !== id) this.views.get(this.view)?.close();
    let view = this.views.get(id);
    if (!view) {
      view = found.make(this);
      this.views.set(id, view);
    }
    this.view = id;
    document.title = `${found.title} · lmserve`;
    for (const link of document.querySelectorAll("nav a")) {
      link.toggleAttribute("aria-current", link.getAttribute("href") === `#${id}`);
      if (link.hasAttribute("aria-current")) link.setAttribute("aria-current", "page");
    }
    if (view.element.parentElement === null) fill(byId("view"), view.element);
    view.open(values);
  }

  /**
   * Goes to another view.
   * @param {string} id
   * @param {Map<string, string>} [values]
   */
  go(id, values = new Map()) {
    location.hash = writeAddress(id, values);
  }

  /** Writes what one sees into the address, without an entry in the history. */
  saveAddress() {
    clearTimeout(this.addressTimer);
    this.addressTimer = window.setTimeout(() => {
      const view = this.views.get(this.view);
      const asked = readAddress(location.hash).view;
      // Another view that was asked for just now must not be forgotten.
      if (asked !== this.view && VIEWS.some(({id}) => id === asked)) return;
      if (view) history.replaceState(null, "", writeAddress(this.view, view.values()));
    }, ADDRESS_PAUSE);
  }

  async copyLink() {
    const view = this.views.get(this.view);
    if (!view) return;
    await navigator.clipboard.writeText(location.href.replace(/#.*$/, "") + writeAddress(this.view, view.values()));
    this.announce("A link to what you see is copied. It contains the text.", true);
  }

  changeTheme() {
    this.announce(`Colors: ${nextTheme()}`, true);
  }

  /**
   * Shows that work is running, if it takes long, and how long it took.
   * @template Value
   * @param {Promise<Value>} work
   * @returns {Promise<Value>}
   */
  async busy(work) {
    const start = performance.now();
    ++this.running;
    const timer = setTimeout(() => (document.body.dataset.busy = ""), QUIET);
    try {
      return await work;
    } finally {
      clearTimeout(timer);
      if (--this.running === 0) {
        delete document.body.dataset.busy;
        byId("state").textContent = `${this.models.length} models · ${formatDuration((performance.now() - start) / 1000)}`;
      }
    }
  }

  /**
   * Says something to screen readers, and on request to everybody.
   * @param {string} text
   * @param {boolean} [isVisible]
   */
  announce(text, isVisible = false) {
    byId("announcer").textContent = text;
    if (!isVisible) return;
    const toast = byId("toast");
    toast.textContent = text;
    toast.dataset.shown = "";
    setTimeout(() => delete toast.dataset.shown, 2400);
  }

  /** @param {unknown} error @param {HTMLElement} place */
  fail(error, place) {
    if (error instanceof api.ApiError && error.code === 401) this.askForToken(error);
    else place.textContent = error instanceof Error ? error.message : String(error);
  }

  /** @param {unknown} error */
  askForToken(error) {
    const needsToken = error instanceof api.ApiError && [401, 403].includes(error.code);
    const message = element("p", {class: "message", role: "alert", text: error instanceof Error ? error.message : String(error)});
    if (!needsToken) {
      fill(byId("view"), message, actionButton("Try again", () => this.start()));
      return;
    }
    const input = element("input", {type: "password", "aria-label": "Token", autocomplete: "off"});
    const submit = () => {
      api.setToken(input.value.trim());
      this.views.clear();
      this.start();
    };
    input.addEventListener("keydown", (event) => event.key === "Enter" && submit());
    fill(byId("view"), element("div", {class: "token"}, message, element("label", {}, "Token ", input), actionButton("Continue", submit)));
    input.focus();
  }
}

startTheme();
new Page().start();
