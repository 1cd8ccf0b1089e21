/* The article's last table, for this decoder: matrix by matrix, with the sum. */

import { bits, brief, count, el, figure, percent, shape } from "onedecoder/views/dom.js";

export const parameters = {
  id: "parameters",
  title: "The parameters",
  lead: "Everything that was learned, matrix by matrix.",
  sections: ["You've Made It!", "Looking Inside GPT-2"],
  build,
};

const MEANINGS = {
  "wte.weight": "token embeddings, and again the scores at the end",
  "wpe.weight": "position embeddings",
  "attn.c_attn.weight": "queries, keys and values",
  "attn.c_proj.weight": "projects the merged heads",
  "mlp.c_fc.weight": "to four times the width",
  "mlp.c_proj.weight": "and back",
  "attn.relative": "embeddings of distances, for relative attention",
};

/** The numbers of published GPT-2 small: layers, width, positions, vocabulary. */
const GPT2 = { layers: 12, width: 768, context: 1024, vocabulary: 50257 };

function build(session, panel) {
  const { about } = session;
  const { layers } = about.config;
  const total = about.matrices.reduce((sum, { count: size }) => sum + size, 0);
  const rows = gathered(about.matrices);
  const table = el("table", { class: "parameters full" },
    el("thead", {}, el("tr", {}, ["Matrix", "Shape", "Numbers", "Blocks", "In all", "Share"].map((words) => el("th", { scope: "col" }, words)))),
    el("tbody", {}, rows.map((row) => el("tr", {},
      el("th", { scope: "row" }, el("code", {}, row.name), meaning(row.name)),
      el("td", {}, shape(...row.shape)),
      el("td", {}, count(row.size)),
      el("td", {}, row.isInBlock ? `× ${row.times}` : ""),
      el("td", {}, count(row.size * row.times)),
      el("td", {}, share((row.size * row.times) / total))))),
    el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "All of them"), el("td"), el("td"), el("td"), el("td", {}, count(total)), el("td"))));

  const inBlocks = rows.filter(({ isInBlock }) => isInBlock).reduce((sum, row) => sum + row.size * row.times, 0);
  panel.append(
    el("p", { class: "figures" },
      figure(brief(total), "numbers in all"),
      figure(percent(inBlocks / total), `in ${layers} blocks`),
      figure(brief(inBlocks / layers), "in each block"),
      figure(bits(about.weights), "for each of them")),
    el("div", { class: "scroll" }, table),
    el("h3", {}, "Why 124 M and not 117 M for gpt2"),
    ...gpt2(),
  );
  return {};
}

const share = (part) => el("span", { class: "share", style: { "--share": part.toFixed(4) } }, percent(part));

/** The matrices of all blocks are of the same shapes: one row for each, without its block's number, and how many there are. */
function gathered(matrices) {
  const rows = new Map();
  for (const { name, shape: sizes, count: size } of matrices) {
    const plain = name.replace(/^transformer\./, "").replace(/^h\.\d+\./, "");
    const row = rows.get(plain);
    if (row) row.times++;
    else rows.set(plain, { name: plain, shape: sizes, size, times: 1, isInBlock: /^(transformer\.)?h\./.test(name) });
  }
  return [...rows.values()];
}

function meaning(name) {
  return MEANINGS[name] ? el("span", { class: "meaning" }, MEANINGS[name]) : null;
}

/** The sum for published GPT-2, from its four numbers. */
function gpt2() {
  const { layers, width, context, vocabulary } = GPT2;
  const matrices = 12 * width * width; // c_attn 3, c_proj 1, c_fc 4, c_proj 4
  const rest = 13 * width; // biases 3 + 1 + 4 + 1, two norms of 2
  const parts = [
    ["token embeddings", shape(vocabulary, width), vocabulary * width],
    ["position embeddings", shape(context, width), context * width],
    [`${layers} blocks`, `${layers} × (12 × ${count(width)}² + 13 × ${count(width)})`, layers * (matrices + rest)],
    ["final norm", `2 × ${count(width)}`, 2 * width],
  ];
  return [
    el("div", { class: "scroll" }, el("table", { class: "parameters" },
      el("tbody", {}, parts.map(([name, sum, size]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, sum), el("td", {}, count(size))))),
      el("tfoot", {}, el("tr", {}, el("th", { scope: "row", colspan: 2 }, "gpt2"), el("td", {}, count(parts.reduce((sum, [, , size]) => sum + size, 0))))))),
    el("p", {}, "The article adds up the same matrices, arrives at 124 M, and wonders at the published 117 M. ",
      "OpenAI's repository has since said that its first count was wrong. The scores at the end use the token embeddings again: they count once."),
  ];
}
