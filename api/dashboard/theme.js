// Light, dark, or as the system says. Only the choice is remembered in this browser.

import { byId, make } from "./elements.js";

const SLOT = "message-metrics-theme";
const ORDER = ["auto", "light", "dark"];
const LABELS = { auto: "System", light: "Light", dark: "Dark" };

/** Wires the button; `redraw` is called whenever colours have changed. */
export function startTheme(redraw) {
  const button = byId("theme");
  let theme = ORDER.includes(localStorage.getItem(SLOT)) ? localStorage.getItem(SLOT) : "auto";

  function apply() {
    document.documentElement.dataset.theme = theme;
    button.replaceChildren(make("span", { class: "visually-hidden" }, "Theme: "), `◐ ${LABELS[theme]}`);
  }

  button.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    localStorage.setItem(SLOT, theme);
    apply();
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  apply();
}
