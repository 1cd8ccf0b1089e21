/**
 * Which event may come next, so that whatever is written is a performance, complete and playable as it stands.
 *
 * - A key is struck only where it is silent, and released only where it sounds; a velocity follows each note-on.
 * - Within one tick, notes end before others begin, and what begins goes upward.
 * - Time is shifted by whole seconds first, then by the rest; a shift leads to a note's beginning or end.
 * - The end comes when nothing sounds.
 *
 * And it is kept from running on: no note sounds longer than 20 s, no 10 s pass without a new one, and everything is
 * released before the tokens are used up.
 */

import { LONGEST_NOTE, OFF, ON, SHIFT, TICKS_PER_SECOND, VELOCITY } from "onedecoder/engine/events.js";

const LONGEST_SILENCE = 10 * TICKS_PER_SECOND;
const PITCHES = 128, LOWEST = 21, HIGHEST = 108; // of MIDI, and of a piano
const WHOLE_NOTE = 4; // tokens of a note from silence: note-on, velocity, shift, note-off

export class Grammar {
  /** `events` as in events.js; ids of the special tokens { compose, continue, accompany, end }. */
  constructor(events, special) {
    this.events = events;
    this.special = special;
  }

  /** What is so after a prompt and what was `written` behind it, `left` tokens being still to come. */
  state(prompt, written, left) {
    const { compose, accompany } = this.special;
    const start = prompt.findLastIndex((id) => id === compose || id === accompany);
    const afterNothing = prompt.length === 1 && prompt[0] === this.special.continue;
    const fromNothing = afterNothing || (start >= 0 && prompt[start] === compose);
    const state = {
      struck: new Map(), // when each sounding key was struck
      now: 0,
      silence: 0, // ticks since a note began
      begun: -1, // the pitch of the last that began in it
      velocity: false, // whether one is due
      shifted: fromNothing, // whether no further shift may follow
      owing: fromNothing, // whether a note must come before the end
      ended: false,
      left,
    };
    for (const id of [...prompt.slice(start + 1), ...written]) this.#take(state, id);
    state.ended = written.includes(this.special.end);
    return state;
  }

  #take(state, id) {
    const kind = this.events.kind[id], value = this.events.value[id];
    if (kind === SHIFT) {
      state.now += value;
      state.silence += value;
      state.begun = -1;
      state.owing ||= !state.struck.size;
    } else if (kind === OFF && state.struck.has(value)) {
      state.struck.delete(value);
    } else if (kind === ON) {
      state.struck.set(value, state.now);
      state.begun = value;
      state.silence = 0;
      state.owing = false;
    }
    if (kind) {
      state.velocity = kind === ON;
      state.shifted = kind === SHIFT && value < TICKS_PER_SECOND;
    }
  }

  /** 1 for each id that may come next, of which there is at least one. */
  allowed(state) {
    const { kind, value } = this.events, { end } = this.special, { struck, begun, left, now } = state;
    const allowed = new Uint8Array(kind.length), over = state.ended || left <= 0;
    if (!over && state.velocity) return allowed.map((_, id) => Number(kind[id] === VELOCITY));

    const notes = struck.size, silent = !notes;
    const order = (pitch) => struck.get(pitch) * PITCHES + pitch;
    const oldest = Math.min(...Array.from(struck.keys(), order)), age = silent ? 0 : now - Math.floor(oldest / PITCHES);
    // After one has begun notes have to wait for the next tick to be released: that takes a shift.
    const waiting = !silent && begun >= 0;
    const late = !silent && age >= LONGEST_NOTE;
    // Then the oldest ends first.
    const inOrder = late || state.silence >= LONGEST_SILENCE || left <= notes;
    const canBegin = !late && left >= notes + WHOLE_NOTE; // itself, its velocity, a shift, and all releases
    let room = LONGEST_SILENCE - state.silence;
    if (!silent) room = Math.max(Math.min(room, LONGEST_NOTE - age), Number(waiting));
    if (state.shifted || !(waiting || left > (silent ? WHOLE_NOTE : notes))) room = 0;

    const mayEnd = (place) => !inOrder || place === oldest;
    let any = false;
    for (let id = 0; id < kind.length && !over; id++) {
      const key = value[id];
      const may =
        (kind[id] === ON && canBegin && key > begun && key >= LOWEST && key <= HIGHEST && !struck.has(key)) ||
        (kind[id] === OFF && struck.has(key) && begun < 0 && mayEnd(order(key))) ||
        (kind[id] === SHIFT && key <= room) ||
        (id === end && silent && !state.owing);
      allowed[id] = Number(may);
      any ||= may;
    }
    if (!any) allowed[end] = 1; // a line that is over, or has no room for the note it owes
    return allowed;
  }
}
