/**
 * GPT-2's forward pass, with kept keys and values.
 *
 *     token + position embedding
 *     ┌ layer norm ─ queries, keys, values ─ attention ─ c_proj ┐ added to what came in
 *     └ layer norm ─ up to four times the width ─ gelu ─ down ──┘ added again          × layers
 *     layer norm ─ scores over the vocabulary (the token embeddings once more)
 */

import { Head, visible } from "onedecoder/engine/attention.js";
import { Copying } from "onedecoder/engine/copying.js";
import { gelu, layerNorm, linear } from "onedecoder/engine/operations.js";

const PRODUCTS = 4e6; // multiplications between two stops: some milliseconds

/** Keys and values of every layer, [positions, width] each, and the line that they were computed for. */
export class Cache {
  constructor(config, length) {
    const room = () => Array.from({ length: config.layers }, () => new Float32Array(length * config.width));
    this.keys = room();
    this.values = room();
    this.halves = new Float32Array(length * 2 * config.copy); // of the keys of copy attention
    this.ids = [];
    this.context = 0;
  }

  /** How many of `ids` need not be read again. */
  known(config, ids, context) {
    if (config.mask === "prefix" && context !== this.context) return 0;
    let count = 0;
    while (count < ids.length && ids[count] === this.ids[count]) count++;
    // A context that sees itself both ways is read as a whole or not at all.
    return config.mask === "prefix" && count < context ? 0 : count;
  }
}

export class Decoder {
  /** `config` as in the page's data; `weights` by the names of transformers' GPT-2, matrices as [outputs, inputs]. */
  constructor(config, weights) {
    this.config = config;
    const get = (name) => weights[name].data;
    this.tokens = get("wte");
    this.positions = get("wpe");
    this.norm = { scale: get("ln_f.weight"), shift: get("ln_f.bias") };
    this.copying = config.copy ? new Copying(config, weights) : null;
    this.blocks = Array.from({ length: config.layers }, (_, layer) => {
      const part = (name) => ({ weight: get(`h.${layer}.${name}.weight`), bias: get(`h.${layer}.${name}.bias`) });
      const relative = weights[`h.${layer}.attn.relative`]?.data;
      const { weight: scale_1, bias: shift_1 } = part("ln_1"), { weight: scale_2, bias: shift_2 } = part("ln_2");
      return {
        norm_1: { scale: scale_1, shift: shift_1 },
        projection: part("attn.c_attn"),
        heads: Array.from({ length: config.heads }, (_, head) => new Head(config, layer, head, relative)),
        output: part("attn.c_proj"),
        norm_2: { scale: scale_2, shift: shift_2 },
        up: part("mlp.c_fc"),
        down: part("mlp.c_proj"),
      };
    });
  }

  /**
   * Reads what `cache` does not yet hold of `ids`; returns the last residuals [read, width] before the final norm.
   * `keep(layer, name, rows, first)` is shown what a trace keeps.
   */
  *read(ids, context, cache, keep = () => {}) {
    const { config } = this, { width } = config;
    const first = Math.min(cache.known(config, ids, context), ids.length - 1), count = ids.length - first;
    cache.ids = cache.ids.slice(0, first); // if this is stopped halfway, nothing half read is taken for known
    cache.context = context;
    const states = new Float32Array(count * width);
    for (let row = 0; row < count; row++) this.embed(states, row, ids[first + row], first + row);
    for (let layer = 0; layer < config.layers; layer++) {
      keep(layer, "input", states);
      yield* this.block(layer, states, count, first, context, cache, keep);
    }
    keep(config.layers, "input", states);
    if (this.copying) this.copying.keep(cache.halves, this.final(states, 0, count), count, first);
    cache.ids = ids.slice();
    return states;
  }

  embed(states, row, id, position) {
    const { width } = this.config, start = row * width;
    const place = this.position(position);
    for (let i = 0; i < width; i++) states[start + i] = this.tokens[id * width + i] + place[i];
  }

