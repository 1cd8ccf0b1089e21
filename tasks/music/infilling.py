"""A hole in a piece, to be filled from both of its sides:

    past <|gap|> future <|infill|> middle <|endoftext|>
    └─ context: attended to ────┘└ learned ───────────┘

The past ends where the hole begins: what then sounds ends there or, where notes say their lengths, sounds on into the
hole. Future and middle count time from there, so that the waits that the future begins with are as long as the hole.
The middle holds the notes that begin in the hole, in their full lengths. The middle comes last, as in Donahue et al.
2020, "Enabling language models to fill in the blanks".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from symusic import Score

from shared.data.sequence import TokenSequence
from shared.task import Row
from tasks.midi.codec import LONGEST_NOTE, TICKS_PER_SECOND, columns, excerpt, one_piano, waits
from tasks.midi.vocabulary import GAP, INFILL, MusicVocabulary
from tasks.music.jobs import splits_a_note

WITHOUT_FUTURE = 4  # in training, one hole in so many is filled from its past alone
FOREVER = 2**30  # ticks


@dataclass(frozen=True)
class Hole:
    """The events around the ticks `start` to `stop` of a piece, and what begins in between."""

    past: list[int]
    middle: list[int]
    future: list[int]

    @classmethod
    def cut(cls, piece: Score, vocabulary: MusicVocabulary, start: int, stop: int) -> "Hole":
        """The hole of a piece that the vocabulary's own `decode` gave, so that all parts say the same lengths."""
        past = vocabulary.encode((shifted if vocabulary.says_lengths else excerpt)(piece, 0, start))
        return cls(
            [*past, *waits(start - int(vocabulary.ticks[past].sum()), vocabulary.shifts)],
            vocabulary.encode(shifted(piece, start, stop)),
            vocabulary.encode(shifted(piece, stop, FOREVER, start)),
        )

    def line(self, vocabulary: MusicVocabulary, room: int) -> TokenSequence:
        """What the middle follows, in at most `room` events: about half of them before the hole, half behind it."""
        room -= 2
        most = min(len(self.future), max(room // 2, room - len(self.past)))
        future = self.future[: most - splits_a_note(self.future, most, vocabulary)]
        past = vocabulary.ending(self.past, room - len(future))
        tokens = vocabulary.tokens
        cut = len(self.past) - len(past) + len(self.future) - len(future)
        return TokenSequence([*past, tokens[GAP], *future, tokens[INFILL]], cut=cut)


def infill(
    row: Row, vocabulary: MusicVocabulary, max_length: int, seconds: float, future: bool | None
) -> list[TokenSequence | None]:
    """A line for every hole of `seconds`, one after the other, so that each note is learned once.

    `future`: whether what comes behind a hole is given; None (for training): with all but some. None for a hole whose
    middle leaves no room for what is around it.
    """
    piece, length = vocabulary.decode(row["events"]), round(seconds * TICKS_PER_SECOND)
    notes = columns(piece)
    end = int(notes[0, -1]) + 1 if notes.size else 0
    lines: list[TokenSequence | None] = []
    for number, start in enumerate(range(0, end, length)):
        near, *place = _around(notes, start, start + length, max_length)
        hole = Hole.cut(near, vocabulary, *place)
        given = number % WITHOUT_FUTURE != WITHOUT_FUTURE - 1 if future is None else future
        target = [*hole.middle, vocabulary.end]
        if len(target) > max_length // 2:
            lines.append(None)
            continue
        around = hole if given else Hole(hole.past, hole.middle, [])
        lines.append(TokenSequence(around.line(vocabulary, max_length - len(target)).context, target))
    return lines


def _around(notes: np.ndarray, start: int, stop: int, room: int) -> tuple[Score, int, int]:
    """What a line of `room` events shows of a piece with these `columns`, and where its hole starts and stops there."""
    onset = notes[0]
    begin, end = np.searchsorted(onset, (start, stop))
    nearest = max(0, begin - room // 3 - 1)  # each note before the hole takes three events
    first = np.searchsorted(onset, onset[nearest] - LONGEST_NOTE) if nearest else 0
    last = end + room // 2 + 1  # and behind it two at least before the next one begins
    origin = int(onset[first]) if first else 0
    near = notes[:, first:last].copy()
    near[:2] -= origin
    return one_piano(*near), start - origin, stop - origin


def length_of_hole(prompt: Sequence[int], vocabulary: MusicVocabulary) -> int | None:
    """The ticks that a prompt's hole lasts, to the first note behind it; None where nothing comes behind it."""
    future = list(prompt[prompt.index(vocabulary.tokens[GAP]) + 1 : -1])
    ticks = 0
    for event in future:
        kind, value = vocabulary.meaning[event]
        if kind != "TimeShift":
            return ticks
        ticks += value
    return None


def ringing(prompt: Sequence[int], vocabulary: MusicVocabulary) -> dict[int, int]:
    """The ticks for which notes of a prompt's past sound on in its hole, by pitch."""
    past = list(prompt[: prompt.index(vocabulary.tokens[GAP])])
    _, offset, pitch, _ = columns(vocabulary.decode(past)) - np.array([[0], [vocabulary.ticks[past].sum()], [0], [0]])
    return dict(zip(pitch[offset > 0].tolist(), offset[offset > 0].tolist(), strict=True))


def shifted(piece: Score, start: int, stop: int, origin: int | None = None) -> Score:
    """The notes that begin from tick `start` to before `stop`, in full; `origin` (by default `start`) becomes 0."""
    notes = columns(piece)
    chosen = notes[:, (start <= notes[0]) & (notes[0] < stop)]
    chosen[:2] -= start if origin is None else origin
    return one_piano(*chosen)


def filled(piece: Score, start: int, stop: int, middle: Score) -> Score:
    """A piece with another middle; of notes on one key, what sounds ends where the next begins."""
    notes, new = columns(piece), columns(middle)
    new[:2] += start
    return one_piano(*np.concatenate([notes[:, (notes[0] < start) | (notes[0] >= stop)], new], axis=1))
