/* Music: the line as a piano roll that plays, and what each note attends to. */

import { arcsOf } from "onedecoder/views/arcs.js";
import { headHue } from "onedecoder/views/colour.js";
import { clock, count, el, field, numbered, percent, segments } from "onedecoder/views/dom.js";
import { player } from "onedecoder/views/player.js";
import { promptForm } from "onedecoder/views/prompt.js";
import { noteName, roll } from "onedecoder/views/roll.js";

export const music = {
  id: "music",
  title: "Music",
  lead: "Events become notes. Let it write, listen, and choose a note to see which earlier ones it was written from.",
  sections: ["Music Generation"],
  build,
};

const LOOK = 20; // tokens between two looks at how many seconds are written

function build(session, panel, guard) {
  const { about, beside } = session;
  let notes = [], chosen = -1, seconds = 20, zoom = 60;
  let shownHeads = new Set(Array.from({ length: about.config.heads }, (_, head) => head));
  const pick = (index) => {
    if (index >= notes.length) return; // a note of the line before, which is still in sight
    chosen = index;
    session.set(index >= 0 ? { place: notes[index].on } : {});
  };
  const runs = [session.engine, beside].filter(Boolean).map((engine) => ({
    engine,
    title: el("h4", { hidden: !beside }),
    roll: roll("Piano roll. The left and right arrow keys go from note to note.", pick),
    says: el("p", { class: "hint", role: "status" }),
  }));
  for (const { engine, title } of runs) {
    title.textContent = `${engine.about.name}: ${engine.about.config.relative ? "relative" : "absolute"} attention`;
  }

  const sound = player(() => session.set({}));
  const prompt = promptForm(session, guard);
  const go = el("button", { type: "button", class: "strong", onclick: guard(() => (session.isWriting ? session.stop() : writeOn())) });
  const play = el("button", { type: "button", onclick: () => (sound.isPlaying() ? silence() : listen()) });
  const save = el("button", { type: "button", class: "quiet", onclick: guard(() => saveMidi(session)) }, "Save as MIDI");
  const asked = el("input", { type: "number", min: 1, max: 300, value: seconds, onchange: () => { seconds = Number(asked.value) || 20; } });
  const wide = el("input", { type: "range", min: 20, max: 240, value: zoom, oninput: () => {
    zoom = Number(wide.value);
    session.set({});
  } });
  const layers = segments("Layer", numbered(about.config.layers), session.layer, (layer) => session.set({ layer }));
  const heads = headTicks(about.config.heads, shownHeads, () => session.set({}));
  const state = el("p", { class: "now", role: "status" });
  panel.append(
    prompt.node,
    el("div", { class: "row" }, go, field("Seconds", asked), play, save, field("Width of a second", wide)), state,
    ...runs.flatMap(({ title, roll: each, says }) => [title, each.node, says]),
    el("div", { class: "row" }, layers, heads),
    el("p", { class: "hint" }, "Given notes are grey. Arcs lead from the chosen note to those it was written from, a colour for each head, thick as the weight."));

  async function writeOn() {
    await prompt.ready();
    const written = async () => (await session.engine.notes(session.ids)).cursor.at(-1) ?? 0;
    const before = session.ids.length > session.context ? await written() : 0;
    let steps = 0;
    await session.write({ enough: async () => ++steps % LOOK === 0 && (await written()) - before >= seconds });
  }

  function listen() {
    sound.play(notes, chosen >= 0 ? notes[chosen].start : 0);
    const follow = () => {
      if (!sound.isPlaying()) return runs.forEach(({ roll: each }) => each.cursor(null));
      runs.forEach(({ roll: each }) => each.cursor(sound.time()));
      requestAnimationFrame(follow);
    };
    follow();
    session.set({});
  }
  function silence() {
    sound.stop();
    session.set({});
  }

  function show() {
    const { ids, layer, isWriting, hasEnded } = session;
    layers.show(layer);
    go.textContent = isWriting ? "Stop" : "Write";
    go.disabled = ((hasEnded && !isWriting) || !ids.length) && !prompt.differs();
    play.textContent = sound.isPlaying() ? "Stop playing" : "Play";
    save.disabled = notes.length === 0;
    play.disabled = save.disabled && !sound.isPlaying();
  }

  let begun = session.input;
  session.addEventListener("change", () => {
    if (begun === session.input) return;
    begun = session.input;
    chosen = -1;
    sound.stop(); // it is of the line before, and sounds on while another view is open
  });

  let looked = null;
  async function update() {
    const { ids, context, layer, isWriting, hasEnded } = session;
    if (looked !== ids) {
      notes = (await session.engine.notes(ids)).notes;
      looked = ids;
      if (chosen >= notes.length) chosen = -1;
    }
    show(); // there may be notes now to play and to save
    const end = notes.reduce((last, note) => Math.max(last, note.end), 0);
    const { limit } = session;
    const ending = limit ? `, ended at the page's limit of ${count(limit)} tokens` : hasEnded ? ", complete" : "";
    const words = `${count(notes.length)} ${notes.length === 1 ? "note" : "notes"}, ${clock(end)}${ending}`;
    if (state.textContent !== words) state.textContent = words; // it is read out when it changes
    const at = chosen; // another note may be chosen before its arcs come
    for (const run of runs) {
      const arcs = isWriting || at < 0 ? [] : await arcsPerHead(session, run.engine, layer, shownHeads, notes, at);
      run.roll.show({ notes, chosen: at, zoom, arcs, given: ({ on }) => on < context });
      run.says.textContent = at < 0 ? (notes.length ? "Choose a note." : "Nothing is written yet.") : strongest(arcs, notes, at);
    }
  }
  return { show, update };
}

async function arcsPerHead(session, engine, layer, heads, notes, chosen) {
  const { trace, from } = await session.look(engine);
  const found = [];
  for (const head of heads) {
    if (head >= engine.about.config.heads) continue; // the other run has more
    const weights = await trace.attention(Math.min(layer, engine.about.config.layers - 1), head);
    found.push({ head, arcs: arcsOf(weights, trace.length, from, notes, chosen) });
  }
  return found;
}

function strongest(perHead, notes, chosen) {
  const best = perHead.flatMap(({ head, arcs }) => arcs.map((arc) => ({ head, ...arc }))).sort((a, b) => b.weight - a.weight)[0];
  const name = noteName(notes[chosen].pitch);
  if (!best) return `${name} at ${notes[chosen].start.toFixed(2)} s: these heads look at no earlier note.`;
  return `${name} at ${notes[chosen].start.toFixed(2)} s looks most at ${noteName(notes[best.note].pitch)} at `
    + `${notes[best.note].start.toFixed(2)} s (head ${best.head + 1}, ${percent(best.weight)}).`;
}

/** A box for each head, in its arcs' colour. */
function headTicks(size, shown, changed) {
  return el("fieldset", { class: "head-ticks" }, el("legend", {}, "Heads"),
    Array.from({ length: size }, (_, head) => {
      const box = el("input", { type: "checkbox", checked: true, onchange: () => {
        if (box.checked) shown.add(head);
        else shown.delete(head);
        changed();
      } });
      return el("label", {}, box, el("span", { style: { "--hue": headHue(head) } }, String(head + 1)));
    }));
}

async function saveMidi(session) {
  const file = new Blob([await session.engine.midi(session.ids)], { type: "audio/midi" });
  const link = el("a", { href: URL.createObjectURL(file), download: `${session.about.name.replace(/\W+/g, "-")}.mid` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
