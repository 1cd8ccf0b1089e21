/** The notes of a line, and the line as a MIDI file, for all notations. */

import { EventsWithChanges } from "onedecoder/engine/changes.js";
import { Grid } from "onedecoder/engine/chorales.js";
import { Events, TICKS_PER_SECOND } from "onedecoder/engine/events.js";
import { EventsWithLengths } from "onedecoder/engine/lengths.js";
import { writeMidi } from "onedecoder/engine/midi.js";

const DOUBLED = TICKS_PER_SECOND / 10; // a note struck so near to the melody's own on its key is the melody

const EVENTS = { note_off: Events, with_note: EventsWithLengths, on_change: EventsWithChanges };

export const codecOf = (music) => (music.kind === "grid" ? new Grid(music) : new EVENTS[music.notation](music.meaning));

/** A melody and its accompaniment begin at the same time: they are two stretches of time, all else is one. */
function stretches(music, ids) {
  const at = music.special.accompany === undefined ? -1 : ids.indexOf(music.special.accompany);
  return at < 0 ? [[0, ids]] : [[0, ids.slice(0, at)], [at, ids.slice(at)]];
}

/** The performances of a line's stretches; what an accompaniment doubles is its melody's alone. */
function performances(codec, parts) {
  const [first, second] = parts.map(([at, part]) => codec.decode(part, at));
  const isDoubled = (note) => first.some(({ pitch, onset }) => (
    pitch === note.pitch && Math.abs(onset - note.onset) <= DOUBLED));
  return second ? [first, second.filter((note) => !isDoubled(note))] : [first];
}

/**
 * { notes, cursor }: notes are { pitch, start, end, velocity, on, tokens } with times in seconds and the places of the
 * event by which they begin and of all that they are made of; `cursor` [ids] is the time at each event.
 */
export function notesOf(music, codec, ids) {
  const parts = stretches(music, ids);
  const notes = performances(codec, parts).flat().map(({ pitch, onset, offset, velocity, on, tokens }) => ({
    pitch,
    start: onset / TICKS_PER_SECOND,
    end: offset / TICKS_PER_SECOND,
    velocity,
    on,
    tokens,
  }));
  const times = parts.map(([, part]) => codec.ticks(part));
  const cursor = Float64Array.from(times.flatMap((part) => Array.from(part)), (tick) => tick / TICKS_PER_SECOND);
  return { notes, cursor };
}

/** A MIDI file of the whole line, a melody and its accompaniment on tracks of their own, as `generate.py` writes it. */
export function midiOf(music, codec, ids) {
  const [first, second] = performances(codec, stretches(music, ids));
  return writeMidi(second ? { Melody: first, Accompaniment: second } : { Piano: first });
}
