/**
 * What may come next where a note says how long it lasts.
 *
 * - After a note-on comes its velocity, and after that its length.
 * - A key is struck only where its note has ended.
 * - A shift leads to a note, and the end comes after any note.
 * - Beside a melody each second is said when it begins, and no shift passes one.
 *
 * No 10 s pass without a new note, and a note whose tokens would not all fit does not begin.
 */

import { LENGTH, ON, SHIFT, TICKS_PER_SECOND, VELOCITY } from "onedecoder/engine/events.js";
import { Grammar, LONGEST_SILENCE } from "onedecoder/engine/grammar.js";

const WHOLE_NOTE = 3; // tokens: note-on, velocity, length

/** `sounding` says when each key falls silent. */
export class WithNoteGrammar extends Grammar {
  begin(state) {
    if (state.isBesideMelody) state.due = [this.events.second(0)];
  }

  sound(state, kind, value) {
    const { id } = this.events, { now, begun } = state;
    if (kind === SHIFT) state.owing = true;
    else if (kind === LENGTH) state.sounding.set(begun, now + value);
    state.due = { [ON]: id[VELOCITY], [VELOCITY]: id[LENGTH] }[kind] ?? null;
    const beginsSecond = kind === SHIFT && now % TICKS_PER_SECOND === 0;
    if (state.isBesideMelody && beginsSecond) state.due = [this.events.second(now)];
  }

  fill(allowed, state) {
    const { kind, value } = this.events, { sounding, left, now, isBesideMelody } = state;
    const canShift = !state.shifted && left > WHOLE_NOTE + Number(isBesideMelody);
    const longest = isBesideMelody ? TICKS_PER_SECOND - (now % TICKS_PER_SECOND) : TICKS_PER_SECOND;
    const room = canShift ? Math.min(longest, LONGEST_SILENCE - state.silence) : 0;
    const silent = (pitch) => (sounding.get(pitch) ?? now) <= now;
    for (let id = 0; id < kind.length; id++) {
      allowed[id] = Number(
        (kind[id] === ON && left >= WHOLE_NOTE && this.upward(state, value[id]) && silent(value[id])) ||
        (kind[id] === SHIFT && value[id] <= room) ||
        (id === this.special.end && !state.owing),
      );
    }
  }
}
