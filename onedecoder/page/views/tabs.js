/* The views' tabs, after the ARIA pattern: Tab reaches the chosen one, the arrow keys go from one to the next.
 *
 * The chosen view stands in the address as #name, so that a link to it can be kept and sent. */

import { el } from "onedecoder/views/dom.js";

/** A bar of tabs over `panels` ({ view, node }); `opened()` is called when another one is shown. */
export function tabs(panels, opened) {
  const buttons = panels.map(({ view }) => el("button", {
    id: `tab-${view.id}`, role: "tab", type: "button", "aria-controls": view.id, onclick: () => open(view.id),
  }, view.title));
  const bar = el("div", { class: "tabs", role: "tablist", "aria-label": "Views of the decoder" }, buttons);

  function open(id) {
    const chosen = Math.max(0, panels.findIndex(({ view }) => view.id === id));
    panels.forEach(({ node }, at) => {
      node.hidden = at !== chosen;
      buttons[at].setAttribute("aria-selected", String(at === chosen));
      buttons[at].tabIndex = at === chosen ? 0 : -1;
    });
    const button = buttons[chosen];
    requestAnimationFrame(() => { // at first the bar is not yet in the page
      bar.scrollLeft = button.offsetLeft - (bar.clientWidth - button.offsetWidth) / 2; // a phone shows some at a time
    });
    history.replaceState(null, "", `#${panels[chosen].view.id}`);
    opened();
    return button;
  }

  bar.addEventListener("keydown", (event) => {
    const now = buttons.indexOf(document.activeElement);
    const places = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: buttons.length - 1 };
    if (now < 0 || !(event.key in places)) return;
    event.preventDefault();
    open(panels[(places[event.key] + buttons.length) % buttons.length].view.id).focus();
  });
  window.addEventListener("hashchange", () => open(location.hash.slice(1)));
  open(location.hash.slice(1));
  return bar;
}
