/** The engine of an exported page: the weights are in it, and the forward pass is computed here. */

import { allowedAfter } from "onedecoder/engine/allowed.js";
import { counts } from "onedecoder/engine/counts.js";
import { Cache, Decoder } from "onedecoder/engine/decoder.js";
import { EngineError } from "onedecoder/engine/errors.js";
import { codecOf, midiOf, notesOf } from "onedecoder/engine/music.js";
import { promptOf } from "onedecoder/engine/prompts.js";
import { choose } from "onedecoder/engine/sampling.js";
import { Queue, inSlices } from "onedecoder/engine/slices.js";
import { Tokenizer } from "onedecoder/engine/tokenizer.js";
import { traceOf } from "onedecoder/engine/trace.js";
import { bytesOf, tensorsOf } from "onedecoder/engine/weights.js";

export class LocalEngine {
  #queue = new Queue();

  /** `data` is what the exporter wrote into the page. */
  constructor(data) {
    this.data = data;
    this.about = { ...data.about, kind: "local" };
    this.names = data.names;
    this.decoder = new Decoder(data.config, tensorsOf(data.tensors, bytesOf(data.weights)));
    this.cache = new Cache(data.config, data.config.context);
    this.tools = {
      tokenizer: data.tokenizer && new Tokenizer(data.tokenizer),
      codec: data.music && codecOf(data.music),
    };
  }

  async prompt(input) {
    return promptOf(this.data, this.tools, input);
  }

  /** Scores [V] over what comes after the last of `ids`, and what a grammar allows there (null: anything). */
  async next(ids, context) {
    if (!ids.length) throw new EngineError("There is no line yet: give something to begin with.");
    const start = windowStart(ids.length, this.data.config.context, this.about.sliding), rest = ids.slice(start);
    const line = (start && this.tools.codec?.ending?.(rest, rest.length)) || rest;
    const given = Math.max(0, context - ids.length + line.length);
    const logits = await this.#queue.run(async () => {
      const states = await inSlices(this.decoder.read(line, given, this.cache));
      return this.decoder.next(states, states.length - this.data.config.width, line.length - 1, this.cache);
    });
    return { logits, allowed: allowedAfter(this.data, this.tools.codec, ids, context) };
  }

  choose(next, settings) {
    return choose(next, settings, this.about.moves);
  }

  async text(ids) {
    return this.tools.tokenizer ? this.tools.tokenizer.decode(ids) : "";
  }

  async notes(ids) {
    return notesOf(this.data.music, this.tools.codec, ids);
  }

  async midi(ids) {
    return midiOf(this.data.music, this.tools.codec, ids);
  }

  /** The line read once, to be looked into; of one that is longer than the context, its end. */
  async trace(ids, context) {
    const most = this.data.config.context, start = Math.max(0, ids.length - most);
    if (!ids.length) throw new EngineError("There is no line yet: give something to begin with.");
    return this.#queue.run(() => inSlices(traceOf(this.decoder, ids.slice(start), Math.max(0, context - start))));
  }

  async counts(length) {
    return counts(this.data.config, length);
  }
}

/**
 * Where the part of a line begins that is read to go on with it. A line that has filled the context is read from its
 * latter half on, until the context is full again.
 */
export function windowStart(length, context, sliding) {
  if (length < context) return 0;
  if (!sliding) throw new EngineError("The line has reached the end of the decoder's context.");
  const moved = context - Math.floor(context / 2);
  return (Math.floor((length - context) / moved) + 1) * moved;
}
