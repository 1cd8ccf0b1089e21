/* One token's way up the stack.
 *
 *     token embedding + position embedding
 *       block by block:  + c_proj(attention(ln_1))  + down(gelu(up(ln_2)))
 *     ln_f, the scores of the whole vocabulary, softmax (and with copy attention, what is copied)
 *
 * The thick line on the left is the residual stream, to which every block only adds. */

import { softmax } from "onedecoder/engine/operations.js";
import { likeliest } from "onedecoder/engine/sampling.js";
import { bars } from "onedecoder/views/bars.js";
import { weightColour, weightInk } from "onedecoder/views/colour.js";
import { count, el, numbered, percent, segments } from "onedecoder/views/dom.js";
import { endNote, tokenLine } from "onedecoder/views/line.js";
import { namedStrip, stripKey } from "onedecoder/views/strip.js";

export const way = {
  id: "way",
  title: "A token's way",
  lead: "From two embeddings through all blocks to a score for every token of the vocabulary, with this decoder's own numbers.",
  sections: ["Input Encoding", "A journey up the Stack", "GPT-2 Fully-Connected Neural Network", "Model Output"],
  needsLine: true,
  build,
};

function build(session, panel) {
  const { config } = session.about;
  const line = tokenLine(session, "The line. Choose the token to follow.");
  let layer = 0;
  const block = segments("Block", numbered(config.layers), layer, (chosen) => {
    layer = chosen;
    session.set({});
  });
  const input = el("ol", { class: "way" });
  const inside = el("ol", { class: "way block" });
  const output = el("ol", { class: "way" });
  const lens = el("table", { class: "lens" });
  const scores = bars(session.engine.names, 10);
  const verdict = el("p", { class: "hint" });
  const end = endNote();
  const key = el("p", { class: "legend" });
  panel.append(
    line.node, end.node, key,
    el("h3", {}, "In: what it is, and where it stands"), input,
    block, inside,
    el("h3", {}, "Out: a score for every token of the vocabulary"), output, scores.node,
    el("p", { class: "hint", hidden: !config.copy }, "Thin: the softmax of the scores alone. Full, and in numbers: with what is copied."), verdict,
    el("h3", {}, "Logit lens: what each block would say next"),
    el("p", { class: "hint" }, "The final norm and the scores, taken after every block as if it were the last."
      + (config.copy ? " Only in the last row is anything copied." : "")),
    el("div", { class: "scroll" }, lens),
  );

  function show() {
    line.update();
    end.update(session);
  }

  async function update() {
    if (session.isWriting) return;
    stripKey(key);
    const look = await session.look();
    const { trace, ids } = look;
    const place = session.placeIn(look);
    const read = async (names) => {
      const vectors = await Promise.all(names.map((name) => trace.vectors(name, layer, place)));
      return Object.fromEntries(names.map((name, at) => [name, vectors[at]]));
    };

    const embedded = await read(["token_embedding", "position_embedding"]);
    const sum = embedded.token_embedding.map((value, at) => value + embedded.position_embedding[at]);
    input.replaceChildren(
      step("", namedStrip(`“${session.engine.names[ids[place]]}”`, `wte[${ids[place]}]`, embedded.token_embedding)),
      step("plus", namedStrip(`position ${place}`, `wpe[${place}]`, embedded.position_embedding)),
      step("stream", namedStrip("their sum", "", sum)));

    inside.replaceChildren(...blockSteps(await read(VECTORS), layer, config));

    const { final } = await read(["final"]);
    const scored = await trace.scores(place), plain = softmax(scored.slice());
    const whole = config.copy ? softmax(await trace.logits(place)) : plain; // of what is copied, too
    output.replaceChildren(
      step("", namedStrip("final norm", "ln_f", final)),
      step("", namedStrip("scores", `× wteᵀ [${count(config.width)} × ${count(config.vocabulary)}]`, scored)),
      ...(config.copy ? copySteps(await trace.copied(place), ids, session.engine.names) : []));
    const next = ids[place + 1];
    scores.show({ probabilities: whole, plain }, next ?? null);
    verdict.textContent = next === undefined ? "This token is the last of the line so far."
      : `In the line “${session.engine.names[next]}” follows: ${percent(whole[next])}, ${rank(whole, next)}.`;

    const rows = lensRows(await trace.lens(place), layer, session.engine.names);
    if (config.copy) {
      const top = likeliest(whole, rows[0].cells.length - 1).map((id) => ({ id, p: whole[id] }));
      rows.push(lensRow("with copying", top, session.engine.names));
    }
    lens.replaceChildren(...rows);
  }
  return { show, update };
}

