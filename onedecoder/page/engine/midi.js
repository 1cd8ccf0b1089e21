/** Standard MIDI files, read and written. */

import { EngineError } from "onedecoder/engine/errors.js";

const DRUMS = 9; // the channel, counted from 0
const DEFAULT_TEMPO = 500_000; // microseconds in a quarter note
const SMALLEST = 14; // bytes: a header

/**
 * { division, tempos: [[tick, microseconds]], tracks } of a file's bytes. A track is what one channel plays with one
 * program in one of the file's tracks: { name, drum, notes: [{ time, duration, pitch, velocity }], controls: [{ time,
 * number, value }] }, in ticks. A note that is never released is left out.
 */
export function readMidi(bytes) {
  const data = new Reader(bytes);
  if (bytes.length < SMALLEST || data.text(4) !== "MThd") {
    throw new EngineError("This is not a MIDI file: choose one that ends in .mid or .midi.");
  }
  const header = data.number(4), format = data.number(2), count = data.number(2), division = data.number(2);
  if (format > 1) throw new EngineError("This MIDI file holds separate patterns (format 2): save it as format 0 or 1.");
  if (!division) throw new EngineError("This MIDI file does not say how long a beat is: save it anew.");
  if (division & 0x8000) {
    throw new EngineError("This MIDI file counts time in film frames: save it in beats.");
  }
  data.place += header - 6;
  const tempos = [], tracks = [];
  for (let number = 0; number < count && data.place + 8 <= bytes.length; number++) {
    const kind = data.text(4), length = data.number(4);
    if (data.place + length > bytes.length) throw new EngineError("This MIDI file is cut off: copy it once more.");
    if (kind === "MTrk") tracks.push(...readTrack(new Reader(bytes.subarray(data.place, data.place + length)), tempos));
    data.place += length;
  }
  tempos.sort((a, b) => a[0] - b[0]);
  return { division, tempos, tracks };
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.place = 0;
  }

  byte() {
    if (this.place >= this.bytes.length) {
      throw new EngineError("This MIDI file ends within an event: copy it once more.");
    }
    return this.bytes[this.place++];
  }

  number(width) {
    let value = 0;
    while (width--) value = value * 256 + this.byte();
    return value;
  }

  text(length) {
    return String.fromCharCode(...Array.from({ length }, () => this.byte()));
  }

  /** A number in groups of seven bits, of which all but the last are marked. */
  variable() {
    for (let value = 0, i = 0; ; i++) {
      const byte = this.byte();
      value = value * 128 + (byte & 127);
      if (byte < 128) return value;
      if (i === 3) throw new EngineError("This MIDI file holds a number that is too long: write it anew.");
    }
  }
}

function readTrack(data, tempos) {
  const parts = new Map(), programs = new Uint8Array(16), waiting = new Map();
  let now = 0, status = 0, name = "";
  const part = (channel) => {
    const key = channel * 128 + programs[channel];
    if (!parts.has(key)) parts.set(key, { drum: channel === DRUMS, notes: [], controls: [] });
    return parts.get(key);
  };
  while (data.place < data.bytes.length) {
    now += data.variable();
    let first = data.byte();
    if (first === 0xff) {
      const kind = data.byte(), length = data.variable(), start = data.place;
      if (kind === 0x51 && length >= 3) tempos.push([now, data.number(3)]);
      if (kind === 0x03) name = data.text(length);
      if (kind === 0x2f) break;
      data.place = start + length;
      continue;
    }
    if (first === 0xf0 || first === 0xf7) {
      const length = data.variable();
      data.place += length;
      continue;
    }
    if (first & 0x80) {
      status = first;
      first = data.byte();
    } else if (!status) {
      throw new EngineError("This MIDI file holds an event of no kind: write it anew.");
    }
    const kind = status >> 4, channel = status & 15;
    const second = kind === 0xc || kind === 0xd ? 0 : data.byte();
    if (kind === 0xc) programs[channel] = first & 127;
    if (kind === 0xb) part(channel).controls.push({ time: now, number: first, value: second });
    if (kind !== 8 && kind !== 9) continue;
    const key = channel * 128 + (first & 127);
    if (kind === 9 && second) {
      if (!waiting.has(key)) waiting.set(key, []);
      waiting.get(key).push({ part: part(channel), time: now, velocity: second });
    } else if (waiting.get(key)?.length) {
      const { part: own, time, velocity } = waiting.get(key).shift(); // the one that has sounded longest
      own.notes.push({ time, duration: now - time, pitch: first & 127, velocity });
    }
  }
  return Array.from(parts.values(), (own) => ({ name, ...own }));
}

/** A function from ticks to seconds. */
export function clock({ division, tempos }) {
  const changes = [[0, DEFAULT_TEMPO, 0]]; // tick, tempo, seconds until then
  for (const [tick, tempo] of tempos) {
    const [last, before, time] = changes[changes.length - 1];
    changes.push([tick, tempo, time + ((tick - last) * before) / division / 1e6]);
  }
  return (tick) => {
    let i = changes.length - 1;
    while (i && changes[i][0] > tick) i--;
    const [from, tempo, time] = changes[i];
    return time + ((tick - from) * tempo) / division / 1e6;
  };
}

/** The bytes of a file with a track for each of `parts`, by name: notes { pitch, onset, offset, velocity } in 10 ms. */
export function writeMidi(parts) {
  const tempo = [0, 0xff, 0x51, 3, 7, 0xa1, 0x20]; // 120 beats a minute, which the first track says for all
  const tracks = Object.entries(parts).flatMap(([name, notes], number) => {
    const title = [0, 0xff, 0x03, name.length, ...letters(name), ...(number ? [] : tempo)];
    const track = [...title, ...played(notes), 0, 0xff, 0x2f, 0];
    return [...letters("MTrk"), ...wide(track.length), ...track];
  });
  const count = Object.keys(parts).length; // format 0 has one track, format 1 several that sound together
  const header = [...letters("MThd"), 0, 0, 0, 6, 0, Number(count > 1), 0, count, 1, 0xf4];
  return Uint8Array.from([...header, ...tracks]);
}

function played(notes) {
  const perTick = 10, events = [], bytes = []; // 500 ticks to the beat, which are 1 ms each
  for (const { pitch, onset, offset, velocity } of notes) {
    events.push([onset * perTick, 1, [0x90, pitch, velocity]], [offset * perTick, 0, [0x80, pitch, 0]]);
  }
  events.sort((a, b) => a[0] - b[0] || a[1] - b[1]); // what ends at a tick ends before others begin
  let now = 0;
  for (const [tick, , event] of events) {
    bytes.push(...variable(tick - now), ...event);
    now = tick;
  }
  return bytes;
}

const letters = (text) => Array.from(text, (letter) => letter.charCodeAt(0));
const wide = (number) => [24, 16, 8, 0].map((shift) => (number >>> shift) & 255);

function variable(number) {
  const bytes = [number & 127];
  while ((number = Math.floor(number / 128))) bytes.unshift((number & 127) | 128);
  return bytes;
}
