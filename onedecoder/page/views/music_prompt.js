/* What a decoder of music is given: a job, and a MIDI file.
 *
 * Both stand in the session, so that every view's form shows the same. A file is taken by the button, or dropped anywhere
 * on the form; what it is worth the engine says. */

import { EngineError } from "onedecoder/engine/errors.js";
import { bytesOf } from "onedecoder/engine/weights.js";
import { el, select } from "onedecoder/views/dom.js";

const LARGEST_FILE = 2_000_000; // bytes, the engines' own limit: a larger file is not even read

const NEEDS_FILE = new Set(["continue", "accompany"]);
const JOBS = { continue: "continue a primer", accompany: "accompany a melody" };

const nameOf = (job, file) => (job === "compose" ? (file ? "compose on from the file" : "compose from nothing") : JOBS[job] ?? job);

/** What was wanted before the files that are not taken. What was chosen meanwhile stays. */
function withoutRefused({ job, file }) {
  if (!file?.before) return { job, file };
  return withoutRefused({ file: file.before.file, job: job === file.job ? file.before.job : job });
}

/** Returns { parts, read, differs } for `form`: see prompt.js. */
export function musicPrompt(session, begin, guard, form) {
  const { jobs, melody } = session.about;
  const want = (changes) => session.set({ wanted: { ...session.wanted, ...changes } });

  const chooser = el("input", { type: "file", accept: ".mid,.midi,audio/midi", class: "visually-hidden", "aria-label": "MIDI file" });
  const name = el("span", { class: "file-name" });
  const drop = el("label", { class: "drop" }, chooser, el("span", {}, "Choose a MIDI file, or drop it here"), name);
  let last = null; // of the files that were chosen here: what becomes of it is said, not of one before
  const away = el("button", { type: "button", class: "quiet", onclick: guard(() => {
    last = null;
    want({ file: null });
  }) }, "Without the file");
  // Each is guarded for itself: a file that is taken leaves the message of one that was chosen after it.
  const take = (chosen) => guard(async () => {
    if (!chosen) return;
    last = chosen;
    if (chosen.size > LARGEST_FILE) {
      throw new EngineError(`${chosen.name} has ${(chosen.size / 1e6).toFixed(1)} MB: give a MIDI file of at most 2 MB.`);
    }
    const bytes = new Uint8Array(await chosen.arrayBuffer());
    if (last !== chosen) return;
    // Whoever gives a first file means the job that needs one.
    const before = session.wanted;
    const isMeant = before.file || NEEDS_FILE.has(before.job);
    const job = isMeant ? before.job : jobs.find((each) => NEEDS_FILE.has(each)) ?? before.job;
    const file = { name: chosen.name, bytes, job, before };
    want({ file, job });
    try {
      await begin();
      file.before = null; // it is taken
    } catch (error) {
      if (session.wanted.file === file) want(withoutRefused(session.wanted));
      if (last === chosen) throw error;
    }
  })();
  const offered = melody && el("button", { type: "button", class: "quiet example", onclick: guard(async () => {
    last = null;
    want({ job: "accompany", file: { name: melody.name, bytes: bytesOf(melody.midi) } });
    await begin();
  }) }, `or take a melody: ${melody.name}`);
  chooser.addEventListener("change", () => {
    take(chooser.files[0]);
    chooser.value = ""; // the same file may be chosen again
  });
  form.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });

  const choice = select("Job", jobs.map((job) => [job, nameOf(job, null)]), session.wanted.job, (job) => want({ job }));
  function show() {
    const { job, file } = session.wanted;
    choice.show(job);
    choice.querySelectorAll("option").forEach((option, at) => { option.textContent = nameOf(jobs[at], file); });
    name.textContent = file?.name ?? "";
    away.hidden = !file;
    if (offered) offered.hidden = file?.name === melody.name;
  }
  show();
  session.addEventListener("change", show);

  return {
    parts: [el("div", { class: "row" }, choice, drop, offered, away, el("button", { type: "submit" }, "Begin anew"))],
    read() {
      const { job, file } = session.wanted;
      if (NEEDS_FILE.has(job) && !file) throw new EngineError("Choose a MIDI file first, or drop one here.");
      return file ? { job, midi: file.bytes } : { job };
    },
    differs: () => session.input?.job !== session.wanted.job || session.input?.midi !== session.wanted.file?.bytes,
  };
}
