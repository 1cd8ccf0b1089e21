/* What the decoder is given: a text (with examples to press), or a job of music and a MIDI file (music_prompt.js). */

import { brief, count, el, field, select } from "onedecoder/views/dom.js";
import { musicPrompt } from "onedecoder/views/music_prompt.js";

/**
 * Returns { node, differs, ready }: the form, whether it holds another input than the line was begun with, and how to
 * have the line begun with what it holds. `guard` reports what goes wrong when its own buttons are pressed.
 */
export function promptForm(session, guard) {
  const note = el("p", { class: "note", role: "status" });
  const node = el("form", { class: "prompt", onsubmit: (event) => {
    event.preventDefault();
    guard(begin)();
  } });
  const begin = () => session.begin(read());
  session.addEventListener("change", () => {
    const words = partRead(session);
    if (note.textContent !== words) note.textContent = words; // it is read out when it changes
  });
  const kinds = { text: session.about.inputs ? recordedPrompt : textPrompt, midi: musicPrompt };
  const { parts, read, differs } = kinds[session.about.input](session, begin, guard, node);
  node.append(...parts, note);
  const ready = async () => {
    if (differs()) await begin();
  };
  return { node, differs, ready };
}

/** What is to be said where not all of an input is read. */
function partRead({ part: { read, seconds }, about }) {
  const said = [];
  if (seconds) said.push(`The first ${brief(seconds.count)} s of ${brief(seconds.of)} s are accompanied here; recipes/generate.py accompanies whole songs.`);
  if (read) {
    const side = read.from === "end" ? "last" : "first", what = about.input === "text" ? "tokens" : "events";
    said.push(`Only the ${side} ${count(read.count)} of ${count(read.of)} ${what} are read: the rest of the ${count(about.config.context)} positions is for writing.`);
  }
  return said.join(" ");
}

function textPrompt(session, begin, guard) {
  const { task, examples, separators } = session.about;
  const area = el("textarea", { rows: 3, spellcheck: "false", value: examples[0]?.text ?? "", oninput: () => session.set({}) });
  let separator = 0; // of a decoder that translates both ways, into which language
  const start = guard(begin);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) start();
  });
  const label = { translation: "A sentence to translate", summarization: "An article to summarize" }[task] ?? "The beginning of a text";
  const parts = [
    field(label, area),
    el("div", { class: "row" },
      separators?.length > 1 && select("Into", separators.map((name, at) => [at, language(name)]), 0, (at) => {
        separator = at;
        if (area.value.trim()) start();
      }),
      el("button", { type: "submit" }, "Read it"),
      examples.length > 0 && el("span", { class: "quiet-words" }, "or take one:"),
      examples.map(({ text }) => el("button", { type: "button", class: "quiet example", onclick: () => {
        area.value = text;
        start();
      } }, text || "(nothing)"))),
  ];
  return {
    parts,
    read: () => ({ text: area.value, separator }),
    differs: () => area.value !== asTyped(session.input?.text ?? "") || separator !== (session.input?.separator ?? 0),
  };
}

/** A text as a field holds it. */
const asTyped = (text) => text.replace(/\r\n?/g, "\n");

/** "<|to-de|>" -> "German", as far as the browser knows the language's name. */
function language(separator) {
  const code = separator.replace(/^<\|to-|\|>$/g, "");
  try {
    return new Intl.DisplayNames("en", { type: "language" }).of(code);
  } catch {
    return code; // no code of a language, but what a data set calls its column
  }
}

/** A page of recorded inputs knows these and no others. */
function recordedPrompt(session, begin, guard) {
  const { inputs } = session.about;
  let chosen = inputs[0];
  const parts = [
    el("p", { class: "quiet-words" }, "This page holds a recording and no weights. Choose an input, then Write replays what the decoder wrote for it:"),
    el("div", { class: "row" }, inputs.map((text) => el("button", { type: "button", onclick: () => {
      chosen = text;
      guard(begin)();
    } }, text || "(nothing)"))),
  ];
  return { parts, read: () => ({ text: chosen }), differs: () => false };
}
