/**
 * What may come next where a note says how long it lasts.
 *
 * - After a note-on comes its velocity, and after that its length.
 * - A key is struck only where its note has ended.
 * - A shift leads to a note, and the end comes after any note.
 * - Beside a melody the time is said before a note begins, where it is another than was said last.
 *
 * No 10 s pass without a new note, and a note whose tokens would not all fit does not begin.
 */

import { LENGTH, ON, SHIFT, TICKS_PER_SECOND, TIME, VELOCITY } from "onedecoder/engine/events.js";
import { Grammar, LONGEST_SILENCE } from "onedecoder/engine/grammar.js";

const WHOLE_NOTE = 3; // tokens: note-on, velocity, length

/** `sounding` says when each key falls silent, and beside a melody `said` the event of the time that was said last. */
export class WithNoteGrammar extends Grammar {
  begin(state) {
    state.said = null;
  }

  sound(state, kind, value) {
    const { id } = this.events, { now, begun } = state;
    if (kind === SHIFT || kind === TIME) state.owing = true;
    if (kind === TIME) state.said = this.events.time(now);
    else if (kind === LENGTH) state.sounding.set(begun, now + value);
    state.due = { [ON]: id[VELOCITY], [VELOCITY]: id[LENGTH] }[kind] ?? null;
  }

  fill(allowed, state) {
    const { kind, value } = this.events, { sounding, left, now, isBesideMelody } = state;
    const canShift = !state.shifted && left > WHOLE_NOTE + Number(isBesideMelody);
    const room = canShift ? Math.min(TICKS_PER_SECOND, LONGEST_SILENCE - state.silence) : 0;
    const silent = (pitch) => (sounding.get(pitch) ?? now) <= now;
    const time = isBesideMelody ? this.events.time(now) : state.said, unsaid = time !== state.said;
    for (let id = 0; id < kind.length; id++) {
      allowed[id] = Number(
        (kind[id] === ON && left >= WHOLE_NOTE && !unsaid && this.upward(state, value[id]) && silent(value[id])) ||
        (kind[id] === SHIFT && value[id] <= room) ||
        (id === time && unsaid && left > WHOLE_NOTE) ||
        (id === this.special.end && !state.owing),
      );
    }
  }
}