  /** The embedding of a position; those of a decoder trained with `--position_period` repeat. */
  position(position) {
    const start = (position * this.config.width) % this.positions.length;
    return this.positions.subarray(start, start + this.config.width);
  }

  /** One block over `count` rows of `states`, changed in place; row 0 stands at position `first`. */
  *block(layer, states, count, first, context, cache, keep) {
    const { width, epsilon } = this.config, block = this.blocks[layer];
    const normed = new Float32Array(count * width), projected = new Float32Array(count * 3 * width);
    layerNorm(normed, states, block.norm_1.scale, block.norm_1.shift, width, epsilon, 0, count);
    yield* this.project(projected, normed, block.projection, width, 3 * width, count);
    const keys = cache.keys[layer], values = cache.values[layer], queries = new Float32Array(count * width);
    for (let row = 0; row < count; row++) {
      const from = row * 3 * width, to = row * width, at = (first + row) * width;
      queries.set(projected.subarray(from, from + width), to);
      keys.set(projected.subarray(from + width, from + 2 * width), at);
      values.set(projected.subarray(from + 2 * width, from + 3 * width), at);
    }
    const mixed = yield* this.attend(block.heads, queries, keys, values, count, first, context);
    keep(layer, "q", queries);
    keep(layer, "mixed", mixed);
    yield* this.project(normed, mixed, block.output, width, width, count);
    add(states, normed);
    keep(layer, "residual_1", states);

    const raised = new Float32Array(count * 4 * width);
    layerNorm(normed, states, block.norm_2.scale, block.norm_2.shift, width, epsilon, 0, count);
    yield* this.project(raised, normed, block.up, width, 4 * width, count);
    for (let i = 0; i < raised.length; i++) raised[i] = gelu(raised[i]);
    yield* this.project(normed, raised, block.down, 4 * width, width, count);
    add(states, normed);
  }

  *attend(heads, queries, keys, values, count, first, context) {
    const { width } = this.config, mixed = new Float32Array(count * width);
    const weights = new Float32Array(first + count);
    let done = 0;
    for (let row = 0; row < count; row++) {
      const seen = visible(this.config, first + row, context);
      for (const head of heads) {
        const at = row * width + head.offset;
        head.weights(weights, queries, at, keys, first + row, seen);
        head.mix(mixed, at, weights, values, seen);
      }
      done += 2 * seen * width;
      if (done > PRODUCTS) {
        done = 0;
        yield;
      }
    }
    return mixed;
  }

  *project(out, input, { weight, bias }, inputs, outputs, count) {
    const rows = Math.max(4, Math.floor(PRODUCTS / (inputs * outputs * 4)) * 4);
    for (let row = 0; row < count; row += rows) {
      linear(out, input, weight, bias, inputs, outputs, row, Math.min(row + rows, count));
      yield;
    }
  }

  /** The final norm of `count` rows of residuals, the first of which begins at states[at]. */
  final(states, at, count) {
    const { width, epsilon } = this.config, rows = states.slice(at, at + count * width);
    layerNorm(rows, rows, this.norm.scale, this.norm.shift, width, epsilon, 0, count);
    return rows;
  }

  /** Scores over the vocabulary [V] from the residual that begins at states[at]. */
  logits(states, at) {
    const { width, vocabulary } = this.config, out = new Float32Array(vocabulary);
    linear(out, this.final(states, at, 1), this.tokens, null, width, vocabulary, 0, 1);
    return out;
  }

  /** Scores [V] over what comes after `position` of the line in `cache`; with copy attention, log-probabilities. */
  next(states, at, position, cache) {
    const scores = this.logits(states, at);
    if (!this.copying) return scores;
    return this.copying.mixed(scores, this.final(states, at, 1), position, cache.halves, cache.ids);
  }
}

function add(to, what) {
  for (let i = 0; i < to.length; i++) to[i] += what[i];
}
