/* A text shaded by what a chosen word of the written part was written from. For long sources, as articles are. */

import { weightColour, weightInk } from "onedecoder/views/colour.js";
import { el, percent, replace } from "onedecoder/views/dom.js";
import { isSpecial } from "onedecoder/views/session.js";
import { inText, lookedAt, shareOf } from "onedecoder/views/words.js";

/** Returns { node, show }. */
export function shadedText(chosen) {
  const given = el("p", { class: "shaded" });
  const written = el("p", { class: "shaded written" });
  const strongest = el("p", { class: "hint", role: "status" });
  const node = el("div", {}, el("h4", {}, "Written (press a word)"), written, strongest, el("h4", {}, "Given"), given);

  written.addEventListener("click", (event) => {
    const word = event.target.closest("[data-place]");
    if (word) chosen(Number(word.dataset.place));
  });

  function show(weights, length, words, context, place) {
    const now = words.find(({ from, to }) => from >= context && from <= place && place < to) ?? words.at(-1);
    const row = lookedAt(weights, length, now);
    const share = (word) => (word.from < now.from ? shareOf(row, word) : 0);
    // The strongest gets the strongest colour; its share stands below.
    const most = words.reduce((best, word) => (share(word) > share(best) ? word : best), words[0]);
    const scale = share(most) || 1;
    const span = (word, settings) => {
      const weight = share(word) / scale;
      return el("span", {
        style: { background: weightColour(weight), color: weightInk(weight) }, title: percent(share(word)), ...settings,
      }, inText(word.name));
    };
    const special = (word) => (isSpecial(word.name) ? { class: "special" } : {});
    given.replaceChildren(...words.filter(({ to }) => to <= context).map((word) => span(word, special(word))));
    replace(written, ...words.filter(({ from }) => from >= context).map((word) => el("button", {
      type: "button", "data-place": word.from, "aria-pressed": String(word === now),
      style: { background: weightColour(share(word) / scale), color: weightInk(share(word) / scale) },
    }, inText(word.name))));
    strongest.textContent = `“${now.name}” was written looking mostly at “${most.name}”, with ${percent(share(most))}.`;
  }
  return { node, show };
}
