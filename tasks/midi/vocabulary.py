"""The events of the codec as a run's vocabulary."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pretty_midi

from tasks.midi.codec import MEANING, TICKS_PER_SECOND, TOKENIZER, decode

COMPOSE, CONTINUE, ACCOMPANY, INFILL, GAP = (
    f"<|{name}|>_None" for name in ("compose", "continue", "accompany", "infill", "gap")
)
END = "<|endoftext|>_None"
FILE = "tokenizer.json"


def _values(kind: str, otherwise: int) -> np.ndarray:
    """What the ids say that are of one kind, and `otherwise` for the others."""
    meanings = (MEANING.get(index, (None, 0)) for index in range(len(TOKENIZER)))
    return np.array([value if name == kind else otherwise for name, value in meanings])


class MusicVocabulary:
    """MidiTok's `MIDILike`, under the names of `shared.data.vocabulary.Vocabulary`."""

    end: int = TOKENIZER[END]
    padding: int = TOKENIZER["PAD_None"]
    tokens: Mapping[str, int] = TOKENIZER.vocab

    pitches = _values("NoteOn", -1)
    """The pitch that each id strikes, or -1. Shape [V]."""
    ticks = _values("TimeShift", 0)
    """The ticks of 10 ms that each id takes. Shape [V]."""

    decode = staticmethod(decode)

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
