/* The article's filing cabinet, for one token and one head: its query is the note in the hand, the keys are the labels
 * of the folders, the values what lies in them.
 *
 *     score = query · key / √W (+ query · distance, with relative attention);  hidden ones: −∞;  softmax;  sum of values
 */

import { weightColour } from "onedecoder/views/colour.js";
import { decimal, el, percent } from "onedecoder/views/dom.js";
import { largest, namedStrip, strip } from "onedecoder/views/strip.js";

const FOLDERS = 12; // shown at once; the rest on demand
const HIDDEN = 3;

/** Returns { node, show }. */
export function cabinet(names, chosen) {
  const top = el("div");
  const folders = el("ol", { class: "folders" });
  const more = el("button", { type: "button", class: "quiet" });
  const bottom = el("div");
  const node = el("div", { class: "cabinet" }, top, folders, more, bottom);
  let isOpen = false;

  function show(ids, position, { q, k, v, scores, relative, weights, mixed }) {
    const width = q.length;
    const row = (all, place) => all.subarray(place * width, (place + 1) * width);
    const places = [...scores.keys()];
    const seen = places.filter((place) => scores[place] !== -Infinity);
    const hidden = places.filter((place) => scores[place] === -Infinity);
    const strongest = new Set([...seen].sort((a, b) => weights[b] - weights[a]).slice(0, FOLDERS));
    const shown = isOpen ? seen : seen.filter((place) => strongest.has(place));
    const scales = { key: largest(k), value: largest(v) };

    const folder = (place) => {
      const isHidden = scores[place] === -Infinity;
      return el("li", { class: `folder${isHidden ? " hidden-one" : ""}${place === position ? " itself" : ""}` },
        el("button", { type: "button", class: "folder-name", onclick: () => chosen(place), title: `position ${place}` }, names(ids[place])),
        el("span", { class: "folder-key" }, strip(row(k, place), { scale: scales.key, label: "key" })),
        el("span", { class: "folder-score" }, isHidden ? "−∞" : sum(scores[place], relative?.[place])),
        el("span", { class: "folder-weight", style: { "--share": weights[place].toFixed(4), "--colour": weightColour(weights[place]) } }, percent(weights[place])),
        el("span", { class: "folder-value" }, strip(row(v, place), { scale: scales.value, label: "value" })));
    };
    const head = el("li", { class: "folder heading", "aria-hidden": "true" },
      ["token", "key", relative ? "q·k/√W + distance" : "q·k/√W", "softmax", "value"].map((words) => el("span", {}, words)));
    top.replaceChildren(namedStrip(`the query of “${names(ids[position])}”`, `W = ${width}`, q));
    folders.replaceChildren(head, ...shown.map(folder), ...hidden.slice(0, HIDDEN).map(folder));
    if (hidden.length) {
      folders.append(el("li", { class: "hint" }, hidden.length > HIDDEN ? `… and ${hidden.length - HIDDEN} more that the mask hides.` : "The mask hides what is to come."));
    }

    const rest = seen.filter((place) => !strongest.has(place)).reduce((total, place) => total + weights[place], 0);
    more.hidden = seen.length <= FOLDERS;
    more.textContent = isOpen ? `Only the ${FOLDERS} strongest` : `Show the other ${seen.length - FOLDERS}, with ${percent(rest)} in all`;
    more.onclick = () => {
      isOpen = !isOpen;
      show(...arguments);
    };
    const total = seen.reduce((sum, place) => sum + weights[place], 0);
    bottom.replaceChildren(namedStrip("the values, each times its weight, summed", "", mixed),
      el("p", { class: "hint" }, `The weights sum to ${total.toFixed(3)}.`));
  }
  return { node, show };
}

/** A score, and with relative attention the part of it that is the distance's. */
function sum(score, distance) {
  if (distance === undefined || distance === null) return decimal(score);
  return [el("span", {}, decimal(score - distance)), el("small", {}, `${distance < 0 ? "−" : "+"}${decimal(Math.abs(distance))}`)];
}
