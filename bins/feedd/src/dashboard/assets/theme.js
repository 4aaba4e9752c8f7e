// Light, dark, or as the system has it. The choice is kept; it is no secret.

import { byId } from "./dom.js";

const KEY = "feedd-theme";

/// Sets the theme up; `onChange` is called when what is seen may have changed.
export function setUpTheme(onChange) {
  const pick = byId("theme");
  const apply = () => {
    document.documentElement.dataset.theme = pick.value;
    onChange();
  };
  pick.value = remembered();
  pick.addEventListener("change", () => {
    remember(pick.value);
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
  apply();
}

// A browser may refuse its storage; then the choice lasts as long as the page.
function remembered() {
  try {
    const theme = localStorage.getItem(KEY) ?? "";
    return ["", "light", "dark"].includes(theme) ? theme : "";
  } catch {
    return "";
  }
}

function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    return;
  }
}

/// The colour that a custom property of the style sheet has now, as a canvas takes it.
export function colour(name) {
  const probe = byId("main");
  probe.style.setProperty("outline-color", `var(${name})`);
  const found = getComputedStyle(probe).outlineColor;
  probe.style.removeProperty("outline-color");
  return found;
}
