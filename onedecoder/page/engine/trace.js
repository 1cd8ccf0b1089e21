/**
 * A line that was read once, looked into: every intermediate result of every block, by the names that the Python
 * package gives them. Kept are the residuals, queries, keys and values; the rest is computed anew for the place one
 * looks at.
 */

import { visible } from "onedecoder/engine/attention.js";
import { Cache } from "onedecoder/engine/decoder.js";
import { gelu, layerNorm, linear, softmax } from "onedecoder/engine/operations.js";
import { overviewOf } from "onedecoder/engine/overview.js";
import { likeliest } from "onedecoder/engine/sampling.js";
import { Queue, inSlices } from "onedecoder/engine/slices.js";

const LENS = 5; // of the likeliest tokens, how many the logit lens names

/** Reads the line `ids` for looking into it. A generator: run it in slices, or at once. */
export function* traceOf(decoder, ids, context) {
  const cache = new Cache(decoder.config, ids.length), kept = new Map();
  yield* decoder.read(ids, context, cache, (layer, name, rows) => kept.set(`${layer} ${name}`, rows.slice()));
  return new Trace(decoder, ids, context, cache, kept);
}

class Trace {
  #queue = new Queue();

  constructor(decoder, ids, context, cache, kept) {
    Object.assign(this, { decoder, ids: ids.slice(), context, cache, kept, length: ids.length });
  }

  /** [T * T], rows are queries; 0 where the mask hides. `head` may be "mean". */
  async attention(layer, head) {
    return this.#queue.run(() => inSlices(this.#attention(layer, head)));
  }

