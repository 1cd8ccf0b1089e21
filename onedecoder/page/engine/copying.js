/**
 * Copy attention: the next token may be a copy of an earlier one, at which a head of its own points (See et al. 2017).
 *
 *     p(y) = (1 - gate) softmax(scores)[y] + gate × the weights of all earlier tokens that are y
 *
 * A place is a key for the token that follows it; half of the key is of the place, half of the token.
 */

import { dot, linear, softmax } from "onedecoder/engine/operations.js";

const LEAST = 1e-38; // a probability whose logarithm is still a number

export class Copying {
  constructor(config, weights) {
    this.inputs = config.width;
    this.width = config.copy;
    this.query = weights["copying.query.weight"].data;
    this.key = weights["copying.key.weight"].data;
    this.gate = { weight: weights["copying.gate.weight"].data, bias: weights["copying.gate.bias"].data };
  }

  /** Store both halves of the keys of `count` rows of final states, the first of which stands at position `first`. */
  keep(halves, states, count, first) {
    const size = 2 * this.width;
    linear(halves.subarray(first * size), states, this.key, null, this.inputs, size, 0, count);
  }

  /** Log-probabilities [V] in place of the scores [V] after `position`, whose final state is `state`. */
  mixed(scores, state, position, halves, ids) {
    if (position === 0) return logarithms(softmax(scores)); // nothing stands before it
    const gate = 1 / (1 + Math.exp(-this.gate.bias[0] - dot(this.gate.weight, 0, state, 0, this.inputs)));
    const weights = this.weights(state, position, halves), shares = softmax(scores);
    for (let i = 0; i < shares.length; i++) shares[i] *= 1 - gate;
    for (let place = 0; place < position; place++) shares[ids[place + 1]] += gate * weights[place];
    return logarithms(shares);
  }

  /** How much each earlier place has a part in what is copied, as the key for the token that follows it. */
  weights(state, position, halves) {
    const { width } = this, query = new Float32Array(width), found = new Float32Array(position);
    linear(query, state, this.query, null, this.inputs, width, 0, 1);
    for (let place = 0; place < position; place++) {
      const before = place * 2 * width, following = (place + 1) * 2 * width + width;
      found[place] = (dot(query, 0, halves, before, width) + dot(query, 0, halves, following, width)) / Math.sqrt(width);
    }
    return softmax(found);
  }
}

function logarithms(shares) {
  for (let i = 0; i < shares.length; i++) shares[i] = Math.log(Math.max(shares[i], LEAST));
  return shares;
}
