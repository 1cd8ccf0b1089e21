/* A vector as a strip of cells: blue below zero, orange above, the paper's colour at zero. */

import { valueColours, valueIndex } from "onedecoder/views/colour.js";
import { count, decimal, el, shape } from "onedecoder/views/dom.js";

const CELLS = 2048; // more than these are more than a screen has

/** The largest absolute value, which gets the strongest colour. */
export const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** A canvas with one pixel per value, stretched by the style sheet; `parts` heads are set apart by thin gaps. */
export function strip(values, { parts = 1, scale = largest(values), label = "" } = {}) {
  const size = Math.min(values.length, CELLS);
  const gap = parts > 1 ? Math.max(1, Math.round(size / 128)) : 0;
  const canvas = el("canvas", { class: "strip", role: "img", "aria-label": label });
  canvas.width = size + gap * (parts - 1);
  canvas.height = 1;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, 1);
  const colours = valueColours();
  for (let at = 0; at < size; at++) {
    const x = at + gap * Math.floor((at * parts) / size);
    image.data.set([...colours[valueIndex(values[at] / (scale || 1))], 255], 4 * x);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** What the colours mean. Drawn anew where the theme is another. */
export function stripKey(node) {
  const shades = Float32Array.from({ length: 41 }, (_, at) => at / 20 - 1);
  node.replaceChildren("below 0", strip(shades, { label: "from blue over the paper's colour to orange" }),
    "above 0; the strongest colour of a strip is its largest value, which stands behind it as ±");
}

/** A strip with its name before it, and behind it its shape and the largest value. */
export function namedStrip(name, what, values, settings = {}) {
  const most = largest(values);
  return el("div", { class: "named-strip" },
    el("span", { class: "strip-name" }, name, what && el("code", {}, what)),
    strip(values, { ...settings, label: `${name}: ${count(values.length)} values, the largest ${decimal(most)}` }),
    el("span", { class: "strip-shape" }, `[${shape(values.length)}]`, el("span", { class: "most" }, `±${most.toFixed(most < 10 ? 2 : 1)}`)));
}
