/* What the decoder is given: a text (with examples to press), or a job of music and a MIDI file.
 *
 * A file is taken by the button, or dropped anywhere on the form; what it is worth the engine says. */

import { EngineError } from "onedecoder/engine/errors.js";
import { count, el, field, select } from "onedecoder/views/dom.js";

const LARGEST_FILE = 2_000_000; // bytes, the engines' own limit: a larger file is not even read

const JOBS = { compose: "compose from nothing", continue: "continue a primer", accompany: "accompany a melody" };

const NEEDS_FILE = new Set(["continue", "accompany"]);

/** Returns the form. `guard` reports what goes wrong; `begun()` is called when the new line is there. */
export function promptForm(session, guard, begun = () => {}) {
  const note = el("p", { class: "note", role: "status" });
  const begin = guard(async (input) => {
    if (NEEDS_FILE.has(input.job) && !input.midi) throw new EngineError("Choose a MIDI file first, or drop one here.");
    const cut = await session.begin(input);
    note.textContent = cut
      ? `The ${count(cut)} tokens that did not fit into ${count(session.about.config.context)} positions were left out.` : "";
    begun();
  });
  const kinds = { text: textForm, midi: musicForm };
  let input = () => ({});
  const form = el("form", { class: "prompt", onsubmit: (event) => {
    event.preventDefault();
    begin(input());
  } });
  form.append(...kinds[session.about.input](session, begin, (read) => { input = read; }, form, guard), note);
  return form;
}

function textForm(session, begin, reads) {
  const { task, examples, inputs, separators } = session.about;
  if (inputs) return recordedForm(inputs, begin);
  const area = el("textarea", { rows: 3, spellcheck: "false", value: examples[0]?.text ?? "" });
  let separator = 0; // of a decoder that translates both ways, into which language
  const read = () => ({ text: area.value, separator });
  reads(read);
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) begin(read());
  });
  const label = { translation: "A sentence to translate", summarization: "An article to summarize" }[task] ?? "The beginning of a text";
  return [
    field(label, area),
    el("div", { class: "row" },
      separators?.length > 1 && select("Into", separators.map((name, at) => [at, language(name)]), 0, (at) => {
        separator = at;
        if (area.value.trim()) begin(read());
      }),
      el("button", { type: "submit" }, "Read it"),
      examples.length > 0 && el("span", { class: "quiet-words" }, "or take one:"),
      examples.map(({ text }) => el("button", { type: "button", class: "quiet example", onclick: () => {
        area.value = text;
        begin(read());
      } }, text || "(nothing)"))),
  ];
}

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
function recordedForm(inputs, begin) {
  return [el("p", { class: "quiet-words" }, "This page holds a recording and no weights. Choose an input, then Write replays what the decoder wrote for it:"),
    el("div", { class: "row" }, inputs.map((text) => el("button", { type: "button", onclick: () => begin({ text }) }, text || "(nothing)")))];
}

function musicForm(session, begin, reads, form, guard) {
  let job = session.job ?? session.about.jobs[0];
  let file = null;
  const chooser = el("input", { type: "file", accept: ".mid,.midi,audio/midi", class: "visually-hidden", "aria-label": "MIDI file" });
  const name = el("span", { class: "file-name" });
  const drop = el("label", { class: "drop" }, chooser, el("span", {}, "Choose a MIDI file, or drop it here"), name);
  const take = guard(async (chosen) => {
    if (!chosen) return;
    if (chosen.size > LARGEST_FILE) {
      throw new EngineError(`${chosen.name} has ${(chosen.size / 1e6).toFixed(1)} MB: give a MIDI file of at most 2 MB.`);
    }
    file = new Uint8Array(await chosen.arrayBuffer());
    name.textContent = chosen.name;
    await begin({ job, midi: file });
  });
  chooser.addEventListener("change", () => take(chooser.files[0]));
  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    if (drop.hidden) setJob(session.about.jobs.find((each) => NEEDS_FILE.has(each)));
    take(event.dataTransfer.files[0]);
  });

  const jobs = select("Job", session.about.jobs.map((each) => [each, JOBS[each] ?? each]), job, (chosen) => setJob(chosen));
  function setJob(chosen) {
    job = chosen;
    jobs.show(job);
    drop.hidden = !NEEDS_FILE.has(job) && session.about.jobs.some((each) => NEEDS_FILE.has(each));
  }
  setJob(job);
  let begun = session.job; // another view's form may have begun the line
  session.addEventListener("change", () => {
    if (session.job === begun) return;
    begun = session.job;
    setJob(begun);
  });
  reads(() => (drop.hidden || !file ? { job } : { job, midi: file }));
  return [el("div", { class: "row" }, jobs, drop, el("button", { type: "submit" }, "Begin anew"))];
}
