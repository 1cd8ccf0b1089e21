/**
 * Piano performances as events: strike a key, how loud, wait, release it (Performance RNN, Oore et al. 2018). Times are
 * ticks of 10 ms.
 *
 * A performance is a list of notes { pitch, onset, offset, velocity }, ordered by onset and then pitch; a key sounds
 * one note at a time.
 */

export const TICKS_PER_SECOND = 100;
const LONGEST_UNRELEASED = 10 * TICKS_PER_SECOND; // a piano string left alone is silent by then
export const LONGEST_NOTE = 20 * TICKS_PER_SECOND;
export const ON = 1, OFF = 2, VELOCITY = 3, SHIFT = 4, LENGTH = 5, TIME = 6;

export class Events {
  noteSize = 2; // the events of a note that stand side by side

  /** `meaning` has [kind, value] for every id; kind 0 is a special token. */
  constructor(meaning) {
    this.kind = Uint8Array.from(meaning, ([kind]) => kind);
    this.value = Int16Array.from(meaning, ([, value]) => value);
    this.id = Array.from({ length: 7 }, () => []); // by kind, and then by value
    meaning.forEach(([kind, value], id) => { if (kind) this.id[kind][value] = id; });
  }

  /** The events of a performance; at one tick, notes end before others begin. */
  encode(notes) {
    const found = [];
    for (const { pitch, onset, offset, velocity } of notes) {
      found.push([onset, this.id[ON][pitch]], [onset, this.id[VELOCITY][velocity]], [offset, this.id[OFF][pitch]]);
    }
    return this.inTime(found);
  }

  /** Events [tick, id] one after the other, at one tick in the order given, with shifts between them. */
  inTime(found) {
    found.sort((a, b) => a[0] - b[0]); // stable
    const ids = [];
    let now = 0;
    for (const [tick, id] of found) {
      for (; tick - now >= TICKS_PER_SECOND; now += TICKS_PER_SECOND) ids.push(this.id[SHIFT][TICKS_PER_SECOND]);
      if (tick > now) ids.push(this.id[SHIFT][tick - now]);
      now = tick;
      ids.push(id);
    }
    return ids;
  }

  /**
   * The performance that any ids describe; what makes no sense is passed over. Every note says which events it is made
   * of (`tokens`, the first being where it began, `on`): places in `ids`, counted from `first`.
   */
  decode(ids, first = 0) {
    const notes = [], sounding = new Map();
    let now = 0, struck = -1;
    ids.forEach((id, index) => {
      const kind = this.kind[id], value = this.value[id], at = first + index;
      if (kind === SHIFT) {
        now += value;
      } else if (kind === OFF && sounding.has(value)) {
        sounding.get(value).offset = now;
        sounding.get(value).tokens.push(at);
        sounding.delete(value);
      } else if (kind === VELOCITY && struck >= 0) {
        if (sounding.has(struck)) sounding.get(struck).offset = now;
        const times = { onset: now, offset: now + LONGEST_UNRELEASED };
        const note = { pitch: struck, ...times, velocity: value, on: at - 1, tokens: [at - 1, at] };
        sounding.set(struck, note);
        notes.push(note);
      }
      struck = kind === ON ? value : -1;
    });
    for (const note of notes) note.offset = Math.min(note.offset, now);
    return onePiano(notes);
  }

  /** The events of a melody, as they stand before its accompaniment. */
  melody(notes) {
    return this.encode(notes);
  }

  /** The first of some events, at most `room`, so that no note is cut. */
  beginning(ids, room) {
    const kept = ids.slice(0, room), cut = kept.findLastIndex((id) => this.kind[id] === ON);
    return ids.length > room && cut > kept.length - this.noteSize ? kept.slice(0, cut) : kept;
  }

  /** The last of some events, at most `room`, as they say the same without the others. */
  ending(ids, room) {
    return ids.slice(Math.max(0, ids.length - room));
  }

  /** The tick at each of `ids`; a shift counts as passed. */
  ticks(ids) {
    let now = 0;
    return Float64Array.from(ids, (id) => (now += this.kind[id] === SHIFT ? this.value[id] : 0));
  }
}

/**
 * A performance of any notes: of those struck together on one key the longest stays, one that still sounds when its
 * key is struck again ends there, none is shorter than a tick or longer than 20 s, velocities are in 32 bins.
 */
export function onePiano(notes) {
  const ordered = notes.map((note) => ({ ...note }));
  ordered.sort((a, b) => a.onset - b.onset || a.pitch - b.pitch || b.offset - a.offset);
  const same = (one, other) => one?.onset === other.onset && one.pitch === other.pitch;
  const kept = ordered.filter((note, i) => !same(ordered[i - 1], note));
  const last = new Map();
  for (const note of kept) {
    const before = last.get(note.pitch);
    if (before) before.offset = Math.min(before.offset, note.onset);
    last.set(note.pitch, note);
  }
  for (const note of kept) {
    note.offset = note.onset + Math.min(Math.max(note.offset - note.onset, 1), LONGEST_NOTE);
    note.velocity = Math.floor(Math.max(note.velocity - 1, 0) / 4) * 4 + 3;
  }
  return kept;
}

/** The notes that begin from tick `start` to before `stop`, where all end; `start` becomes 0. */
export function excerpt(notes, start, stop) {
  return onePiano(
    notes
      .filter(({ onset }) => start <= onset && onset < stop)
      .map((note) => ({ ...note, onset: note.onset - start, offset: Math.min(note.offset, stop) - start })),
  );
}
