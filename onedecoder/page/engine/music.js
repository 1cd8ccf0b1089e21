/** The notes of a line, and the line as a MIDI file, for both notations. */

import { Grid } from "onedecoder/engine/chorales.js";
import { Events, TICKS_PER_SECOND } from "onedecoder/engine/events.js";
import { writeMidi } from "onedecoder/engine/midi.js";

export const codecOf = (music) => (music.kind === "grid" ? new Grid(music) : new Events(music.meaning));

/** A melody and its accompaniment begin at the same time: they are two stretches of time, all else is one. */
function stretches(music, ids) {
  const at = music.special.accompany === undefined ? -1 : ids.indexOf(music.special.accompany);
  return at < 0 ? [[0, ids]] : [[0, ids.slice(0, at)], [at, ids.slice(at)]];
}

/**
 * { notes, cursor }: notes are { pitch, start, end, velocity, on, off } with times in seconds and the places of the
 * events by which they begin and end (-1: none); `cursor` [ids] is the time at each event.
 */
export function notesOf(music, codec, ids) {
  const parts = stretches(music, ids);
  const notes = parts.flatMap(([first, part]) =>
    codec.decode(part, first).map(({ pitch, onset, offset, velocity, on, off }) => ({
      pitch,
      start: onset / TICKS_PER_SECOND,
      end: offset / TICKS_PER_SECOND,
      velocity,
      on,
      off,
    })),
  );
  const times = parts.map(([, part]) => codec.ticks(part));
  const cursor = Float64Array.from(times.flatMap((part) => Array.from(part)), (tick) => tick / TICKS_PER_SECOND);
  return { notes, cursor };
}

/** A MIDI file of what was written; a primer comes with it, a melody that was accompanied does not. */
export function midiOf(music, codec, ids) {
  const parts = stretches(music, ids);
  return writeMidi(codec.decode(parts[parts.length - 1][1]));
}
