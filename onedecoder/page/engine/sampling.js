/**
 * The next token out of a distribution: the likeliest, or drawn, from what temperature, the cut to the `top_k`
 * likeliest (Fan et al. 2018) and the nucleus that holds `top_p` of the probability (Holtzman et al. 2020) leave.
 */

import { softmax } from "onedecoder/engine/operations.js";

/**
 * { id, probabilities, plain } for `next` = { logits, allowed }: `plain` is the softmax of the logits,
 * `probabilities` what is left of it. `uniform` in [0, 1) picks along the vocabulary, as in the Python package.
 */
export function choose({ logits, allowed }, settings) {
  const { temperature = 1, top_k = 0, top_p = 1, do_sample = true, uniform = Math.random() } = settings;
  const plain = softmax(logits.slice()), left = logits.slice();
  if (allowed) for (let id = 0; id < left.length; id++) if (!allowed[id]) left[id] = -Infinity;
  const best = indexOfLargest(left);
  for (let id = 0; id < left.length; id++) left[id] /= temperature;
  if (top_k > 0 && top_k < left.length) cutBelow(left, left.slice().sort()[left.length - top_k]);
  if (top_p < 1) cutToNucleus(left, top_p);
  const probabilities = softmax(left);
  return { id: do_sample ? draw(probabilities, uniform) : best, probabilities, plain };
}

/**
 * Leaves the likeliest tokens up to the first before which less than `top_p` is held, and all as likely as the last.
 */
function cutToNucleus(logits, top_p) {
  const shares = softmax(logits.slice());
  let held = 0, least = -Infinity;
  for (const id of descending(shares)) {
    if (held >= top_p && least !== -Infinity) break;
    held += shares[id];
    least = logits[id];
  }
  cutBelow(logits, least);
}

/** What is as likely as the last that is kept is kept, too. */
function cutBelow(logits, least) {
  for (let id = 0; id < logits.length; id++) if (logits[id] < least) logits[id] = -Infinity;
}

function draw(probabilities, uniform) {
  let sum = 0;
  for (const share of probabilities) sum += share;
  const target = uniform * sum;
  let held = 0, last = 0;
  for (let id = 0; id < probabilities.length; id++) {
    if (!probabilities[id]) continue;
    held += probabilities[id];
    last = id;
    if (held > target) return id;
  }
  return last;
}

const descending = (values) => Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);

function indexOfLargest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
