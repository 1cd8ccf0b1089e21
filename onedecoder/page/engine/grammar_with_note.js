/**
 * What may come next where a note says how long it lasts.
 *
 * - After a note-on comes its velocity, and after that its length.
 * - A key is struck only where its note has ended.
 * - A shift leads to a note, and the end comes after any note.
 * - Beside a melody no time is shifted: the time is said at which a note begins, later than all before.
 *
 * No 10 s pass without a new note, and a note whose tokens would not all fit does not begin.
 */

import { LENGTH, ON, PART, SHIFT, TICK, TICKS_PER_SECOND, TIME, VELOCITY } from "onedecoder/engine/events.js";
import { Grammar, LONGEST_SILENCE } from "onedecoder/engine/grammar.js";

const WHOLE_NOTE = 3; // tokens: note-on, velocity, length

/** `sounding` says when each key falls silent, and `open` whether a time was said. */
export class WithNoteGrammar extends Grammar {
  begin(state) {
    state.open = !state.isBesideMelody;
  }

  sound(state, kind, value) {
    const { id } = this.events, { now, begun, time } = state;
    if (kind === LENGTH) state.sounding.set(begun, now + value);
    state.due = { [ON]: id[VELOCITY], [VELOCITY]: id[LENGTH] }[kind] ?? null;
    if (kind === TIME) state.due = id[TICK].filter((_, tick) => this.#fits(state, time.said + tick, time.said + tick));
    if (kind !== SHIFT && kind !== TICK) return;
    state.owing = true;
    state.open = true;
  }

  /** Whether a note may begin at one of some ticks. */
  #fits({ now, isBesideMelody, open, silence }, first, last) {
    const earliest = now + Number(isBesideMelody && open);
    return Math.max(first, earliest) <= Math.min(last, now + LONGEST_SILENCE - silence);
  }

  fill(allowed, state) {
    const { kind, value } = this.events, { sounding, left, now, isBesideMelody, open, time } = state;
    const canShift = !isBesideMelody && !state.shifted && left > WHOLE_NOTE;
    const room = canShift ? Math.min(TICKS_PER_SECOND, LONGEST_SILENCE - state.silence) : 0;
    const silent = (pitch) => (sounding.get(pitch) ?? now) <= now;
    const canSay = isBesideMelody && !state.owing && left >= WHOLE_NOTE + 2;
    const ahead = (part) => this.#fits(state, time.next(part), time.next(part) + PART - 1);
    for (let id = 0; id < kind.length; id++) {
      allowed[id] = Number(
        (kind[id] === ON && open && left >= WHOLE_NOTE && this.upward(state, value[id]) && silent(value[id])) ||
        (kind[id] === SHIFT && value[id] <= room) ||
        (kind[id] === TIME && canSay && ahead(value[id])) ||
        (id === this.special.end && !state.owing),
      );
    }
  }
}
