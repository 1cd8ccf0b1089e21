/**
 * Four-part chorales on a grid of 16th notes: one token for what each voice sings, from soprano to bass, then on to the
 * next 16th. Ids are MIDI's pitches, then a rest, then special tokens. (Huang et al. 2018, section 4.1.)
 */

import { onePiano } from "onedecoder/engine/events.js";

export class Grid {
  /** `step`: ticks of 10 ms in a 16th; `velocities` of the voices; `rest`: its id. */
  constructor({ step, velocities, rest }) {
    Object.assign(this, { step, velocities, rest, voices: velocities.length });
  }

  /** A performance as it sounds in the middle of each 16th: of too many tones the highest and the lowest are kept. */
  encode(notes) {
    const { step, voices, rest } = this, end = notes.reduce((last, { offset }) => Math.max(last, offset), 0), ids = [];
    for (let now = Math.floor(step / 2); now < end; now += step) {
      const sounding = notes.filter(({ onset, offset }) => onset <= now && now < offset).map(({ pitch }) => pitch);
      sounding.sort((a, b) => b - a);
      if (!sounding.length) sounding.push(rest);
      const lowest = sounding[sounding.length - 1], upper = sounding.slice(0, -1);
      while (upper.length < voices - 1) upper.push(lowest);
      ids.push(...upper.slice(0, voices - 1), lowest);
    }
    return ids;
  }

  /**
   * The performance that any ids describe, the first at place `first`; a pitch that comes again in its voice is held.
   * Every note says where it began (`on`) and which tokens it is made of.
   */
  decode(ids, first = 0) {
    const { step, voices, rest } = this, notes = [];
    const sung = Array.from(ids.keys()).filter((index) => ids[index] <= rest); // places of the tokens that are sung
    const steps = Math.ceil(sung.length / voices);
    for (let voice = 0; voice < voices; voice++) {
      const at = (when) => sung[when * voices + voice];
      const pitch = (when) => (at(when) === undefined ? rest : ids[at(when)]);
      for (let when = 0; when < steps; ) {
        let until = when + 1;
        while (until < steps && pitch(until) === pitch(when)) until++;
        if (pitch(when) !== rest) {
          const times = { onset: when * step, offset: until * step };
          const tokens = Array.from({ length: until - when }, (_, held) => first + at(when + held));
          notes.push({ pitch: pitch(when), ...times, velocity: this.velocities[voice], on: tokens[0], tokens });
        }
        when = until;
      }
    }
    return onePiano(notes);
  }

  /** The tick at each of `ids`: a voice takes its share of the 16th. */
  ticks(ids) {
    let now = 0;
    return Float64Array.from(ids, (id) => (now += id <= this.rest ? this.step / this.voices : 0));
  }
}
