/* Self-attention: all heads at a glance, one of them in full, one token of it number by number, and what each written
 * word was written from. */

import { cabinet } from "onedecoder/views/cabinet.js";
import { el, numbered, segments, tick } from "onedecoder/views/dom.js";
import { headGrid } from "onedecoder/views/heads.js";
import { endNote, tokenLine } from "onedecoder/views/line.js";
import { links } from "onedecoder/views/links.js";
import { matrix } from "onedecoder/views/matrix.js";
import { shadedText } from "onedecoder/views/shade.js";
import { groups, joined } from "onedecoder/views/words.js";

export const attention = {
  id: "attention",
  title: "Attention",
  lead: "What each token takes from which others: head by head, as a picture, as numbers, and as links between words.",
  sections: ["Self-Attention Process", "The Illustrated Masked Self-Attention", "GPT-2 Self-attention", "Machine Translation"],
  needsLine: true,
  build,
};

const THUMBNAIL = 32;
const LINKED = 48; // words: of longer sources links would be a thicket, they are shaded

function build(session, panel) {
  const { config, input } = session.about;
  const choose = (changes) => session.set(changes);
  const line = tokenLine(session, "The line. Choose the token that looks.");
  const grid = headGrid(config, (layer, head) => choose({ layer, head }));
  const layers = segments("Layer", numbered(config.layers), session.layer, (layer) => choose({ layer }));
  const kinds = [...numbered(config.heads), ["mean", "mean"], ...(config.copy ? [["copy", "copy"]] : [])];
  const heads = segments("Head", kinds, session.head, (head) => choose({ head }));
  const subwords = tick("Join subwords to words", session.words, (words) => choose({ words }));
  let words = [], start = 0; // of what is looked at
  const full = matrix((place) => choose({ place }));
  const folders = cabinet(session.engine.names);
  const linked = links((place) => choose({ place: start + place }));
  const shaded = shadedText((place) => choose({ place: start + place }));
  const cabinetHeading = el("h3");
  const cabinetBox = el("div", {}, cabinetHeading, folders.node);
  const end = endNote();
  const caption = el("p", { class: "hint" });
  const linkBox = el("div", {}, el("h3", {}, "What each word was written from"),
    el("p", { class: "hint" }, "The row that chose the word: the one before it. Of the layer and head chosen above."),
    linked.node, shaded.node);

  panel.append(
    line.node, end.node,
    el("div", { class: "columns wide-right" },
      el("div", {}, el("h3", {}, "Layers by heads"), grid.node, caption),
      el("div", {}, el("h3", {}, "One head in full"),
        el("div", { class: "row" }, layers, heads, input === "text" && subwords), full.node)),
    cabinetBox, linkBox);

  function show() {
    line.update();
    end.update(session);
    layers.show(session.layer);
    heads.show(session.head);
  }

  let drawn = {};
  async function update() {
    const { layer, head } = session;
    const { theme } = document.documentElement.dataset;
    const { isWriting } = session; // then what was drawn of the line before it stays, in the page's colours
    if (isWriting && (!drawn.look || drawn.theme === theme)) return;
    const look = isWriting ? drawn.look : await session.look();
    const { trace, from, ids, context } = look;
    const place = session.placeIn(look);

    const isNewLine = drawn.look !== look || drawn.theme !== theme;
    grid.show(isNewLine ? await trace.overview(THUMBNAIL) : null, THUMBNAIL, layer, head);
    const isNewHead = isNewLine || drawn.layer !== layer || drawn.head !== head;
    const isCopy = head === "copy";
    const weights = isNewHead ? await (isCopy ? trace.pointer() : trace.attention(layer, head)) : drawn.weights;
    const isSame = !isNewHead && drawn.isJoined === session.words;
    words = isSame ? words : groups(look, session.engine.names, session.words);
    const picture = isSame ? drawn.picture : session.words ? joined(weights, ids.length, words) : weights;
    drawn = { look, theme, layer, head, weights, picture, isJoined: session.words };

    start = from;
    full.show({
      weights: picture,
      names: words.map(({ name }) => name),
      places: words.map(({ to }) => from + to - 1),
      hidden: (row, column) => column > row && (isCopy || !(config.mask === "prefix" && words[column]?.from < context)),
      row: words.findIndex(({ from, to }) => from <= place && place < to),
      label: titleOf(layer, head),
    });
    caption.textContent = (isCopy ? "Copy attention stands behind the last layer: rows point at what may be copied as the token after them. "
      : "Rows look, columns are looked at; grey is what the mask hides. ") + "Colours follow the square root of the weight.";

    cabinetBox.hidden = isCopy;
    const one = session.oneHead;
    if (!isCopy) folders.show(ids, place, await trace.head(layer, one, place));
    cabinetHeading.textContent = `Number by number: the filing cabinet of layer ${layer + 1}, head ${one + 1}`;

    linkBox.hidden = input !== "text" || ids.length <= context;
    if (linkBox.hidden) return;
    const isLong = context <= 1 || words.filter(({ to }) => to <= context).length > LINKED;
    linked.node.hidden = isLong;
    shaded.node.hidden = !isLong;
    (isLong ? shaded : linked).show(weights, ids.length, words, context, place);
  }
  return { show, update };
}

function titleOf(layer, head) {
  if (head === "copy") return "Copy attention";
  return `Attention of layer ${layer + 1}, ${head === "mean" ? "mean of the heads" : `head ${head + 1}`}`;
}