  *#attention(layer, head) {
    const { config } = this.decoder, length = this.length, all = new Float32Array(length * length);
    const heads = head === "mean" ? this.decoder.blocks[layer].heads : [this.decoder.blocks[layer].heads[head]];
    const queries = this.kept.get(`${layer} q`), weights = new Float32Array(length);
    for (let row = 0, done = 0; row < length; row++) {
      const seen = visible(config, row, this.context);
      for (const one of heads) {
        one.weights(weights, queries, row * config.width + one.offset, this.cache.keys[layer], row, seen);
        for (let key = 0; key < seen; key++) all[row * length + key] += weights[key] / heads.length;
      }
      if ((done += seen * config.width) > 1e6) {
        done = 0;
        yield;
      }
    }
    return all;
  }

  /** Small pictures of all heads, layer by layer: an array of [size * size], each cell the most that is in it. */
  async overview(size) {
    const { layers, heads } = this.decoder.config, pictures = [];
    for (let layer = 0; layer < layers; layer++) {
      for (let head = 0; head < heads; head++) {
        pictures.push(overviewOf(await this.attention(layer, head), this.length, size));
      }
    }
    return pictures;
  }

  /** One vector of the computation at one position, by the names of `onedecoder.trace`. */
  async vectors(name, layer, position) {
    const { decoder } = this, { width } = decoder.config;
    const row = (rows, size = width) => rows.slice(position * size, (position + 1) * size);
    switch (name) {
      case "token_embedding":
        return decoder.tokens.slice(this.ids[position] * width, (this.ids[position] + 1) * width);
      case "position_embedding":
        return decoder.position(position).slice();
      case "k":
        return row(this.cache.keys[layer]);
      case "v":
        return row(this.cache.values[layer]);
      case "residual_2":
        return row(this.kept.get(`${layer + 1} input`));
      case "final":
        return this.#normed(row(this.kept.get(`${decoder.config.layers} input`)), decoder.norm);
      case "input":
      case "q":
      case "mixed":
      case "residual_1":
        return row(this.kept.get(`${layer} ${name}`));
      default:
        return this.#computed(name, layer, row);
    }
  }

  #computed(name, layer, row) {
    const block = this.decoder.blocks[layer], { width } = this.decoder.config;
    const times = (input, { weight, bias }, outputs) => {
      const out = new Float32Array(outputs);
      linear(out, input, weight, bias, input.length, outputs, 0, 1);
      return out;
    };
    if (name === "ln_1") return this.#normed(row(this.kept.get(`${layer} input`)), block.norm_1);
    if (name === "attention_output") return times(row(this.kept.get(`${layer} mixed`)), block.output, width);
    const ln_2 = this.#normed(row(this.kept.get(`${layer} residual_1`)), block.norm_2);
    if (name === "ln_2") return ln_2;
    const up = times(ln_2, block.up, 4 * width);
    if (name === "up") return up;
    const raised = up.map(gelu);
    if (name === "gelu") return raised;
    if (name === "down") return times(raised, block.down, width);
    throw new TypeError(`a trace has no vector '${name}'`);
  }

  #normed(row, { scale, shift }) {
    layerNorm(row, row, scale, shift, row.length, this.decoder.config.epsilon, 0, 1);
    return row;
  }

  /** The filing cabinet of one head for one query: everything of `q · k`, mask, softmax and the sum of values. */
  async head(layer, head, position) {
    const { config, blocks } = this.decoder, one = blocks[layer].heads[head], length = this.length;
    const seen = visible(config, position, this.context), at = position * config.width + one.offset;
    const queries = this.kept.get(`${layer} q`), keys = this.cache.keys[layer], values = this.cache.values[layer];
    const scores = new Float32Array(length).fill(-Infinity), weights = new Float32Array(length);
    one.scores(scores, queries, at, keys, position, seen);
    weights.set(softmax(scores.slice(0, seen)));
    const mixed = new Float32Array(one.width);
    one.mix(mixed, 0, weights, values, seen);
    return {
      q: queries.slice(at, at + one.width),
      k: this.#ofHead(keys, one),
      v: this.#ofHead(values, one),
      scores,
      relative: one.relative && this.#relative(one, queries, at, position, seen),
      weights,
      mixed,
    };
  }

  #ofHead(rows, { offset, width, full }) {
    const out = new Float32Array(this.length * width);
    for (let row = 0; row < this.length; row++) {
      out.set(rows.subarray(row * full + offset, row * full + offset + width), row * width);
    }
    return out;
  }

  #relative(one, queries, at, position, seen) {
    const out = new Float32Array(this.length);
    one.relativeScores(out, queries, at, position, seen);
    return out;
  }

  /** What each block's output would say next: the final norm and the head on it (nostalgebraist 2020, "logit lens"). */
  async lens(position) {
    const { layers, width } = this.decoder.config;
    return Array.from({ length: layers }, (_, layer) => {
      const shares = softmax(this.decoder.logits(this.kept.get(`${layer + 1} input`), position * width));
      return { layer, top: likeliest(shares, LENS).map((id) => ({ id, p: shares[id] })) };
    });
  }

  /** Scores [V] over what comes after `position`, before anything is copied. */
  async scores(position) {
    const { layers, width } = this.decoder.config;
    return this.decoder.logits(this.kept.get(`${layers} input`), position * width);
  }

  /** With copy attention, what of the next token is copied: { gate, weights [T] }, of which the weights sum to 1. */
  async copied(position) {
    const state = await this.vectors("final", 0, position), weights = new Float32Array(this.length);
    weights.set(this.decoder.copying.weights(state, position, this.cache.halves));
    return { gate: this.decoder.copying.share(state), weights };
  }

  /** The same for all places: [T * T], rows point. */
  async pointer() {
    return this.#queue.run(() => inSlices(this.#pointer()));
  }

  *#pointer() {
    const { decoder, cache, length } = this, { layers, width } = decoder.config, all = new Float32Array(length * length);
    const states = decoder.final(this.kept.get(`${layers} input`), 0, length);
    for (let row = 0; row < length; row++) {
      const state = states.subarray(row * width, (row + 1) * width);
      all.set(decoder.copying.weights(state, row, cache.halves), row * length);
      if (row % 32 === 0) yield;
    }
    return all;
  }

  /** Scores [V] over what comes after `position`; with copy attention, log-probabilities. */
  async logits(position) {
    const { layers, width } = this.decoder.config;
    return this.decoder.next(this.kept.get(`${layers} input`), position * width, position, this.cache);
  }
}
