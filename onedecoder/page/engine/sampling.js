/**
 * The next token out of a distribution: the likeliest, or drawn, from what temperature, the cut to the `top_k`
 * likeliest (Fan et al. 2018) and the nucleus that holds `top_p` of the probability (Holtzman et al. 2020) leave.
 */

import { softmax } from "onedecoder/engine/operations.js";

/**
 * { id, probabilities, plain } for `next` = { logits, allowed }: `plain` is the softmax of the logits,
 * `probabilities` what is left of it. `uniform` in [0, 1) picks along the vocabulary, as in the Python package.
 * What is not allowed gives its probability as `moves` says: { standsFor, kind } of each id, or null.
 */
export function choose({ logits, allowed }, settings, moves = null) {
  const { temperature = 1, top_k = 0, top_p = 1, do_sample = true, uniform = Math.random() } = settings;
  const plain = softmax(logits.slice()), left = allowed ? constrained(logits, allowed, moves) : logits.slice();
  const best = indexOfLargest(left);
  for (let id = 0; id < left.length; id++) left[id] /= temperature;
  if (top_k > 0 && top_k < left.length) cutBelow(left, left.slice().sort()[left.length - top_k]);
  if (top_p < 1) cutToNucleus(left, top_p);
  const probabilities = softmax(left);
  return { id: do_sample ? draw(probabilities, uniform) : best, probabilities, plain };
}

/**
 * The logits of what is allowed. The probability of other tokens goes to what each stands for, if that is allowed, or
 * else to what is allowed of its kind, in proportion. Of a kind that is `narrowed`, only its nucleus is left.
 */
function constrained(logits, allowed, moves) {
  if (!moves) return logits.map((value, id) => (allowed[id] ? value : -Infinity));
  const { standsFor, kind, narrowed } = moves, most = logits.reduce((a, b) => Math.max(a, b));
  const share = Float64Array.from(logits, (value) => Math.exp(value - most)), all = [], left = [];
  share.forEach((value, id) => {
    if (allowed[id] || !allowed[standsFor[id]]) return;
    share[standsFor[id]] += value;
    share[id] = 0;
  });
  share.forEach((value, id) => {
    all[kind[id]] = (all[kind[id]] ?? 0) + value;
    left[kind[id]] = (left[kind[id]] ?? 0) + value * allowed[id];
  });
  const grown = kind.map((one) => all[one] / Math.max(left[one], Number.MIN_VALUE));
  share.forEach((value, id) => (share[id] = allowed[id] ? value * grown[id] : 0));
  if (narrowed) narrow(share, kind, ...narrowed);
  return logits.map((_, id) => (share[id] ? Math.log(share[id]) : -Infinity));
}

/** The probability of the ids of one kind on the likeliest of them, which hold this `part` of it, in place. */
function narrow(share, kind, one, part) {
  const ids = descending(share).filter((id) => kind[id] === one), whole = sumOf(share, ids);
  const least = share[lastOfNucleus(share, ids, part * whole)];
  const left = ids.filter((id) => share[id] >= least), grown = whole / Math.max(sumOf(share, left), Number.MIN_VALUE);
  for (const id of ids) share[id] *= share[id] >= least ? grown : 0;
}

const sumOf = (share, ids) => ids.reduce((sum, id) => sum + share[id], 0);

/**
 * Leaves the likeliest tokens up to the first before which less than `top_p` is held, and all as likely as the last.
 */
function cutToNucleus(logits, top_p) {
  const shares = softmax(logits.slice());
  cutBelow(logits, logits[lastOfNucleus(shares, descending(shares), top_p)]);
}

/** Of `ids`, the likeliest first, the last before which less than `most` is held; the first is always inside. */
function lastOfNucleus(shares, ids, most) {
  let held = 0, last = ids[0];
  for (const id of ids) {
    if (held >= most && id !== ids[0]) break;
    held += shares[id];
    last = id;
  }
  return last;
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

/** The `count` likeliest ids of some probabilities, the likeliest first; of equal ones the lower id. */
export function likeliest(probabilities, count) {
  const best = [];
  for (let id = 0; id < probabilities.length; id++) {
    if (best.length === count && probabilities[id] <= probabilities[best[count - 1]]) continue;
    let place = best.length;
    while (place > 0 && probabilities[best[place - 1]] < probabilities[id]) place--;
    best.splice(place, 0, id);
    if (best.length > count) best.pop();
  }
  return best;
}

const descending = (values) => Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);

function indexOfLargest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}
