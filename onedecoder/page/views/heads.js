/* All heads at a glance: a small picture for each, layer under layer. One is chosen by a click or the arrow keys. */

import { weightColours, weightIndex } from "onedecoder/views/colour.js";
import { el } from "onedecoder/views/dom.js";

/** Returns { node, show }. `chosen(layer, head)` is called with the one that is picked. */
export function headGrid({ layers, heads }, chosen) {
  const buttons = [];
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < heads; head++) {
      buttons.push(el("button", {
        type: "button", class: "head", role: "radio", "aria-label": `Layer ${layer + 1}, head ${head + 1}`,
        onclick: () => chosen(layer, head),
      }, el("canvas", { "aria-hidden": "true" })));
    }
  }
  const rows = Array.from({ length: layers }, (_, layer) => [
    el("span", { class: "layer-name", "aria-hidden": "true" }, String(layer + 1)), ...buttons.slice(layer * heads, (layer + 1) * heads)]);
  const node = el("div", { class: "heads", role: "radiogroup", "aria-label": "Layers by heads", style: { "--heads": heads } },
    el("span", { class: "layer-name" }),
    Array.from({ length: heads }, (_, head) => el("span", { class: "head-name", "aria-hidden": "true" }, String(head + 1))), rows);

  node.addEventListener("keydown", (event) => {
    const now = buttons.indexOf(document.activeElement);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -heads, ArrowDown: heads };
    const next = now + (steps[event.key] ?? NaN);
    if (now < 0 || !buttons[next]) return;
    event.preventDefault();
    buttons[next].focus();
    buttons[next].click();
  });

  function show(pictures, size, layer, head) {
    const colours = weightColours();
    buttons.forEach((button, at) => {
      const isChosen = Math.floor(at / heads) === layer && (head === "mean" || at % heads === head); // none with "copy"
      button.setAttribute("aria-checked", String(isChosen));
      button.tabIndex = at === layer * heads + (typeof head === "number" ? head : 0) ? 0 : -1;
      if (!pictures) return;
      const canvas = button.firstElementChild;
      canvas.width = canvas.height = size;
      const context = canvas.getContext("2d");
      const image = context.createImageData(size, size);
      pictures[at].forEach((weight, cell) => image.data.set([...colours[weightIndex(weight)], 255], 4 * cell));
      context.putImageData(image, 0, 0);
    });
  }
  return { node, show };
}
