/* Subwords joined to words, and their attention with them.
 *
 * As Clark et al. (2019, "What Does BERT Look At?", https://arxiv.org/abs/1906.04341) do it: attention to a word is the
 * sum over its tokens, attention from a word the mean over its tokens, so that what a word looks at still sums to one. */

import { isSpecial } from "onedecoder/views/session.js";

/** Groups of places: [{ from, to, name }], `to` not included. With `joined` false every token is a group of its own. */
export function groups({ ids, context }, names, isJoined) {
  const found = [];
  ids.forEach((id, place) => {
    const name = names[id];
    const before = found.at(-1);
    const goesOn = isJoined && before && place !== context && !/^[·⏎⇥\s]/.test(name) && /[\p{L}\p{N}]$/u.test(before.name)
      && /^[\p{L}\p{N}]/u.test(name) && !isSpecial(name);
    if (goesOn) {
      before.to = place + 1;
      before.name += name;
    } else found.push({ from: place, to: place + 1, name });
  });
  return found;
}

/** A picture [T, T] of tokens as one [G, G] of groups. */
export function joined(weights, length, words) {
  const size = words.length;
  const picture = new Float32Array(size * size);
  words.forEach((query, y) => {
    for (let row = query.from; row < query.to; row++) {
      words.forEach((key, x) => {
        let sum = 0;
        for (let at = key.from; at < key.to; at++) sum += weights[row * length + at];
        picture[y * size + x] += sum / (query.to - query.from);
      });
    }
  });
  return picture;
}

/** How a token's name reads in running text, where · is a space and ⏎ a line's end. */
export const inText = (name) => name.replace(/^·/, " ").replaceAll("⏎", "\n").replaceAll("⇥", "\t");

/** What was looked at when the group was chosen: the mean of the rows *before* its tokens, by token. */
export function lookedAt(weights, length, { from, to }) {
  const row = new Float32Array(length);
  for (let place = from; place < to; place++) {
    if (place === 0) continue;
    for (let key = 0; key < length; key++) row[key] += weights[(place - 1) * length + key] / (to - from);
  }
  return row;
}

/** The share of a row that goes to a group. */
export function shareOf(row, { from, to }) {
  let sum = 0;
  for (let place = from; place < to; place++) sum += row[place];
  return sum;
}
