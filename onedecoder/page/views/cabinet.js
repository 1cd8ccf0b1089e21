/* The article's filing cabinet, for one token and one head: its query is the note in the hand, the keys are the labels
 * of the folders, the values what lies in them.
 *
 *     score = query · key, scaled (+ query · distance, with relative attention);  hidden ones −∞;  softmax;  sum of values
 *
 * A folder that is pressed opens: the same, product by product. */

import { weightColour } from "onedecoder/views/colour.js";
import { decimal, el, percent, replace } from "onedecoder/views/dom.js";
import { largest, namedStrip, strip } from "onedecoder/views/strip.js";

const FOLDERS = 12; // shown at once; the rest on demand
const HIDDEN = 3;

/** Returns { node, show }. */
export function cabinet(names) {
  const top = el("div");
  const folders = el("ol", { class: "folders" });
  const more = el("button", { type: "button", class: "quiet" });
  const bottom = el("div");
  const node = el("div", { class: "cabinet" }, top, folders, more, bottom);
  let showsAll = false, opened = null;

  function show(ids, position, head) {
    const { q, k, v, scores, relative, weights, mixed } = head;
    const places = [...scores.keys()];
    const seen = places.filter((place) => scores[place] !== -Infinity);
    const hidden = places.filter((place) => scores[place] === -Infinity);
    const strongest = new Set([...seen].sort((a, b) => weights[b] - weights[a]).slice(0, FOLDERS));
    const shown = showsAll ? seen : seen.filter((place) => strongest.has(place) || place === opened);
    const scales = { key: largest(k), value: largest(v) };
    const again = () => show(ids, position, head);

    top.replaceChildren(namedStrip(`the query of “${names[ids[position]]}”`, `${q.length} numbers: the width of a head`, q));
    replace(folders, heading(relative), ...[...shown, ...hidden.slice(0, HIDDEN)].flatMap((place) => [
      folder(head, place, scales, { name: names[ids[place]], isItself: place === position, isOpen: place === opened, press: () => {
        opened = place === opened ? null : place;
        again();
      } }),
      place === opened && scores[place] !== -Infinity ? inside(head, place) : null,
    ]).filter(Boolean));
    if (hidden.length) {
      folders.append(el("li", { class: "hint" }, hidden.length > HIDDEN
        ? `… and ${hidden.length - HIDDEN} more that the mask hides.` : "The mask hides what is to come."));
    }

    const sum = (some) => some.reduce((total, place) => total + weights[place], 0);
    more.hidden = seen.length <= FOLDERS;
    more.textContent = showsAll ? `Only the ${FOLDERS} strongest`
      : `Show the other ${seen.length - FOLDERS}, with ${percent(sum(seen.filter((place) => !strongest.has(place))))} in all`;
    more.onclick = () => {
      showsAll = !showsAll;
      again();
    };
    bottom.replaceChildren(namedStrip("values × weights, summed", "", mixed),
      el("p", { class: "hint" }, `The weights sum to ${sum(seen).toFixed(3)}. Press a token to open its folder.`));
  }
  return { node, show };
}

const rowOf = (rows, place, width) => rows.subarray(place * width, (place + 1) * width);

function heading(relative) {
  return el("li", { class: "folder heading", "aria-hidden": "true" },
    ["token", "key", relative ? "q·k + distance" : "q·k, scaled", "softmax", "value"].map((words) => el("span", {}, words)));
}

function folder({ q, k, v, scores, relative, weights }, place, scales, { name, isItself, isOpen, press }) {
  const isHidden = scores[place] === -Infinity;
  return el("li", { class: `folder${isHidden ? " hidden-one" : ""}${isItself ? " itself" : ""}` },
    el("button", { type: "button", class: "folder-name", title: `position ${place}`, "aria-expanded": String(isOpen), disabled: isHidden, onclick: press }, name),
    el("span", { class: "folder-key" }, strip(rowOf(k, place, q.length), { scale: scales.key, label: "key" })),
    el("span", { class: "folder-score" }, isHidden ? "−∞" : score(scores[place], relative?.[place])),
    el("span", { class: "folder-weight", style: { "--share": weights[place].toFixed(4), "--colour": weightColour(weights[place]) } }, percent(weights[place])),
    el("span", { class: "folder-value" }, strip(rowOf(v, place, q.length), { scale: scales.value, label: "value" })));
}

/** A score, and with relative attention the part of it that is the distance's. */
function score(all, distance) {
  if (distance === undefined) return decimal(all);
  return [el("span", {}, decimal(all - distance)), el("small", {}, signed(distance))];
}

const signed = (number) => `${number < 0 ? "−" : "+"} ${decimal(Math.abs(number))}`;

/** An open folder: query and key multiplied number by number, summed, scaled; then its share of the values. */
function inside({ q, k, v, scores, relative, weights }, place) {
  const products = q.map((value, at) => value * k[place * q.length + at]);
  const sum = products.reduce((total, product) => total + product, 0);
  const distance = relative?.[place] ?? 0;
  const parts = [`Their sum is ${decimal(sum)}, scaled ${decimal(scores[place] - distance)}`];
  if (relative) parts.push(`${signed(distance)} for the distance is ${decimal(scores[place])}`);
  parts.push(`softmax makes ${percent(weights[place])} of it.`);
  return el("li", { class: "inside" },
    namedStrip("query × key", "", products), el("p", { class: "hint" }, parts.join(", ")),
    namedStrip(`value × ${percent(weights[place])}`, "", rowOf(v, place, q.length).map((value) => value * weights[place])));
}
