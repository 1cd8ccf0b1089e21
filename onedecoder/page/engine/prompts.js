/**
 * What a person gives, as the line up to where the decoder shall write:
 *
 *     source <separator>    <|endoftext|> text    primer <|continue|>    <|compose|> melody <|accompany|>
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

/**
 * { ids, context, read, seconds }: the line, and how much of what was given it holds, where that is not all of it:
 * `read` = { count, of, from } in tokens, counted from the "beginning" or from the "end", `seconds` = { count, of }.
 */
export function promptOf(data, tools, input) {
  const line = { newTokens: data.about.generation.max_new_tokens, length: data.maxLength };
  const { ids, read = null, seconds = null } = (input.midi ? midiPrompt : textPrompt)(data, tools, input, line);
  return { ids, context: ids.length, read, seconds };
}

function textPrompt({ about, text, music }, { tokenizer }, input, { newTokens, length }) {
  if (music) {
    if (input.text) throw new EngineError("This decoder writes music: give it a MIDI file, or nothing.");
    const job = ["compose", "continue", "accompany"].find((known) => about.jobs.includes(known));
    if (job === "accompany") throw new EngineError("There is no melody to accompany: give a MIDI file.");
    return { ids: [music.special[job]] };
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
    const line = [text.begin, ...source], ids = line.slice(-Math.max(length - newTokens, half));
    return { ids, read: partOf(line, ids.length, "end") };
  }
  const separator = text.separators[input.separator ?? 0].ids;
  const room = Math.max(length - newTokens, half, separator.length) - separator.length;
  return { ids: [...source.slice(0, room), ...separator], read: partOf(source, room, "beginning") };
}

/** How much of some tokens is read, if not all of them. */
const partOf = ({ length }, count, from) => (length > count ? { count, of: length, from } : null);

function midiPrompt({ about, music }, { codec }, input, { newTokens, length }) {
  if (!music) throw new EngineError("This decoder reads text: type or paste some.");
  if (input.midi.length > LARGEST_FILE) {
    throw new EngineError("The file is larger than 2 MB: give a shorter MIDI file.");
  }
  const room = Math.max(length - newTokens, Math.floor(length / 2)) - 1;
  if (music.kind === "grid") {
    const given = codec.encode(performanceOf(input.midi)), most = Math.floor(room / codec.voices) * codec.voices;
    const kept = given.slice(Math.max(0, given.length - most));
    return { ids: [music.special.compose, ...kept], read: partOf(given, kept.length, "end") };
  }
  const job = input.job ?? ["continue", "accompany", "compose"].find((known) => about.jobs.includes(known));
  if (!about.jobs.includes(job)) {
    throw new EngineError(`This decoder has not learned to ${job}; it can ${about.jobs.join(" and ")}.`);
  }
  if (job === "accompany") return melodyPrompt(music, codec, input.midi, room);
  const events = codec.encode(performanceOf(input.midi)), kept = codec.ending(events, room), separator = music.special[job];
  return { ids: job === "continue" ? [...kept, separator] : [separator, ...kept], read: partOf(events, kept.length, "end") };
}

/** The first segment of a file's melody. */
function melodyPrompt({ segmentSeconds, special }, codec, file, room) {
  const again = (notes) => codec.decode(codec.encode(notes)); // so a melody that comes with the data is cut, too
  const whole = again(melodyOf(file)), end = Math.max(0, ...again(fromItsFirstNote(whole, Infinity)).map(({ offset }) => offset));
  const events = codec.melody(fromItsFirstNote(whole, Math.round(segmentSeconds * TICKS_PER_SECOND)));
  const shown = codec.beginning(events, room - 1), of = end / TICKS_PER_SECOND;
  return {
    ids: [special.compose, ...shown, special.accompany],
    read: partOf(events, shown.length, "beginning"),
    seconds: of > segmentSeconds ? { count: segmentSeconds, of } : null,
  };
}
