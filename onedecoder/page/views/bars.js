/* The likeliest tokens, as bars that can be pressed.
 *
 * Each has two: a thin one, the decoder's own probability, and a full one, what temperature, top-k and top-p make of
 * it, from which is drawn. What they leave no chance is grey.
 */

import { el, percent } from "onedecoder/views/dom.js";

/** The `count` likeliest ids, likeliest first. */
export function likeliest(probabilities, count) {
  const best = [];
  for (let id = 0; id < probabilities.length; id++) {
    if (best.length === count && probabilities[id] <= probabilities[best[count - 1]]) continue;
    let place = best.length;
    while (place > 0 && probabilities[best[place - 1]] < probabilities[id]) place--;
    best.splice(place, 0, id);
    if (best.length > count) best.pop();
  }
  return best;
}

/** Returns { node, show }. `show({ probabilities, plain }, written)` draws them; `pressed(id)` gets what is chosen. */
export function bars(names, count, pressed = null) {
  const node = el("ol", { class: "bars" });

  function show({ probabilities, plain }, written = null) {
    node.replaceChildren(...likeliest(plain, count).filter((id) => plain[id] > 0).map((id) => {
      const share = probabilities[id];
      const settings = {
        class: `bar${id === written ? " chosen" : ""}${share === 0 ? " out" : ""}`,
        style: { "--share": share.toFixed(4), "--plain": plain[id].toFixed(4) },
        "aria-label": `${names[id]}, ${percent(share)}${id === written ? ", written" : ""}`,
      };
      const parts = [
        el("span", { class: "name" }, names[id]),
        el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "full" }), el("span", { class: "thin" })),
        el("span", { class: "number" }, percent(share)),
      ];
      return el("li", {}, pressed
        ? el("button", { type: "button", onclick: () => pressed(id, plain), ...settings }, parts)
        : el("div", { role: "img", ...settings }, parts));
    }));
  }
  return { node, show };
}
