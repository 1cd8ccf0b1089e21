/**
 * Copy attention: the next token may be a copy of an earlier one, at which a head of its own points (See et al. 2017).
 *
 *     p(y) = (1 - gate) softmax(scores)[y] + gate × the weights of all earlier tokens that are y
 *
 * A token's key is the sum of one of its own state and one of the state before it.
 */

import { dot, linear, softmax } from "onedecoder/engine/operations.js";

const LEAST = 1e-38; // a probability whose logarithm is still a number

export class Copying {
  constructor(config, weights) {
    this.inputs = config.width;
    this.width = config.copy;
    this.query = weights["copying.query.weight"].data;
    this.key = weights["copying.key.weight"].data;
    this.gateWeight = weights["copying.gate.weight"].data;
    this.gateBias = weights["copying.gate.bias"].data;
  }

  /** Store both halves of the keys of `count` rows of final states, the first of which stands at position `first`. */
  keep(halves, states, count, first) {
    const size = 2 * this.width;
    linear(halves.subarray(first * size), states, this.key, null, this.inputs, size, 0, count);
  }

  /** Log-probabilities [V] in place of the scores [V] after `position`, whose final state is `state`. */
  mixed(scores, state, position, halves, ids) {
    const gate = this.share(state), weights = this.weights(state, position, halves), shares = softmax(scores);
    for (let i = 0; i < shares.length; i++) shares[i] *= 1 - gate;
    for (let place = 0; place <= position; place++) shares[ids[place]] += gate * weights[place];
    for (let i = 0; i < shares.length; i++) shares[i] = Math.log(Math.max(shares[i], LEAST));
    return shares;
  }

  /** The gate: the share of the next token's probability that is copied. */
  share(state) {
    return 1 / (1 + Math.exp(-this.gateBias[0] - dot(this.gateWeight, 0, state, 0, this.inputs)));
  }

  /** How much each token up to `position` is pointed at. */
  weights(state, position, halves) {
    const { width } = this, query = new Float32Array(width), found = new Float32Array(position + 1);
    linear(query, state, this.query, null, this.inputs, width, 0, 1);
    for (let place = 0; place <= position; place++) {
      const own = place * 2 * width, before = own - width;
      found[place] = dot(query, 0, halves, own, width) + (place ? dot(query, 0, halves, before, width) : 0);
    }
    return softmax(found.map((score) => score / Math.sqrt(width)));
  }
}
