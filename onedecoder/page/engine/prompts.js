/**
 * What a person gives, as the line up to where the decoder shall write:
 *
 *     source <separator>      <|endoftext|> text      primer <|continue|>      melody <|accompany|>
 *
 * It leaves room for what is to be written, and at least half of the line to what is given.
 */

import { EngineError } from "onedecoder/engine/errors.js";
import { TICKS_PER_SECOND } from "onedecoder/engine/events.js";
import { fromItsFirstNote, melodyOf, performanceOf } from "onedecoder/engine/performance.js";

const LONGEST_TEXT = 1_000_000; // characters
const LARGEST_FILE = 2_000_000; // bytes; an hour of piano is a tenth of it
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const AROUND = new RegExp(`^[${SPACE}]+|[${SPACE}]+$`, "g");

/** { ids, context, cut }: of the tokens given, `cut` did not fit. */
export function promptOf(data, tools, input) {
  const line = { newTokens: data.about.generation.max_new_tokens, length: data.maxLength };
  const ids = input.midi ? midiPrompt(data, tools, input, line) : textPrompt(data, tools, input, line);
  return { ids: ids.line, context: ids.line.length, cut: ids.cut };
}

function textPrompt({ about, text, music }, { tokenizer }, input, { newTokens, length }) {
  if (music) {
    if (input.text) throw new EngineError("This decoder writes music: give it a MIDI file, or nothing.");
    const job = ["compose", "continue", "accompany"].find((known) => about.jobs.includes(known));
    if (job === "accompany") throw new EngineError("There is no melody to accompany: give a MIDI file.");
    return { line: [music.special[job]], cut: 0 };
  }
  const given = input.text ?? "";
  if (given.length > LONGEST_TEXT) {
    throw new EngineError("The text is longer than a million characters: give a part of it.");
  }
  if (about.needsInput && !given.replace(AROUND, "")) {
    throw new EngineError("There is nothing to write for: type a text first.");
  }
  const source = tokenizer.encode(text.strip ? given.replace(AROUND, "") : given);
  const half = Math.floor(length / 2);
  if (text.begin !== null) {
    const ids = [text.begin, ...source], room = Math.max(length - newTokens, half);
    return { line: ids.slice(-room), cut: Math.max(0, ids.length - room) };
  }
  const separator = text.separators[input.separator ?? 0].ids;
  const room = Math.max(length - newTokens, half, separator.length) - separator.length;
  return { line: [...source.slice(0, room), ...separator], cut: Math.max(0, source.length - room) };
}

function midiPrompt({ about, music }, { codec }, input, { newTokens, length }) {
  if (!music) throw new EngineError("This decoder reads text: type or paste some.");
  if (input.midi.length > LARGEST_FILE) {
    throw new EngineError("The file is larger than 2 MB: give a shorter MIDI file.");
  }
  const room = Math.max(length - newTokens, Math.floor(length / 2)) - 1;
  if (music.kind === "grid") {
    const given = codec.encode(performanceOf(input.midi));
    const cut = Math.max(0, given.length - Math.floor(room / codec.voices) * codec.voices);
    return { line: [music.special.compose, ...given.slice(cut)], cut };
  }
  const job = input.job ?? ["continue", "accompany", "compose"].find((known) => about.jobs.includes(known));
  if (!about.jobs.includes(job)) {
    throw new EngineError(`This decoder has not learned to ${job}; it can ${about.jobs.join(" and ")}.`);
  }
  if (job === "accompany") {
    // As events and back: so a melody that comes with the data is cut, too.
    const whole = codec.decode(codec.encode(melodyOf(input.midi)));
    const melody = codec.melody(fromItsFirstNote(whole, Math.round(music.segmentSeconds * TICKS_PER_SECOND)));
    return { line: [...melody.slice(0, room), music.special.accompany], cut: Math.max(0, melody.length - room) };
  }
  const events = codec.encode(performanceOf(input.midi)), kept = codec.ending(events, room);
  const separator = music.special[job], cut = Math.max(0, events.length - room);
  return { line: job === "continue" ? [...kept, separator] : [separator, ...kept], cut };
}
