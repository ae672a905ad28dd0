// SPDX-License-Identifier: Apache-2.0
import {element} from "./dom.js";
export class ModelsView {
  constructor(page) { this.element = element("div", {class: "view"}); }
  open() {} values() { return new Map(); } keys() { return []; } close() {}
}
