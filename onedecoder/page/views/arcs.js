/* What a note attends to, among notes.
 *
 * A note is several tokens: its note-on, a velocity, a note-off. As in the pictures of Music Transformer (Huang et al.
 * 2018, https://arxiv.org/abs/1809.04281) the query is the row that chose the note; what goes to any token of an earlier
 * note counts for that note. The rest goes to waits, and to what began the line. */

const LEAST = 0.02; // of attention, that an arc is drawn for

/** Arcs of one head: [{ note, weight }], strongest first, and how much of the attention they are. */
export function arcsOf(weights, length, notes, chosen) {
  const query = Math.max(0, notes[chosen].on - 1);
  const row = weights.subarray(query * length, (query + 1) * length);
  const arcs = [];
  let onNotes = 0;
  notes.forEach(({ on, off }, note) => {
    if (on > query) return;
    let weight = row[on];
    if (on + 1 <= query && off !== on + 1 && off > on) weight += row[on + 1]; // its velocity
    if (off > on && off <= query) weight += row[off];
    onNotes += weight;
    if (weight >= LEAST) arcs.push({ note, weight });
  });
  return { arcs: arcs.sort((a, b) => b.weight - a.weight), onNotes };
}
