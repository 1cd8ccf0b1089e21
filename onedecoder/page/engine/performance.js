/** MIDI files as performances on one piano, and the melody in them: what the Python package makes of the same file, but
 * for a hundredth of a second that may be rounded the other way after changes of tempo. */

import { EngineError } from "onedecoder/engine/errors.js";
import { TICKS_PER_SECOND, excerpt, onePiano } from "onedecoder/engine/events.js";
import { clock, readMidi } from "onedecoder/engine/midi.js";

const SUSTAIN_PEDAL = 64, DOWN = 64; // the number of the control change, and the least value of a pedal held down
const CHORD = TICKS_PER_SECOND / 20; // notes struck within so many ticks are one chord
const LONGEST_PIECE = 24; // hours; a file that lasts longer has a tempo or a pause that nobody meant
const single = Math.fround; // times in seconds are kept in 32 bits, as the library of the Python package keeps them

function pitched(bytes) {
  const score = readMidi(bytes);
  score.tracks = score.tracks.filter(({ drum, notes }) => !drum && notes.length);
  if (!score.tracks.length) throw new EngineError("This MIDI file holds no pitched note: it is empty, or drums only.");
  const seconds = clock(score);
  const ends = score.tracks.flatMap(({ notes }) => notes.map(({ time, duration }) => seconds(time + duration)));
  if (ends.some((end) => end > 3600 * LONGEST_PIECE)) {
    throw new EngineError(`This MIDI file lasts longer than ${LONGEST_PIECE} hours: mend its tempo or its pauses.`);
  }
  return score;
}

/** All pitched tracks on one piano, the pedal carried into the lengths of the notes, counted from the first note. */
export function performanceOf(bytes) {
  const score = pitched(bytes);
  score.tracks.forEach(sustain);
  return merged(score, score.tracks);
}

/** The melody: the tracks of that name, or else of all notes those on top; and as performanceOf the whole. */
export function melodyOf(bytes) {
  const score = pitched(bytes);
  const named = score.tracks.filter(({ name }) => name.trim().toLowerCase() === "melody");
  return skyline(merged(score, named.length ? named : score.tracks));
}

/** The first `ticks` of a melody, without the rest before it. */
export function fromItsFirstNote(melody, ticks) {
  const start = melody.length ? melody[0].onset : 0;
  return excerpt(melody, start, start + ticks);
}

/** Lets every note of a track whose key is let go while the pedal is down sound until the pedal comes up. */
function sustain(track) {
  const pedal = track.controls.filter(({ number }) => number === SUSTAIN_PEDAL);
  const releases = pedal.filter(({ value }) => value < DOWN).map(({ time }) => time);
  const ends = track.notes.map(({ time, duration }) => time + duration);
  const last = [...ends, ...pedal.map(({ time }) => time)].reduce((a, b) => Math.max(a, b), 0);
  track.notes.forEach((note, index) => {
    const before = countUpTo(pedal, ends[index]);
    if (!before || pedal[before - 1].value < DOWN) return;
    const release = releases.find((time) => time > ends[index]) ?? last;
    note.duration = release - note.time;
  });
}

function countUpTo(pedal, time) {
  let low = 0, high = pedal.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (pedal[middle].time <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The chosen tracks in ticks of 10 ms, counted from the first note of all tracks. */
function merged(score, chosen) {
  const seconds = clock(score);
  const earliest = score.tracks.flatMap(({ notes }) => notes.map(({ time }) => time)).reduce((a, b) => Math.min(a, b));
  const first = single(seconds(earliest));
  return onePiano(
    chosen.flatMap(({ notes }) =>
      notes.map(({ time, duration, pitch, velocity }) => {
        const onset = single(seconds(time)), length = single(single(seconds(time + duration)) - onset);
        const [from, to] = [onset - first, onset - first + length].map((when) => rounded(when * TICKS_PER_SECOND));
        return { pitch, onset: from, offset: to, velocity };
      }),
    ),
  );
}

/** To the nearest whole number, of two as near to the even one. */
function rounded(value) {
  const low = Math.floor(value), rest = value - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}

/**
 * The highest note at each onset, one at a time (Uitdenbogerd and Zobel 1998); a note is left out where a higher one
 * sounds 50 ms after it was struck. Each ends where the next begins.
 */
function skyline(notes) {
  const end = notes.reduce((last, { offset }) => Math.max(last, offset), 0) + CHORD + 1;
  const highest = new Uint8Array(end);
  const upward = [...notes].sort((a, b) => a.pitch - b.pitch);
  for (const { pitch, onset, offset } of upward) highest.fill(pitch, onset, offset);
  const top = notes.filter(({ pitch, onset }) => pitch >= highest[onset + CHORD]);
  const kept = top.filter(({ onset }, i) => (top[i + 1]?.onset ?? end) > onset); // of those struck together the last
  return onePiano(kept.map((note, i) => ({ ...note, offset: Math.min(note.offset, kept[i + 1]?.onset ?? end) })));
}
