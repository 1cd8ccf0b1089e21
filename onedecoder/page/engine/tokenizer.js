/**
 * Byte-level BPE as GPT-2 has it (Radford et al. 2019, section 2.2), from the parts of a tokenizer.json.
 *
 * A text is cut into words, a word's bytes are written as printable characters, and neighbours are merged in the
 * order in which the merges were learned. Text never becomes a special token, even where it spells one out.
 */

// White space as Unicode has it, for which JavaScript's own \s has one character too many and one too few.
const SPACE = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const WORDS = new RegExp(
  `'(?:[stmd]|re|ve|ll)| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|[${SPACE}]+(?![^${SPACE}])|[${SPACE}]+`,
  "gu",
);
const REMEMBERED = 20_000; // words

/** The printable character for each of the 256 bytes: itself where it is printable, else one from 256 on. */
export const CHARACTERS = (() => {
  const printable = (byte) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
})();
const BYTES = new Map(CHARACTERS.map((character, byte) => [character, byte]));

export class Tokenizer {
  /** `vocab` maps pieces to ids, `merges` are pairs of pieces, `special` the ids that are no text. */
  constructor({ vocab, merges, special }) {
    this.ids = new Map(Object.entries(vocab));
    this.pieces = new Map(Array.from(this.ids, ([piece, id]) => [id, piece]));
    this.special = new Set(special);
    this.ranks = new Map(merges.map(([left, right], rank) => [`${left} ${right}`, rank]));
    this.remembered = new Map();
    this.encoder = new TextEncoder();
    this.decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  }

  encode(text) {
    return Array.from(text.matchAll(WORDS)).flatMap(([word]) => this.#word(word));
  }

  #word(word) {
    let ids = this.remembered.get(word);
    if (!ids) {
      const characters = Array.from(this.encoder.encode(word), (byte) => CHARACTERS[byte]);
      ids = this.#merged(characters).map((piece) => this.ids.get(piece)).filter((id) => id !== undefined);
      if (this.remembered.size >= REMEMBERED) this.remembered.clear();
      this.remembered.set(word, ids);
    }
    return ids;
  }

  /** Merges, over and over, the pair that was learned first, wherever it stands. */
  #merged(parts) {
    for (;;) {
      let best = Infinity, at = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.ranks.get(`${parts[i]} ${parts[i + 1]}`);
        if (rank < best) {
          best = rank;
          at = i;
        }
      }
      if (at < 0) return parts;
      parts.splice(at, 2, parts[at] + parts[at + 1]);
    }
  }

  /** The text of `ids`, special tokens left out. */
  decode(ids) {
    const bytes = [];
    for (const id of ids) {
      if (this.special.has(id)) continue;
      for (const character of this.pieces.get(id) ?? "") bytes.push(BYTES.get(character));
    }
    return this.decoder.decode(Uint8Array.from(bytes));
  }
}
