/* Curves over the steps of a line, with a mark at one of them. */

import { brief, count, el, svg } from "onedecoder/views/dom.js";

const HEIGHT = 220, LEFT = 52, BOTTOM = 24, TOP = 10, RIGHT = 10;
const NARROWEST = 300, WIDEST = 760;

/** Returns { node, show }. `show([{ name, values, kind }], at)`: all values from 0 up. */
export function chart() {
  const drawing = svg("svg", { role: "img", class: "chart" });
  const legend = el("p", { class: "legend" });
  const node = el("div", {}, drawing, legend);

  function show(curves, at) {
    const width = Math.max(NARROWEST, Math.min(WIDEST, node.clientWidth));
    drawing.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const most = Math.max(...curves.flatMap(({ values }) => [values.at(-1), values[0]]));
    const length = curves[0].values.length;
    const x = (step) => LEFT + (length > 1 ? step / (length - 1) : 0) * (width - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - BOTTOM - TOP);
    const every = Math.max(1, Math.floor(length / 400));
    drawing.setAttribute("aria-label", curves.map(({ name, values }) => `${name}: ${brief(values[at])} in step ${at + 1} of ${length}`).join("; "));
    drawing.replaceChildren(
      ...[0, 0.5, 1].flatMap((share) => [
        svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(share * most), y2: y(share * most), class: "grid" }),
        svg("text", { x: LEFT - 8, y: y(share * most) + 4, "text-anchor": "end" }, brief(share * most)),
      ]),
      ...[0, length - 1].map((step, end) => svg("text", { x: x(step), y: HEIGHT - 6, "text-anchor": end ? "end" : "start" }, `step ${count(step + 1)}`)),
      svg("line", { x1: x(at), x2: x(at), y1: TOP, y2: HEIGHT - BOTTOM, class: "mark" }),
      ...curves.flatMap(({ values, kind }) => [
        svg("polyline", { class: `curve ${kind}`, points: values.flatMap((value, step) => (step % every && step < length - 1 ? [] : `${x(step)},${y(value)}`)).join(" ") }),
        svg("circle", { class: `dot ${kind}`, cx: x(at), cy: y(values[at]), r: 4 }),
      ]));
    legend.replaceChildren(...curves.flatMap(({ name, kind }) => [el("span", { class: `swatch ${kind}-swatch` }), name]));
  }
  return { node, show };
}
