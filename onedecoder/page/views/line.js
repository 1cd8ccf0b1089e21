/* The line as tokens in a row, of which one can be chosen: by a click, or by the arrow keys.
 *
 * What was given is grey, what was written is tinted by its probability, from amber (unlikely) to green (nearly
 * certain); a bar below each says the same without colour. The row grows with the line, token by token.
 */

import { el, percent } from "onedecoder/views/dom.js";
import { isSpecial } from "onedecoder/views/session.js";

let lines = 0;

/** Returns { node, update }. */
export function tokenLine(session, label) {
  const prefix = `line${lines++}`;
  const node = el("div", {
    class: "tokens", role: "listbox", tabindex: "0", "aria-label": label, "aria-orientation": "horizontal",
  });
  let shown = [];

  node.addEventListener("click", (event) => {
    const token = event.target.closest("[data-place]");
    if (token) session.set({ place: Number(token.dataset.place) });
  });
  node.addEventListener("keydown", (event) => {
    const places = { ArrowLeft: session.place - 1, ArrowRight: session.place + 1, Home: 0, End: session.ids.length - 1 };
    if (!(event.key in places)) return;
    event.preventDefault();
    session.set({ place: places[event.key] });
  });

  function token(id, place) {
    const name = session.engine.names[id];
    const chance = session.chances[place];
    const kind = isSpecial(name) ? "special" : chance === undefined ? "given" : "written";
    return el("span", {
      id: `${prefix}-${place}`, role: "option", "data-place": place, class: `token ${kind}`, "aria-selected": "false",
      style: chance === undefined ? {} : { "--chance": chance.toFixed(3) },
      title: chance === undefined ? `position ${place}` : `position ${place}, written with ${percent(chance)}`,
    }, name);
  }

  function update() {
    const { ids, chances } = session;
    let same = 0;
    while (same < shown.length && shown[same].id === ids[same] && shown[same].chance === chances[same]) same++;
    while (node.childElementCount > same) node.lastElementChild.remove();
    node.append(...ids.slice(same).map((id, at) => token(id, same + at)));
    shown = ids.map((id, place) => ({ id, chance: chances[place] }));
    mark();
  }

  function mark() {
    node.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
    const token = node.children[session.place];
    if (!token) return;
    token.setAttribute("aria-selected", "true");
    node.setAttribute("aria-activedescendant", token.id);
    // Only the row scrolls, never the page.
    const above = token.offsetTop - node.scrollTop;
    if (above < 0 || above + token.offsetHeight > node.clientHeight) node.scrollTop = token.offsetTop - node.clientHeight / 2;
  }

  return { node, update };
}

/** What is to be said where the end token is looked at; a text may go on after it with the next one. */
export function endNote() {
  const node = el("p", { class: "hint", role: "status", hidden: true }, "This token ends the line. Nothing is learned of what would follow it: "
    + "what is shown here of the next token says nothing. The token before it shows how the end was chosen.");
  return { node, update: (session) => { node.hidden = session.about.task === "language_modeling" || !session.isEnd(session.place); } };
}

/** What the tints mean. */
export function legend() {
  return el("p", { class: "legend" },
    el("span", { class: "token special" }, "<|separator|>"), el("span", { class: "token given" }, "given"),
    el("span", { class: "token written", style: { "--chance": "0.05" } }, "written, unlikely"),
    el("span", { class: "token written", style: { "--chance": "0.5" } }, "even"),
    el("span", { class: "token written", style: { "--chance": "1" } }, "certain"));
}
