/* What a note attends to, among notes.
 *
 * A note is several tokens: its note-on, a velocity, a note-off or a length; in a chorale, one for each 16th that it is
 * held. As in the pictures of Music Transformer (Huang et al. 2018, https://arxiv.org/abs/1809.04281) lines lead from it
 * to others: here from the row that chose it, and what goes to any token of an earlier note counts for that note. The
 * rest goes to waits, and to what began the line. */

const LEAST = 0.02; // of attention, that an arc is drawn for

/** One head's arcs from the note `chosen`: [{ note, weight }], strongest first. `from` is the first place of the weights. */
export function arcsOf(weights, length, from, notes, chosen) {
  const query = notes[chosen].on - 1 - from;
  if (query < 0) return [];
  const row = weights.subarray(query * length, (query + 1) * length);
  const arcs = notes.map((note, index) => {
    const seen = note.on <= query + from ? note.tokens.map((place) => place - from) : [];
    return { note: index, weight: seen.reduce((sum, place) => sum + (place >= 0 && place <= query ? row[place] : 0), 0) };
  });
  return arcs.filter(({ weight }) => weight >= LEAST).sort((a, b) => b.weight - a.weight);
}