const VECTORS = ["input", "ln_1", "q", "k", "v", "mixed", "attention_output", "residual_1", "ln_2", "up", "gelu", "down", "residual_2"];

/** The steps inside one block. Every matrix is named with its shape, rows × columns as GPT-2 keeps it. */
function blockSteps(x, layer, { heads, width, relative, mask }) {
  const by = (inputs, outputs) => `[${count(inputs)} × ${count(outputs)}]`;
  const seen = mask === "prefix" ? "what it sees: all that is given, and what was written before it" : "what it sees: itself and what stands before it";
  return [
    step("stream", namedStrip(`into block ${layer + 1}`, "", x.input)),
    step("branch", namedStrip("layer norm", "ln_1", x.ln_1)),
    step("branch query", namedStrip("queries", `c_attn ${by(width, 3 * width)}`, x.q, { parts: heads })),
    step("branch key", namedStrip("keys", "", x.k, { parts: heads })),
    step("branch value", namedStrip("values", "", x.v, { parts: heads })),
    step("branch", namedStrip(`${heads} heads, merged`, relative ? "softmax(q·k + distance) · v" : "softmax(q·k) · v", x.mixed, { parts: heads }),
      el("p", { class: "hint" }, `Each head sums the values of ${seen}.`)),
    step("branch", namedStrip("projected", `c_proj ${by(width, width)}`, x.attention_output)),
    step("stream plus", namedStrip("added", "residual", x.residual_1)),
    step("branch", namedStrip("layer norm", "ln_2", x.ln_2)),
    step("branch", namedStrip("four times as wide", `c_fc ${by(width, 4 * width)}`, x.up)),
    step("branch", namedStrip("gelu", "", x.gelu)),
    step("branch", namedStrip("and back", `c_proj ${by(4 * width, width)}`, x.down)),
    step("stream plus", namedStrip("added", "residual", x.residual_2)),
  ];
}

/** Copy attention: the gate's share of the next token is a copy of what the weights point at, the rest is the softmax's. */
function copySteps({ gate, weights }, ids, names) {
  const place = weights.indexOf(weights.reduce((a, b) => Math.max(a, b)));
  return [
    step("branch", namedStrip("pointed at", "copy attention", weights),
      el("p", { class: "hint" }, `Copied: ${percent(gate)}, most from “${names[ids[place]]}” at place ${place}, which has ${percent(weights[place])} of it.`)),
    step("plus", el("span", { class: "strip-name" }, "both, each with its share", el("code", {}, `${percent(1 - gate)} softmax(scores) + ${percent(gate)} pointed at`))),
  ];
}

const step = (kind, ...children) => el("li", { class: kind }, children);

function rank(probabilities, id) {
  const better = probabilities.reduce((sum, share) => sum + (share > probabilities[id]), 0);
  return better === 0 ? "the likeliest" : `${count(better)} were likelier`;
}

function lensRows(lens, chosen, names) {
  return lens.map(({ layer, top }) => lensRow(`after block ${layer + 1}`, top, names, layer === chosen ? "chosen" : ""));
}

function lensRow(title, top, names, kind = "") {
  return el("tr", { class: kind }, el("th", { scope: "row" }, title),
    top.map(({ id, p }) => el("td", { style: { background: weightColour(p), color: weightInk(p) } },
      el("span", {}, names[id]), " ", el("small", {}, percent(p)))));
}
