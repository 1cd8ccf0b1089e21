/**
 * What may come next where notes are released by events of their own.
 *
 * - A key is struck only where it is silent, and released only where it sounds; a velocity follows each note-on.
 * - Within one tick, notes end before others begin.
 * - A shift leads to a note's beginning or end, and the end comes when nothing sounds.
 *
 * And it is kept from running on: no note sounds longer than 20 s, no 10 s pass without a new one, and everything is
 * released before the tokens are used up.
 */

import { LONGEST_NOTE, OFF, ON, SHIFT, VELOCITY } from "onedecoder/engine/events.js";
import { Grammar, LONGEST_SILENCE } from "onedecoder/engine/grammar.js";

const PITCHES = 128;
export const WHOLE_NOTE = 4; // tokens of a note from silence: note-on, velocity, shift, note-off

/** `sounding` says when each key was struck. */
export class NoteOffGrammar extends Grammar {
  noteTakes = WHOLE_NOTE; // tokens from a note-on to the note's release, at least

  sound(state, kind, value) {
    if (kind === SHIFT) state.owing ||= !state.sounding.size;
    else if (kind === OFF) state.sounding.delete(value);
    else if (kind === ON) state.sounding.set(value, state.now);
    state.due = kind === ON ? this.events.id[VELOCITY] : null;
  }

  fill(allowed, state) {
    const { kind, value } = this.events, { sounding, begun, left, now } = state;
    const notes = sounding.size, silent = !notes;
    const order = (pitch) => sounding.get(pitch) * PITCHES + pitch;
    const oldest = Math.min(...Array.from(sounding.keys(), order)), age = silent ? 0 : now - Math.floor(oldest / PITCHES);
    // After one has begun notes have to wait for the next tick to be released: that takes a shift.
    const waiting = !silent && begun >= 0;
    const late = !silent && age >= LONGEST_NOTE;
    // Then the oldest ends first.
    const inOrder = late || state.silence >= LONGEST_SILENCE || left <= notes;
    const canBegin = !late && left >= notes + this.noteTakes; // itself, its velocity, a shift, and all releases
    let room = LONGEST_SILENCE - state.silence;
    if (!silent) room = Math.max(Math.min(room, LONGEST_NOTE - age), Number(waiting));
    if (state.shifted || !(waiting || left > (silent ? WHOLE_NOTE : notes))) room = 0;

    const mayEnd = (place) => !inOrder || place === oldest;
    for (let id = 0; id < kind.length; id++) {
      const key = value[id];
      allowed[id] = Number(
        (kind[id] === ON && canBegin && this.upward(state, key) && !sounding.has(key)) ||
        (kind[id] === OFF && sounding.has(key) && begun < 0 && mayEnd(order(key))) ||
        (kind[id] === SHIFT && key <= room) ||
        (id === this.special.end && silent && !state.owing),
      );
    }
  }
}
