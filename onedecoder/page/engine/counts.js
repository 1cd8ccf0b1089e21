/**
 * How many multiplications each step of writing a line takes, with kept keys and values and without.
 *
 * A token takes 12 × width² in every block (queries, keys and values 3, c_proj 1, the MLP 8), two times the width for
 * each position that it sees (its score and its share of the values; three times with relative attention), and the
 * step's last token one for each number in the vocabulary's embeddings. Norms, softmax, gelu and copies are not counted.
 */
export function counts({ layers, width, vocabulary, relative }, length) {
  const matrices = layers * 12 * width * width, seen = layers * (relative ? 3 : 2) * width, head = vocabulary * width;
  const withCache = [], withoutCache = [];
  for (let step = 1, pairs = 1; step <= length; step++, pairs += step) {
    withCache.push(matrices + seen * step + head);
    withoutCache.push(matrices * step + seen * pairs + head);
  }
  return { withCache, withoutCache };
}
