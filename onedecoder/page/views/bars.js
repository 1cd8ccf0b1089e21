/* The likeliest tokens, as bars that can be pressed.
 *
 * Each has two: a thin one, the decoder's own probability, and a full one, what temperature, top-k and top-p make of
 * it, from which is drawn. What they leave no chance is grey. What was written is always among them.
 */

import { likeliest } from "onedecoder/engine/sampling.js";
import { el, percent, replace } from "onedecoder/views/dom.js";

/** Returns { node, show }. `show({ probabilities, plain }, written)` draws them; `pressed(id)` gets what is chosen. */
export function bars(names, count, pressed = null) {
  const node = el("ol", { class: "bars" });

  function show({ probabilities, plain }, written = null) {
    // The keyboard's place stays: one can press Enter for token after token.
    replace(node, ...listed(probabilities, plain, count, written).map((id) => {
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

/** The likeliest by either of their two bars: a grammar may leave none of the decoder's own. */
function listed(probabilities, plain, count, written) {
  const most = plain.map((share, id) => Math.max(share, probabilities[id]));
  const ids = likeliest(most, count).filter((id) => most[id] > 0);
  const shown = written === null || ids.includes(written) ? ids : [...ids.slice(0, count - 1), written];
  return shown.sort((a, b) => probabilities[b] - probabilities[a] || plain[b] - plain[a]);
}
