/**
 * What may come next where a velocity is said when it changes: it is another than the last one, and a note-on follows.
 * A note-on without one takes the last velocity, so that the first note of all has its own.
 */

import { ON, VELOCITY } from "onedecoder/engine/events.js";
import { NoteOffGrammar, WHOLE_NOTE } from "onedecoder/engine/grammar_note_off.js";

export class OnChangeGrammar extends NoteOffGrammar {
  noteTakes = WHOLE_NOTE - 1;

  begin(state) {
    state.last = 0; // velocity
    state.isGiven = false; // one whose note is to come
  }

  sound(state, kind, value) {
    super.sound(state, kind, value);
    state.due = null;
    state.isGiven = kind === VELOCITY;
    if (state.isGiven) state.last = value;
  }

  fill(allowed, state) {
    super.fill(allowed, state);
    const { kind, value } = this.events, { last, isGiven } = state;
    const mayStrike = allowed.some((may, id) => may && kind[id] === ON);
    const mayChange = mayStrike && !isGiven && state.left >= state.sounding.size + WHOLE_NOTE;
    for (let id = 0; id < kind.length; id++) {
      if (kind[id] === VELOCITY) allowed[id] = Number(mayChange && value[id] !== last);
      else if (kind[id] === ON ? !last : isGiven) allowed[id] = 0;
    }
  }
}
