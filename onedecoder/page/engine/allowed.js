/** What may come next, beside what is likely: the grammar of music, and what the settings rule out. */

import { NoteOffGrammar } from "onedecoder/engine/grammar_note_off.js";
import { OnChangeGrammar } from "onedecoder/engine/grammar_on_change.js";
import { WithNoteGrammar } from "onedecoder/engine/grammar_with_note.js";

/** 1 for each id that may come after `ids`, of which the first `context` are given (null: any may). */
export function allowedAfter({ about, music }, codec, ids, context) {
  const { generation, config, end } = about, written = ids.slice(context);
  const { min_new_tokens: least, no_repeat_ngram_size: size } = generation;
  let allowed = music?.kind === "events" ? byGrammar(about, music, codec, ids, context) : null;
  if (written.length < least) allowed = without(allowed, [end], config.vocabulary);
  if (size) allowed = without(allowed, repeats(written, size), config.vocabulary);
  return allowed;
}

/** Where the ids that are ruled out are all there are, the rule gives way: something must come. */
function without(allowed, ruledOut, vocabulary) {
  if (!ruledOut.length) return allowed;
  const left = allowed?.slice() ?? new Uint8Array(vocabulary).fill(1);
  for (const id of ruledOut) left[id] = 0;
  return left.includes(1) ? left : allowed;
}

const GRAMMARS = { note_off: NoteOffGrammar, with_note: WithNoteGrammar, on_change: OnChangeGrammar };

/** The grammar of a notation of events. */
export const grammarOf = ({ notation, special }, codec) => new GRAMMARS[notation](codec, special);

function byGrammar({ sliding, generation, config }, music, codec, ids, context) {
  const most = sliding ? generation.max_new_tokens : Math.min(generation.max_new_tokens, config.context - context);
  const grammar = grammarOf(music, codec), written = ids.slice(context);
  return grammar.allowed(grammar.state(ids.slice(0, context), written, most - written.length));
}

/** The ids that would write some `size` tokens in a row for the second time (Paulus et al. 2018). */
function repeats(written, size) {
  const ending = written.slice(written.length - size + 1), found = [];
  if (written.length < size) return found;
  for (let start = 0; start + size <= written.length; start++) {
    if (ending.every((id, i) => id === written[start + i])) found.push(written[start + size - 1]);
  }
  return found;
}
