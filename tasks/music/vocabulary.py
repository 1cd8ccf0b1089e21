"""The events of the codec as a run's vocabulary."""

from collections.abc import Mapping
from pathlib import Path

import pretty_midi

from tasks.music.codec import MEANING, TICKS_PER_SECOND, TOKENIZER

COMPOSE, CONTINUE, ACCOMPANY = (f"<|{job}|>_None" for job in ("compose", "continue", "accompany"))
END = "<|endoftext|>_None"
FILE = "tokenizer.json"


class MusicVocabulary:
    """MidiTok's `MIDILike`, under the names of `shared.vocabulary.Vocabulary`."""

    end: int = TOKENIZER[END]
    padding: int = TOKENIZER["PAD_None"]
    tokens: Mapping[str, int] = TOKENIZER.vocab

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
