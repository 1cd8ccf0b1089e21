/** The same events with a velocity only where it changes, before the note (Performance RNN, Oore et al. 2018). */

import { Events, ON, VELOCITY } from "onedecoder/engine/events.js";

const UNKNOWN = 63; // the velocity of notes that no velocity comes before

export class EventsWithChanges extends Events {
  encode(notes) {
    return this.#compact(super.encode(notes), -1);
  }

  /** Without the velocities that say nothing new after `last`, an id. */
  #compact(ids, last) {
    const found = [];
    ids.forEach((id, index) => {
      if (this.kind[id] === VELOCITY) return;
      const velocity = this.kind[id] === ON ? ids[index + 1] : last;
      found.push(...(velocity === last ? [] : [velocity]), id);
      last = velocity;
    });
    return found;
  }

  /** { ids, places }: with a velocity after every note-on, the first after `last`, and where each of them stands. */
  #expand(ids, last) {
    const found = { ids: [], places: [] }, add = (id, place) => found.ids.push(id) && found.places.push(place);
    let velocity = last, at = -2; // where it stands: before no event as yet
    ids.forEach((id, index) => {
      if (this.kind[id] === VELOCITY) {
        [velocity, at] = [id, index];
        return;
      }
      add(id, index);
      if (this.kind[id] === ON) add(velocity, at === index - 1 ? at : index);
    });
    return found;
  }

  decode(line, first = 0) {
    const { ids, places } = this.#expand(line, this.id[VELOCITY][UNKNOWN]), at = (place) => first + places[place];
    return super.decode(ids).map((note) => ({ ...note, on: at(note.on), tokens: [...new Set(note.tokens.map(at))] }));
  }

  /** The first note that is kept may take a velocity that stood before it. */
  ending(ids, room) {
    const cut = ids.length - room + 1;
    if (cut <= 1) return ids;
    const last = ids.slice(0, cut).findLast((id) => this.kind[id] === VELOCITY) ?? this.id[VELOCITY][UNKNOWN];
    return this.#compact(this.#expand(ids.slice(cut), last).ids, -1);
  }
}
