/* Kept keys and values: what is computed anew at each step, and what is there already.
 *
 * A token's keys and values depend only on what stands before it. So they are computed once, when it is read, and kept;
 * a step of writing then computes those of one token, and not of the whole line. (Under a prefix mask the given part is
 * read at once, and kept from then on.) */

import { chart } from "onedecoder/views/chart.js";
import { valueColours, valueIndex } from "onedecoder/views/colour.js";
import { brief, count, el, field, figure, numbered, segments } from "onedecoder/views/dom.js";
import { isSpecial } from "onedecoder/views/session.js";
import { largest } from "onedecoder/views/strip.js";

export const cache = {
  id: "cache",
  title: "Kept keys and values",
  lead: "Each step reads one token. The keys and values of all tokens before it are kept, and are not computed again.",
  sections: ["Evaluation Time: Processing One Token at a Time"],
  needsLine: true,
  build,
};

function build(session, panel) {
  const { config } = session.about;
  let step = null; // the token that is read: by default the last
  let playing = null, last = 0;
  const set = (next) => {
    step = next;
    session.set({});
  };
  const range = el("input", { type: "range", min: 0, oninput: () => set(Number(range.value)) });
  const play = el("button", { type: "button", class: "strong", onclick: () => (playing ? stop() : go()) }, "Play");
  const layers = segments("Layer", numbered(config.layers), session.layer, (layer) => session.set({ layer }));
  const heads = segments("Head", numbered(config.heads), 0, (head) => session.set({ head }));
  const now = el("p", { class: "now", role: "status" });
  const kept = el("canvas", { class: "kept", role: "img" });
  const values = el("canvas", { class: "kept", role: "img" });
  const figures = el("p", { class: "figures" });
  const curves = chart();
  panel.append(
    el("div", { class: "row" }, play, field("Token that is read", range)), now,
    el("div", { class: "row" }, layers, heads),
    el("div", { class: "columns even" },
      el("div", {}, el("h3", { class: "key-ink" }, "Keys"), kept),
      el("div", {}, el("h3", { class: "value-ink" }, "Values"), values)),
    el("p", { class: "legend" }, el("span", { class: "swatch kept-swatch" }), "kept", el("span", { class: "swatch new-swatch" }), "computed in this step",
      el("span", { class: "swatch" }), "not yet there"),
    el("h3", {}, "Multiplications"), figures, curves.node,
    el("p", { class: "hint" }, "Of all matrix products of a step, counted from the shapes; norms, softmax, gelu and copy attention are not counted."));

  function go() {
    if (step === null || step >= last) step = 0;
    playing = setInterval(() => {
      if (step >= last || panel.parentElement.hidden) stop();
      else set(step + 1);
    }, 350);
    play.textContent = "Stop";
  }
  function stop() {
    clearInterval(playing);
    playing = null;
    play.textContent = "Play";
  }

  function show() {
    layers.show(session.layer);
    heads.show(session.oneHead);
  }

  let known = {};
  async function update() {
    const { ids, layer, oneHead: head } = session;
    if (session.isWriting || !ids.length) return;
    if (known.ids !== ids) {
      step = null;
      known = { ids, look: await session.look() };
      known.counts = await session.engine.counts(known.look.ids.length);
    }
    if (known.layer !== layer || known.head !== head || !known.cabinet) {
      Object.assign(known, { layer, head, cabinet: await known.look.trace.head(layer, head, known.look.ids.length - 1) });
    }
    const length = known.look.ids.length; // of a line longer than the decoder's positions, what it sees of it
    const at = Math.min(step ?? length - 1, length - 1);
    last = length - 1;
    range.max = last;
    range.value = at;
    range.setAttribute("aria-valuetext", `position ${at}, ${session.engine.names[known.look.ids[at]]}`);
    now.replaceChildren(...around(known.look.ids, session.engine.names, at));
    for (const [canvas, rows, what] of [[kept, known.cabinet.k, "keys"], [values, known.cabinet.v, "values"]]) {
      paint(canvas, rows, length, at);
      canvas.setAttribute("aria-label", `The ${what} of ${at} tokens are kept, those of one are new, ${last - at} are to come.`);
    }
    const { withCache, withoutCache } = known.counts;
    const sum = (steps) => steps.slice(0, at + 1).reduce((total, each) => total + each, 0);
    figures.replaceChildren(
      figure(brief(withCache[at]), "this step, with kept keys and values"), figure(brief(withoutCache[at]), "this step, without"),
      figure(`${(withoutCache[at] / withCache[at]).toFixed(1)} ×`, "as many without"),
      figure(`${(sum(withoutCache) / sum(withCache)).toFixed(1)} ×`, `as many for all ${count(at + 1)} steps`));
    curves.show([
      { name: "without", values: withoutCache, kind: "without" }, { name: "with kept keys and values", values: withCache, kind: "with" },
    ], at);
  }
  return { show, update };
}

/** The token that is read, between a few of its neighbours. */
function around(ids, names, at) {
  const from = Math.max(0, at - 4);
  return ids.slice(from, at + 2).map((id, index) => {
    const place = from + index;
    const name = names[id];
    const state = place < at ? "is-kept" : place === at ? "is-new" : "is-to-come";
    return el("span", { class: `token ${isSpecial(name) ? "special " : ""}${state}` }, name);
  });
}

const CELL = 6;

/** The vectors [T, W] as columns, of which those before `at` are pale, that at `at` is new, and the rest is not there. */
function paint(canvas, rows, length, at) {
  const width = rows.length / length;
  const column = Math.max(1, Math.min(24, Math.floor((canvas.parentElement.clientWidth || 600) / length)));
  canvas.width = column * length;
  canvas.height = CELL * width;
  canvas.style.setProperty("aspect-ratio", "auto");
  const context = canvas.getContext("2d");
  const colours = valueColours();
  const scale = largest(rows) || 1;
  for (let place = 0; place <= at; place++) {
    context.globalAlpha = place === at ? 1 : 0.55;
    for (let row = 0; row < width; row++) {
      context.fillStyle = `rgb(${colours[valueIndex(rows[place * width + row] / scale)].join(" ")})`;
      context.fillRect(place * column, row * CELL, column - (column > 4 ? 1 : 0), CELL);
    }
  }
  context.globalAlpha = 1;
  context.strokeStyle = getComputedStyle(canvas).outlineColor;
  context.lineWidth = 2;
  context.strokeRect(at * column + 1, 1, Math.max(2, column - 2), canvas.height - 2);
}
