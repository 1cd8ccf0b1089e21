/* What the decoder is given: a text, or a job of music and a MIDI file.
 *
 * A form of three kinds, by the engine's `input`: "text" asks for a source (with examples to press), "midi" for a job
 * and, where the job needs one, a file; "none" only begins anew. A file is taken by the button or dropped anywhere on
 * the form; what it is worth the engine says.
 */

import { EngineError } from "onedecoder/engine/errors.js";
import { count, el, field, select } from "onedecoder/views/dom.js";

const LARGEST_FILE = 10 * 2 ** 20; // bytes: a MIDI file of a whole concert has less than a tenth of it

const JOBS = { compose: "compose from nothing", continue: "continue a primer", accompany: "accompany a melody" };

/** Returns the form. `guard` reports what goes wrong; `begun()` is called when the new line is there. */
export function promptForm(session, guard, begun = () => {}) {
  const note = el("p", { class: "note", role: "status" });
  const begin = guard(async (input) => {
    const cut = await session.begin(input);
    note.textContent = cut
      ? `The ${count(cut)} tokens that did not fit into ${count(session.about.config.context)} positions were left out.` : "";
    begun();
  });
  const kinds = { text: textForm, midi: musicForm, none: () => [el("button", { type: "submit" }, "Begin anew")] };
  let input = () => ({});
  const form = el("form", { class: "prompt", onsubmit: (event) => {
    event.preventDefault();
    begin(input());
  } });
  form.append(...kinds[session.about.input](session, begin, (read) => { input = read; }, form, guard), note);
  return form;
}

function textForm(session, begin, reads) {
  const { task, examples } = session.about;
  const area = el("textarea", { rows: 3, spellcheck: "false", value: examples[0]?.text ?? "" });
  reads(() => ({ text: area.value }));
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) begin({ text: area.value });
  });
  const label = { translation: "A sentence to translate", summarization: "An article to summarize" }[task] ?? "The beginning of a text";
  return [
    field(label, area),
    el("div", { class: "row" },
      el("button", { type: "submit" }, "Read it"),
      examples.length > 0 && el("span", { class: "quiet-words" }, "or take one:"),
      examples.map(({ text }) => el("button", { type: "button", class: "quiet example", onclick: () => {
        area.value = text;
        begin({ text });
      } }, text || "(nothing)"))),
  ];
}

function musicForm(session, begin, reads, form, guard) {
  let job = session.about.jobs[0];
  let file = null;
  const chooser = el("input", { type: "file", accept: ".mid,.midi,audio/midi", class: "visually-hidden", "aria-label": "MIDI file" });
  const name = el("span", { class: "file-name" });
  const drop = el("label", { class: "drop" }, chooser, el("span", {}, "Choose a MIDI file, or drop it here"), name);
  const take = guard(async (chosen) => {
    if (!chosen) return;
    if (chosen.size > LARGEST_FILE) {
      throw new EngineError(`${chosen.name} has ${count(Math.round(chosen.size / 2 ** 20))} MB: a MIDI file of at most 10 MB is read.`);
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
    if (job === "compose" && session.about.jobs.length > 1) setJob(session.about.jobs[1]);
    take(event.dataTransfer.files[0]);
  });

  const jobs = select("Job", session.about.jobs.map((each) => [each, JOBS[each] ?? each]), job, (chosen) => setJob(chosen));
  function setJob(chosen) {
    job = chosen;
    jobs.show(job);
    drop.hidden = job === "compose";
  }
  setJob(job);
  reads(() => (job === "compose" || !file ? { job } : { job, midi: file }));
  return [el("div", { class: "row" }, jobs, drop, el("button", { type: "submit" }, "Begin anew"))];
}
