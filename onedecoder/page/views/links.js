/* Source words on the left, written words on the right, and between them what each was written from.
 *
 * A line is as thick, beside the thickest one, as the attention is that the row which chose the written word gives to the
 * source word. */

import { el, percent, replace, svg } from "onedecoder/views/dom.js";
import { lookedAt, shareOf } from "onedecoder/views/words.js";

const ROW = 32; // pixels, as in the style sheet
const LEAST = 0.03; // of attention, that a line is drawn for

/** Returns { node, show }. `chosen(place)` gets the place of a written word that is pressed. */
export function links(chosen) {
  const sources = el("ol", { class: "words" });
  const targets = el("ol", { class: "words written" });
  const lines = svg("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
  const node = el("div", { class: "links" }, sources, lines, targets);

  function show(weights, length, words, context, place) {
    const given = words.filter(({ to }) => to <= context);
    const written = words.filter(({ from }) => from >= context);
    const height = ROW * Math.max(given.length, written.length, 1);
    lines.setAttribute("viewBox", `0 0 100 ${height}`);
    lines.style.setProperty("height", `${height}px`);
    const middle = (at, many) => (height - many * ROW) / 2 + (at + 0.5) * ROW;

    const rows = written.map((word) => {
      const row = lookedAt(weights, length, word);
      return given.map((source) => shareOf(row, source));
    });
    const most = rows.flat().reduce((a, b) => Math.max(a, b), LEAST);
    const chosenAt = written.findIndex(({ from, to }) => from <= place && place < to);
    lines.replaceChildren(...rows.flatMap((row, target) => row.map((share, source) => {
      const strength = share / most;
      if (share < LEAST || (chosenAt >= 0 && chosenAt !== target && strength < 0.5)) return null;
      const from = middle(source, given.length), to = middle(target, written.length);
      return svg("path", {
        d: `M0 ${from} C 45 ${from} 55 ${to} 100 ${to}`,
        class: chosenAt < 0 ? "link" : chosenAt === target ? "link chosen" : "link faint",
        style: { "stroke-width": `${(0.5 + 9.5 * strength).toFixed(1)}px`, "stroke-opacity": (0.2 + 0.8 * strength).toFixed(2) },
      });
    })).filter(Boolean));
    sources.replaceChildren(...given.map(({ name }, at) => el("li", {},
      el("span", { class: "word", style: { "--share": ((rows[chosenAt]?.[at] ?? 0) / most).toFixed(3) } }, name))));
    replace(targets, ...written.map(({ name, from }, at) => {
      const best = rows[at].indexOf(Math.max(...rows[at]));
      return el("li", {}, el("button", {
        type: "button", class: "word", "aria-pressed": String(at === chosenAt), onclick: () => chosen(from),
        "aria-label": `${name}, mostly from ${given[best]?.name ?? "nothing"}, ${percent(rows[at][best] ?? 0)}`,
      }, name));
    }));
  }
  return { node, show };
}
