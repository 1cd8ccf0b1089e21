"""The events of the codec as a run's vocabulary."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pretty_midi
from miditok import MusicTokenizer
from symusic import Score

from shared.errors import UserError
from tasks.midi import lengths
from tasks.midi.codec import MEANING, TICKS_PER_SECOND, TOKENIZER, Meaning, decode, encode, ids_of, values_of
from tasks.midi.velocities import compact, expand, last_velocity

COMPOSE, CONTINUE, ACCOMPANY, INFILL, GAP = (
    f"<|{name}|>_None" for name in ("compose", "continue", "accompany", "infill", "gap")
)
END = "<|endoftext|>_None"
FILE = "tokenizer.json"


class MusicVocabulary:
    """MidiTok's `MIDILike`, under the names of `shared.data.vocabulary.Vocabulary`: a velocity with every note."""

    end: int = TOKENIZER[END]
    padding: int = TOKENIZER["PAD_None"]
    tokenizer: MusicTokenizer = TOKENIZER
    tokens: Mapping[str, int] = TOKENIZER.vocab
    meaning: Meaning = MEANING

    velocity_at = 1
    """Where a note's velocity stands, counted from its note-on."""
    note_size = 2
    """How many events strike a note: from its note-on on they stand together."""
    says_lengths = False
    """Whether one of them says how long the note lasts; else an event of its own ends it."""
    pitches = values_of("NoteOn")
    """The pitch that each id strikes, or -1. Shape [V]."""
    ticks = values_of("TimeShift", otherwise=0)
    """The ticks of 10 ms that each id takes. Shape [V]."""
    shifts = ids_of("TimeShift")
    """The id that takes so many ticks, or -1, by ticks."""

    def encode(self, score: Score) -> list[int]:
        """The events of a performance."""
        return encode(score)

    def decode(self, ids: Sequence[int]) -> Score:
        """The performance that any ids describe."""
        return decode(ids)

    def rewritten(self, events: Sequence[int]) -> list[int]:
        """Events of `codec.encode` as they are said here."""
        return list(events)

    def times(self, events: Sequence[int]) -> np.ndarray:
        """When each event comes, in ticks from the start. Shape [events]; a wait counts as passed."""
        return np.cumsum(self.ticks[np.array(events, dtype=int)])

    def clocked(self, events: Sequence[int]) -> list[int]:
        """Events from time 0 on with the times said, where the vocabulary can say them."""
        return list(events)

    def unclocked(self, events: Sequence[int]) -> list[int]:
        """What `clocked` was made of."""
        return list(events)

    def apart(self, events: Sequence[int], before: Sequence[int]) -> list[int]:
        """Events that came after those `before`, as they say the same without them."""
        return list(events)

    def ending(self, events: Sequence[int], room: int) -> list[int]:
        """The last of the events, at most `room`, as they say the same without the others."""
        return list(events[max(0, len(events) - room) :])

    def words(self, token: str) -> str:
        """What an event does, in English: from it a pre-trained text decoder's embedding for it starts."""
        kind, value = self.meaning.get(self.tokens[token], (None, 0))
        match kind:
            case "NoteOn":
                return f"play the note {pretty_midi.note_number_to_name(value)}"
            case "NoteOff":
                return f"stop the note {pretty_midi.note_number_to_name(value)}"
            case "Velocity":
                return f"loudness {value}"
            case "TimeShift":
                return f"wait {value * 1000 // TICKS_PER_SECOND} milliseconds"
            case "Duration":
                return f"hold it for {value * 1000 // TICKS_PER_SECOND} milliseconds"
            case _:
                return token.removesuffix("_None").strip("<|>").lower()

    def save(self, folder: Path) -> None:
        self.tokenizer.save(folder / FILE)


class OnChangeVocabulary(MusicVocabulary):
    """The same ids, but a velocity only where it changes, before the note: see `tasks.midi.velocities`."""

    velocity_at = -1

    def encode(self, score: Score) -> list[int]:
        return compact(encode(score))

    def rewritten(self, events: Sequence[int]) -> list[int]:
        return compact(events)

    def decode(self, ids: Sequence[int]) -> Score:
        return decode(expand(ids))

    def apart(self, events: Sequence[int], before: Sequence[int]) -> list[int]:
        return compact(expand(events, last_velocity(before)))

    def ending(self, events: Sequence[int], room: int) -> list[int]:
        cut = len(events) - room + 1  # one more, since the first note kept may take a velocity
        return list(events) if cut <= 1 else self.apart(events[cut:], events[:cut])


class LengthsVocabulary(MusicVocabulary):
    """MidiTok's `TSD`: the length of a note beside it, and no note-offs. See `tasks.midi.lengths`."""

    tokenizer = lengths.TOKENIZER
    tokens = lengths.TOKENIZER.vocab
    meaning = lengths.MEANING
    note_size = 3
    says_lengths = True
    pitches = values_of("NoteOn", meaning=lengths.MEANING)
    ticks = values_of("TimeShift", otherwise=0, meaning=lengths.MEANING)
    shifts = ids_of("TimeShift", lengths.MEANING)

    def encode(self, score: Score) -> list[int]:
        return lengths.encode(score)

    def decode(self, ids: Sequence[int]) -> Score:
        return lengths.decode(ids)

    def rewritten(self, events: Sequence[int]) -> list[int]:
        return lengths.encode(decode(events))

    def clocked(self, events: Sequence[int]) -> list[int]:
        return lengths.clocked(events)

    def unclocked(self, events: Sequence[int]) -> list[int]:
        return lengths.unclocked(events)

    def ending(self, events: Sequence[int], room: int) -> list[int]:
        """From a note-on or a wait on, so that no note is cut."""
        kept = super().ending(events, room)
        begun = self.pitches[kept] >= 0
        return kept[int(np.argmax(begun | (self.ticks[kept] > 0))) :] if kept else kept


def vocabulary_of(velocity: str, lengths: str) -> MusicVocabulary:
    """The vocabulary of the flags `--velocity` and `--lengths`, of which one at most is not as usual."""
    if lengths == "with_note":
        return LengthsVocabulary()
    return OnChangeVocabulary() if velocity == "on_change" else MusicVocabulary()


def saved_vocabulary(name: str) -> MusicVocabulary | None:
    """The vocabulary of events that the run `name` was trained with; None where it holds none.

    Velocities on change have the same ids, and so the same file, as one with every note.

    Raises:
        UserError: if the vocabulary's file is damaged, or of an earlier version.
    """
    file = Path(name) / FILE
    if not file.is_file():
        return None
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        if "tokenization" not in saved:
            return None
        special, kind = saved["config"]["special_tokens"], saved["tokenization"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged: copy it anew from where it is whole, or train anew") from error
    vocabulary = LengthsVocabulary() if kind == "TSD" else MusicVocabulary()
    if special != vocabulary.tokenizer.config.special_tokens:
        raise UserError(f"'{name}' was trained by an earlier version, whose events have other ids: train it anew")
    return vocabulary
