/**
 * Piano performances as events in which a note says how long it lasts, in place of a note-off (MidiTok's TSD): strike a
 * key, how loud, for how long, wait for the next one.
 */

import { Events, LENGTH, ON, SHIFT, TICKS_PER_SECOND, TIME, VELOCITY, onePiano } from "onedecoder/engine/events.js";

const NOTE = [ON, VELOCITY, LENGTH];
const PART = TICKS_PER_SECOND / 4; // how exactly a time is said

export class EventsWithLengths extends Events {
  noteSize = 3;

  constructor(meaning) {
    super(meaning);
    this.lengths = Object.keys(this.id[LENGTH]).map(Number); // upward, in ticks
  }

  /** The events of a performance, lengths being the nearest there are, after which the key may be struck again. */
  encode(notes) {
    const free = notes.map(() => Infinity), last = new Map(); // ticks until a note's key is struck again
    notes.forEach(({ pitch, onset }, index) => {
      if (last.has(pitch)) free[last.get(pitch)] = onset - notes[last.get(pitch)].onset;
      last.set(pitch, index);
    });
    const found = notes.flatMap(({ pitch, onset, offset, velocity }, index) => {
      const length = Math.min(this.#nearest(offset - onset), this.lengths.findLast((each) => each <= free[index]));
      const ids = [this.id[ON][pitch], this.id[VELOCITY][velocity], this.id[LENGTH][length]];
      return ids.map((id) => [onset, id]);
    });
    return this.inTime(found);
  }

  /** The length that is nearest to one, of two as near the shorter. */
  #nearest(length) {
    const { lengths } = this;
    return lengths.find((each, i) => length <= (each + lengths[i + 1]) / 2) ?? lengths[lengths.length - 1];
  }

  decode(ids, first = 0) {
    const now = this.ticks(ids), notes = [];
    ids.forEach((id, index) => {
      if (NOTE.some((kind, beside) => this.kind[ids[index + beside]] !== kind)) return;
      const [pitch, velocity, length] = NOTE.map((_, beside) => this.value[ids[index + beside]]), on = first + index;
      const times = { onset: now[index], offset: now[index] + length };
      notes.push({ pitch, ...times, velocity, on, tokens: [on, on + 1, on + 2] });
    });
    return onePiano(notes);
  }

  /** With the time said before a note begins, wherever it is another than was said last. */
  melody(notes) {
    const ids = this.encode(notes), ticks = this.ticks(ids);
    let said = null;
    return ids.flatMap((id, index) => {
      const time = this.time(ticks[index]);
      if (this.kind[id] === SHIFT || time === said) return [id];
      said = time;
      return [time, id];
    });
  }

  /** The event that says what the time is at a tick. */
  time(tick) {
    const times = this.id[TIME];
    return times[Math.floor(tick / PART) % times.length];
  }

  /** From a note or a wait on, so that no note is cut. */
  ending(ids, room) {
    const kept = super.ending(ids, room);
    return kept.slice(Math.max(0, kept.findIndex((id) => [ON, SHIFT].includes(this.kind[id]))));
  }
}
