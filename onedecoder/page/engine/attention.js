/**
 * Masked self-attention: a query's score with every key that it may see, softmax, the weighted sum of the values.
 *
 * Keys and values of all heads stand side by side in rows of `width` numbers, a row for each position.
 */

import { dot, softmax } from "onedecoder/engine/operations.js";

/**
 * How many positions the query at `position` sees: those up to its own; with the prefix mask, context sees all of it.
 */
export function visible(config, position, context) {
  return config.mask === "prefix" && position < context ? context : position + 1;
}

/** One head of one layer as a query meets it. */
export class Head {
  constructor(config, layer, head, relative) {
    this.heads = config.heads;
    this.full = config.width;
    this.width = config.width / config.heads;
    this.head = head;
    this.offset = head * this.width;
    this.scaling = config.scaling[layer];
    this.relative = relative ?? null;
    this.distances = config.relative;
  }

  /** Scores of the query that begins at queries[at] with the first `count` keys, into `out`. */
  scores(out, queries, at, keys, position, count) {
    if (this.relative) this.relativeScores(out, queries, at, position, count);
    else out.fill(0, 0, count);
    for (let key = 0; key < count; key++) {
      out[key] += dot(queries, at, keys, key * this.full + this.offset, this.width) * this.scaling;
    }
  }

  /**
   * What the distances add to these scores: query × embedding of the distance (Huang et al. 2018, "Music Transformer").
   * The last embedding stands for all distances that are larger; what a prefix mask shows of later keys is at none.
   */
  relativeScores(out, queries, at, position, count) {
    const last = this.distances - 1;
    let far = NaN;
    for (let key = 0; key < count; key++) {
      const distance = Math.min(Math.max(0, position - key), last);
      if (distance === last && !Number.isNaN(far)) {
        out[key] = far;
        continue;
      }
      const embedding = (this.head * this.distances + distance) * this.width;
      out[key] = dot(queries, at, this.relative, embedding, this.width) * this.scaling;
      if (distance === last) far = out[key];
    }
  }

  /** The same after softmax. */
  weights(out, queries, at, keys, position, count) {
    this.scores(out, queries, at, keys, position, count);
    softmax(out, 0, count);
  }

  /** The sum of the first `count` values by `weights`, into out[place …]. */
  mix(out, place, weights, values, count) {
    out.fill(0, place, place + this.width);
    for (let key = 0; key < count; key++) {
      const weight = weights[key], start = key * this.full + this.offset;
      for (let i = 0; i < this.width; i++) out[place + i] += weight * values[start + i];
    }
  }
}
