/* Light or dark: as the system says, until the button says otherwise. */

import { el } from "onedecoder/views/dom.js";

const KEY = "onedecoder-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** What the visitor chose before, if the browser lets a page remember (one opened from a file may not). */
function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(theme) {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // The choice then holds as long as the page is open.
  }
}

/** The button; `changed()` is called so that what is painted on canvases is painted anew. */
export function themeButton(changed) {
  let chosen = remembered();
  const button = el("button", { type: "button", class: "quiet", onclick: () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    remember(chosen);
    show();
  } });
  function show() {
    const theme = chosen ?? (system.matches ? "dark" : "light");
    document.documentElement.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Use the ${theme === "dark" ? "light" : "dark"} theme`);
    changed();
  }
  system.addEventListener("change", show);
  show();
  return button;
}
