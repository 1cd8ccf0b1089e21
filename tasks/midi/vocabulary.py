"""The events of the codec as a run's vocabulary."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pretty_midi
from symusic import Score

from shared.errors import UserError
from tasks.midi.codec import MEANING, TICKS_PER_SECOND, TOKENIZER, decode, encode, values_of
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
    tokens: Mapping[str, int] = TOKENIZER.vocab

    velocity_at = 1
    """Where a note's velocity stands, counted from its note-on."""
    pitches = values_of("NoteOn")
    """The pitch that each id strikes, or -1. Shape [V]."""
    ticks = values_of("TimeShift", otherwise=0)
    """The ticks of 10 ms that each id takes. Shape [V]."""

    def encode(self, score: Score) -> list[int]:
        """The events of a performance."""
        return encode(score)

    def decode(self, ids: Sequence[int]) -> Score:
        """The performance that any ids describe."""
        return decode(ids)

    def apart(self, events: Sequence[int], before: Sequence[int]) -> list[int]:
        """Events that came after those `before`, as they say the same without them."""
        return list(events)

    def ending(self, events: Sequence[int], room: int) -> list[int]:
        """The last of the events, at most `room`, as they say the same without the others."""
        return list(events[-room:])

    def words(self, token: str) -> str:
        """What an event does, in English: from it a pre-trained text decoder's embedding for it starts."""
        kind, value = MEANING.get(self.tokens[token], (None, 0))
        match kind:
            case "NoteOn":
                return f"play the note {pretty_midi.note_number_to_name(value)}"
            case "NoteOff":
                return f"stop the note {pretty_midi.note_number_to_name(value)}"
            case "Velocity":
                return f"loudness {value}"
            case "TimeShift":
                return f"wait {value * 1000 // TICKS_PER_SECOND} milliseconds"
            case _:
                return token.removesuffix("_None").strip("<|>").lower()

    def save(self, folder: Path) -> None:
        TOKENIZER.save(folder / FILE)


class OnChangeVocabulary(MusicVocabulary):
    """The same ids, but a velocity only where it changes, before the note: see `tasks.midi.velocities`."""

    velocity_at = -1

    def encode(self, score: Score) -> list[int]:
        return compact(encode(score))

    def decode(self, ids: Sequence[int]) -> Score:
        return decode(expand(ids))

    def apart(self, events: Sequence[int], before: Sequence[int]) -> list[int]:
        return compact(expand(events, last_velocity(before)))

    def ending(self, events: Sequence[int], room: int) -> list[int]:
        cut = len(events) - room + 1  # one more, since the first note kept may take a velocity
        return list(events) if cut <= 1 else self.apart(events[cut:], events[:cut])


def saved_special_tokens(name: str) -> list[str] | None:
    """The special tokens of the events that the run `name` was trained with; None where it holds no such vocabulary.

    Raises:
        UserError: if the vocabulary's file is damaged.
    """
    file = Path(name) / FILE
    if not file.is_file():
        return None
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        return saved["config"]["special_tokens"] if "tokenization" in saved else None
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged: copy it anew from where it is whole, or train anew") from error


VOCABULARIES = {"note": MusicVocabulary, "on_change": OnChangeVocabulary}
