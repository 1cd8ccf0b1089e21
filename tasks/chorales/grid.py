"""Four-part chorales on a grid of 16th notes, one token for each voice: vocabulary and reader.

    <|compose|> A#4 A#4 F4 A#3 A#4 A#4 F4 A#3 … <|endoftext|>
                └ S A T B ────┘└ the next 16th ┘

Each token is what one voice sings in one 16th, from soprano to bass, then on to the next 16th. So Music Transformer
(Huang et al. 2018, section 4.1) writes the chorales down, and its likelihood per token can be compared. A held note is
the same token again: the grid does not say whether a note is held or sung anew. Decoded, it is held.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pretty_midi
from symusic import Score
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from tasks.midi.codec import one_piano, together
from tasks.midi.sample import QUARTER, VELOCITIES
from tasks.midi.vocabulary import COMPOSE, END

VOICES = len(VELOCITIES)
STEP = QUARTER // 4  # ticks of 10 ms in a 16th
REST = 128  # the id behind the last pitch
HARMONIZE = "<|harmonize|>_None"


class ChoraleVocabulary:
    """128 pitches, whose ids are their MIDI numbers, a rest, and special tokens.

    A run's folder holds it as a tokenizer of transformers, which reads and writes names of notes apart by spaces.
    """

    names = (*map(pretty_midi.note_number_to_name, range(REST)), "rest", "PAD_None", END, COMPOSE, HARMONIZE)
    tokens: Mapping[str, int] = {name: index for index, name in enumerate(names)}
    padding: int = tokens["PAD_None"]
    end: int = tokens[END]

    pitches = np.array([*range(REST), *[-1] * (len(names) - REST)])
    ticks = np.array([STEP / VOICES] * (REST + 1) + [0] * (len(names) - REST - 1))

    def words(self, token: str) -> str:
        return f"the note {token}" if self.tokens[token] < REST else token.removesuffix("_None").strip("<|>").lower()

    def save(self, folder: Path) -> None:
        tokenizer = Tokenizer(models.WordLevel(dict(self.tokens)))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token="PAD_None").save_pretrained(folder)

    def encode(self, score: Score) -> list[int]:
        """A performance on the grid, as it sounds in the middle of each 16th.

        Of more than four tones the highest three and the lowest are kept; of fewer the lowest is doubled.
        """
        notes = score.tracks[0].notes.numpy()
        onset, offset = notes["time"], notes["time"] + notes["duration"]
        tokens = []
        for now in range(STEP // 2, int(offset.max(initial=0)), STEP):
            sounding = sorted(notes["pitch"][(onset <= now) & (now < offset)].tolist(), reverse=True) or [REST]
            tokens += [*sounding[:-1], *[sounding[-1]] * VOICES][: VOICES - 1] + sounding[-1:]
        return tokens

    def decode(self, ids: Iterable[int]) -> Score:
        """The performance that any ids describe, at 75 quarter notes a minute; special tokens are passed over."""
        return together(*self.voices(ids).values())

    def grid(self, ids: Iterable[int]) -> np.ndarray:
        """The pitches [16ths, voices] that ids stand for; of an unfinished 16th the voices that are missing rest."""
        sung = [index for index in ids if index <= REST]
        return np.reshape([*sung, *[REST] * (-len(sung) % VOICES)], (-1, VOICES))

    def voices(self, ids: Iterable[int]) -> dict[str, Score]:
        """What each voice of `decode` sings, by name."""
        found = {}
        for (name, velocity), voice in zip(VELOCITIES.items(), self.grid(ids).T, strict=True):
            starts = np.flatnonzero(np.diff(voice, prepend=-1))
            stops = np.append(starts, len(voice))[1:]
            notes = np.stack([starts * STEP, stops * STEP, voice[starts], np.full(len(starts), velocity)])
            found[name] = one_piano(*notes[:, voice[starts] != REST].astype(int))
        return found
