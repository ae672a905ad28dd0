// SPDX-License-Identifier: Apache-2.0

const SETTING = "lmserve.theme";
const THEMES = ["system", "light", "dark"];

/** @param {string} theme */
function apply(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  // Pictures on canvases take their colors when they are drawn.
  dispatchEvent(new Event("themechange"));
}

function current() {
  const theme = localStorage.getItem(SETTING) ?? "";
  return THEMES.includes(theme) ? theme : "system";
}

/** Applies the colors that the user chose before. */
export function startTheme() {
  apply(current());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => apply(current()));
}

/** Goes on to the next colors, and returns their name. */
export function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(current()) + 1) % THEMES.length];
  localStorage.setItem(SETTING, theme);
  apply(theme);
  return theme;
}
