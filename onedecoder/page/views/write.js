/* The loop of the article: the line goes in, a distribution over the vocabulary comes out, one token of it is written
 * behind the line, and the line goes in again, until the end token is drawn. */

import { bars } from "onedecoder/views/bars.js";
import { count, el, field, percent, select, tick } from "onedecoder/views/dom.js";
import { legend, tokenLine } from "onedecoder/views/line.js";
import { promptForm } from "onedecoder/views/prompt.js";

export const write = {
  id: "write",
  title: "Write",
  lead: "The decoder reads the line, says how likely every token is to be the next, and one of them is written. Then it reads again.",
  sections: ["Looking Inside GPT-2", "Model Output"],
  build,
};

const PACES = [[0, "as fast as it goes"], [150, "readable"], [700, "slow"]];

function build(session, panel, guard) {
  let pace = 150;
  const line = tokenLine(session, "The line so far. Choose a written token to see what else it might have been.");
  const text = el("p", { class: "output", "aria-live": "polite" });
  const output = el("div", { hidden: session.about.input !== "text" }, el("h3", {}, "Written"), text);
  const heading = el("h3");
  const likely = choices(session, guard);
  const past = choices(session, guard);
  const pastHeading = el("h3");
  const pastBox = el("div", { hidden: true }, pastHeading, past.node,
    el("p", { class: "hint" }, "Press another one, and the line goes on from there."));

  const prompt = promptForm(session, guard);
  const go = el("button", { type: "button", class: "strong", onclick: guard(async () => {
    if (session.isWriting) return session.stop();
    await prompt.ready();
    await session.write({ pace });
  }) });
  const one = el("button", { type: "button", onclick: guard(async () => {
    await prompt.ready();
    await session.step();
  }) }, "One token");
  const back = el("button", { type: "button", class: "quiet", onclick: () => session.cut(session.ids.length - 1) }, "Take one back");
  const again = el("button", { type: "button", class: "quiet", onclick: () => session.cut(session.context) }, "From the start");

  panel.append(
    prompt.node,
    el("div", { class: "row" }, go, one, back, again, select("Pace", PACES, pace, (chosen) => { pace = chosen; })),
    line.node, legend(),
    output,
    el("div", { class: "columns" },
      el("div", {}, heading, likely.node, pastBox),
      samplingControls(session)),
  );

  /** What is added to a live region is read out: so only what is new is added. */
  function say(words) {
    const isLonger = words.startsWith(text.textContent);
    if (isLonger) text.append(words.slice(text.textContent.length));
    else text.textContent = words;
  }

  /** Whether the chosen token was written, so that another one can be written in its place. */
  const isPast = () => session.place >= session.context && session.ids.length > 0 && !session.isWriting;

  function show() {
    const { ids, context, isWriting, hasEnded } = session;
    line.update();
    if (!isPast()) pastBox.hidden = true;
    go.textContent = isWriting ? "Stop" : "Write";
    go.disabled = (hasEnded || !ids.length) && !prompt.differs();
    one.disabled = isWriting || go.disabled;
    back.disabled = again.disabled = isWriting || ids.length <= context;
  }

  async function showText() {
    const written = session.ids.slice(session.context).filter((id) => id !== session.about.end);
    if (!output.hidden) say(written.length ? await session.engine.text(written) : "");
  }

  async function showChoices() {
    const { ids, place, hasEnded } = session;
    if (!ids.length) return; // nothing was given yet
    likely.node.hidden = hasEnded;
    heading.textContent = hasEnded ? ended(session, session.limit) : "The ten likeliest next tokens";
    if (!hasEnded) likely.show(await session.choose(await session.distribution()), ids, ids.length);

    const isAsked = () => session.ids === ids && session.place === place && isPast();
    if (!isAsked()) return;
    const chosen = await session.choose(await session.distribution(place)), chance = session.chances[place];
    if (!isAsked()) return;
    pastHeading.textContent = `Where “${session.name(place)}” was written${chance === undefined ? "" : `, with ${percent(chance)}`}`;
    past.show(chosen, ids, place);
    pastBox.hidden = false;
  }
  return { show, update: () => Promise.all([showText(), showChoices()]) };
}

/** The likeliest tokens at a place. One that is pressed is written there, while the line is the one they are shown for. */
function choices(session, guard) {
  let line = null, place = 0;
  const { node, show } = bars(session.engine.names, 10, guard((id, plain) => session.ids === line && session.put(id, place, plain)));
  return {
    node,
    show(chosen, ids, at) {
      [line, place] = [ids, at];
      show(chosen, ids[at] ?? null);
    },
  };
}

function ended({ ids, about }, limit) {
  if (limit) return `Ended at the page's limit of ${count(limit)} tokens.`;
  if (ids.at(-1) === about.end) return "The end token is written: the line is whole.";
  return about.kind === "recorded" ? "The recording ends here." : "All positions are used: the line ends here.";
}

/** Temperature, top-k and top-p, which move the bars as they move what is drawn. */
function samplingControls(session) {
  const { settings } = session;
  const change = (changes) => session.set({ settings: Object.assign(settings, changes) });
  const sliders = [
    slider("Temperature", 0.1, 2, 0.05, settings.temperature, (value) => change({ temperature: value }), (value) => value.toFixed(2)),
    slider("Top-k", 0, 100, 1, settings.top_k, (value) => change({ top_k: value }), (value) => (value ? `the ${value} likeliest` : "all")),
    slider("Top-p", 0.01, 1, 0.01, settings.top_p, (value) => change({ top_p: value }), (value) => percent(value)),
  ];
  const allow = () => sliders.forEach((each) => { each.querySelector("input").disabled = !settings.do_sample; });
  const drawn = tick("Draw at random (else the likeliest is written)", settings.do_sample, (checked) => {
    change({ do_sample: checked });
    allow();
  });
  allow();
  return el("fieldset", { class: "sampling" }, el("legend", {}, "How the next one is chosen"), drawn, sliders,
    el("p", { class: "hint" }, "Thin: the decoder's own probability. Full: what these settings make of it."
      + (session.about.input === "text" ? "" : " What the grammar of events forbids here has none.")));
}

function slider(label, min, max, step, value, changed, words) {
  const said = el("output", {}, words(value));
  const input = el("input", { type: "range", min, max, step, value, oninput: () => {
    said.textContent = words(Number(input.value));
    changed(Number(input.value));
  } });
  return field(label, input, said);
}
