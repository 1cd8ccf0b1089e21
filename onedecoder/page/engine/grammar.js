/**
 * Which event may come next, so that whatever is written is a performance, complete and playable as it stands: what the
 * grammars of all notations have in common. Time is shifted by whole seconds first, then by the rest; within one tick,
 * what begins goes upward.
 */

import { ON, SHIFT, TICKS_PER_SECOND, TIME } from "onedecoder/engine/events.js";

export const LONGEST_SILENCE = 10 * TICKS_PER_SECOND;
const LOWEST = 21, HIGHEST = 108; // of a piano

export class Grammar {
  /** `events` is the codec; ids of the special tokens { compose, continue, accompany, end }. */
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
      isBesideMelody: start >= 0 && prompt[start] === accompany,
      sounding: new Map(), // what is to be known of each key that sounds
      now: 0,
      silence: 0, // ticks since a note began
      begun: -1, // the pitch of the last that began in it
      due: null, // the events of which one has to come, if there are such
      shifted: fromNothing, // whether no further shift may follow
      owing: fromNothing, // whether a note must come before the end
      ended: false,
      left,
    };
    this.begin(state);
    for (const id of [...prompt.slice(start + 1), ...written]) this.#take(state, id);
    state.ended = written.includes(this.special.end);
    return state;
  }

  /** What is so before the first event. */
  begin() {}

  #take(state, id) {
    const kind = this.events.kind[id], value = this.events.value[id];
    if (!kind) return;
    if (kind === SHIFT) {
      state.now += value;
      state.silence += value;
      state.begun = -1;
    } else if (kind === ON) {
      state.begun = value;
      state.silence = 0;
      state.owing = false;
    }
    state.shifted = kind === TIME || (kind === SHIFT && value < TICKS_PER_SECOND);
    this.sound(state, kind, value);
  }

  /** 1 for each id that may come next, of which there is at least one. */
  allowed(state) {
    const allowed = new Uint8Array(this.events.kind.length);
    const over = state.ended || state.left <= 0;
    if (!over && state.due) state.due.forEach((id) => { allowed[id] = 1; });
    else if (!over) this.fill(allowed, state);
    if (!allowed.includes(1)) allowed[this.special.end] = 1; // it is over, or has no room for the note it owes
    return allowed;
  }

  /** Whether a piano has this key, and nothing higher has begun at this tick. */
  upward(state, pitch) {
    return pitch > state.begun && pitch >= LOWEST && pitch <= HIGHEST;
  }
}
