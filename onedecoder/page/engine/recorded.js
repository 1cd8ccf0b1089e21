/**
 * The engine of a page of recorded inputs, for decoders too large to travel in it: what was written for each input, and
 * what could be seen while it was. Vectors are kept in 8 bits, scores in 16.
 */

import { allowedAfter } from "onedecoder/engine/allowed.js";
import { counts } from "onedecoder/engine/counts.js";
import { EngineError } from "onedecoder/engine/errors.js";
import { codecOf, midiOf, notesOf } from "onedecoder/engine/music.js";
import { dot, softmax } from "onedecoder/engine/operations.js";
import { overviewOf } from "onedecoder/engine/overview.js";
import { choose } from "onedecoder/engine/sampling.js";
import { Tokenizer } from "onedecoder/engine/tokenizer.js";
import { bytesOf, tensorsOf } from "onedecoder/engine/weights.js";

export class RecordedEngine {
  constructor(data) {
    this.data = data;
    const inputs = data.recordings.map(({ input }) => input);
    const examples = inputs.map((text) => ({ text }));
    this.about = { ...data.about, kind: "recorded", inputs, examples };
    this.names = data.names;
    this.tokenizer = data.tokenizer && new Tokenizer(data.tokenizer);
    this.codec = data.music && codecOf(data.music);
    this.recordings = data.recordings.map(({ ids, context, lens, tensors, weights }) => ({
      ids,
      context,
      lens,
      tensors: tensorsOf(tensors, bytesOf(weights)),
    }));
  }

  async prompt({ text, midi }) {
    const found = this.about.inputs.indexOf(midi ? undefined : text || this.about.inputs[0]);
    if (found < 0) {
      const known = this.about.inputs.map((input) => `“${input}”`).join(", ");
      throw new EngineError(`This page is a recording: it knows ${known}.`);
    }
    const { ids, context } = this.recordings[found];
    return { ids: ids.slice(0, context), context, read: null, seconds: null };
  }

  /** The recording that begins with `ids`. */
  #of(ids) {
    const found = this.recordings.find((one) => ids.every((id, i) => id === one.ids[i]));
    if (!found) throw new EngineError("This page is a recording: what would follow other tokens is not in it.");
    return found;
  }

  /** Refuses a line that was not recorded, before the page goes on with it. */
  check(ids) {
    this.#of(ids);
  }

  /** Whether a recording ends here. */
  isOver(ids) {
    return this.#of(ids).ids.length === ids.length;
  }

  async next(ids, context) {
    const recording = this.#of(ids), logits = logitsOf("next", recording, ids.length - 1, this.about.config.vocabulary);
    const written = recording.ids[ids.length];
    return { logits, allowed: allowedAfter(this.data, this.codec, ids, context), written };
  }

  /** Writes what was written; the settings move the probabilities that are shown. */
  choose(next, settings) {
    const chosen = choose(next, settings, this.about.moves);
    return { ...chosen, id: next.written ?? chosen.id };
  }

  async text(ids) {
    return this.tokenizer ? this.tokenizer.decode(ids) : "";
  }

  async notes(ids) {
    return notesOf(this.data.music, this.codec, ids);
  }

  async midi(ids) {
    return midiOf(this.data.music, this.codec, ids);
  }

  async counts(length) {
    return counts(this.about.config, length);
  }

  /** Whatever stands behind a token changes nothing of it: the record of a line is that of its beginnings, too. */
  async trace(ids) {
    return new RecordedTrace(this.#of(ids), ids.length, this.about.config);
  }
}

/** Scores [V]: the likeliest as they were, all others sharing evenly what is left of the probability. */
function logitsOf(name, { tensors }, position, vocabulary) {
  const { shape, data } = tensors[`${name}.logits`], ids = tensors[`${name}.ids`].data, kept = shape[1];
  const logits = new Float32Array(vocabulary).fill(tensors[`${name}.rest`].data[position]);
  for (let i = position * kept; i < (position + 1) * kept; i++) logits[ids[i]] = data[i];
  return logits;
}

class RecordedTrace {
  constructor(recording, length, config) {
    Object.assign(this, { recording, length, config, whole: recording.ids.length });
  }

  /** The row of one query in a picture [heads, T, T] of the whole line, as far as this trace goes. */
  #row(name, layer, head, position) {
    const start = (head * this.whole + position) * this.whole;
    return this.recording.tensors[`h.${layer}.${name}`].data.slice(start, start + this.length);
  }

  async attention(layer, head) {
    const { length } = this, all = new Float32Array(length * length);
    const heads = head === "mean" ? Array.from({ length: this.config.heads }, (_, one) => one) : [head];
    for (const one of heads) {
      for (let row = 0; row < length; row++) {
        const weights = softmax(this.#row("scores", layer, one, row));
        for (let key = 0; key < length; key++) all[row * length + key] += weights[key] / heads.length;
      }
    }
    return all;
  }

  async overview(size) {
    const pictures = [];
    for (let layer = 0; layer < this.config.layers; layer++) {
      for (let head = 0; head < this.config.heads; head++) {
        pictures.push(overviewOf(await this.attention(layer, head), this.length, size));
      }
    }
    return pictures;
  }

  #vectors(name, layer) {
    const inLayer = !["token_embedding", "position_embedding", "final"].includes(name);
    return this.recording.tensors[inLayer ? `h.${layer}.${name}` : name];
  }

  async vectors(name, layer, position) {
    const { shape, data } = this.#vectors(name, layer), width = shape[1];
    return data.slice(position * width, (position + 1) * width);
  }

  async head(layer, head, position) {
    const { width, heads, relative } = this.config, W = width / heads, { length } = this;
    const ofHead = (name, row) => {
      const start = row * width + head * W;
      return this.#vectors(name, layer).data.subarray(start, start + W);
    };
    const all = (name) => {
      const rows = new Float32Array(length * W);
      for (let row = 0; row < length; row++) rows.set(ofHead(name, row), row * W);
      return rows;
    };
    const scores = this.#row("scores", layer, head, position), weights = softmax(scores.slice()), v = all("v");
    const column = (i) => Float32Array.from({ length }, (_, row) => v[row * W + i]);
    return {
      q: ofHead("q", position).slice(),
      k: all("k"),
      v,
      scores,
      relative: relative ? this.#row("relative", layer, head, position) : null,
      weights,
      mixed: Float32Array.from({ length: W }, (_, i) => dot(weights, 0, column(i), 0, length)),
    };
  }

  async lens(position) {
    return this.recording.lens[position].map((top, layer) => ({ layer, top }));
  }

  async logits(position) {
    return logitsOf("next", this.recording, position, this.config.vocabulary);
  }

  /** Before anything is copied. */
  async scores(position) {
    return logitsOf(this.config.copy ? "scores" : "next", this.recording, position, this.config.vocabulary);
  }

  async copied(position) {
    const { data } = this.recording.tensors["copy.weights"], start = position * this.whole;
    const gate = this.recording.tensors["copy.gate"].data[position];
    return { gate, weights: data.slice(start, start + this.length) };
  }

  async pointer() {
    const all = new Float32Array(this.length * this.length);
    for (let row = 0; row < this.length; row++) all.set((await this.copied(row)).weights, row * this.length);
    return all;
  }
}
