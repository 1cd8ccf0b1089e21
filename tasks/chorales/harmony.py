"""A soprano is harmonised: what the other voices sing is written below each of its notes.

soprano … <|harmonize|> soprano alto tenor bass soprano … <|endoftext|>
└ attended to ────────┘└ learned; the soprano is repeated, note by note ┘
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from shared.data.sequence import TokenSequence
from shared.writing import Constraint
from tasks.chorales.grid import HARMONIZE, REST, VOICES, ChoraleVocabulary

FREE, END = -1, -2  # what a voice may sing where nothing is fixed, and where a chorale is over
PERFECT = (0, 7)  # unison or octave, and fifth: semitones modulo 12


def longest(max_length: int) -> int:
    """The 16ths of a soprano that fit with all four voices into a line."""
    return (max_length - 2) // (VOICES + 1)


def harmonize(
    events: Sequence[int], vocabulary: ChoraleVocabulary, max_length: int, training: bool
) -> list[TokenSequence]:
    """A chorale in lines of a soprano and the four voices, each as long as fits; the end is scored in training only."""
    step = VOICES * longest(max_length)
    end = [vocabulary.end] if training else []
    parts = [events[start : start + step] for start in range(0, len(events), step)]
    return [TokenSequence([*part[::VOICES], vocabulary.tokens[HARMONIZE]], [*part, *end]) for part in parts]


def parallels(grid: np.ndarray) -> float:
    """Parallel fifths, octaves and unisons, of 100 moves of two voices from one 16th to the next.

    Two voices are parallel that form the same perfect interval twice, and both move (Fux, Gradus ad Parnassum). `grid`
    [16ths, voices] has pitches; moves from or to a rest do not count.
    """
    pairs = [(a, b) for a in range(grid.shape[1]) for b in range(a)]
    found = moves = 0
    for a, b in pairs:
        before, after = grid[:-1, [a, b]].astype(int), grid[1:, [a, b]].astype(int)
        both = (before != after).all(1) & (np.maximum(before, after) < REST).all(1)
        intervals = [np.abs(pair[:, 0] - pair[:, 1]) % 12 for pair in (before, after)]
        moves += int(both.sum())
        found += int((both & (intervals[0] == intervals[1]) & np.isin(intervals[0], PERFECT)).sum())
    return 100 * found / max(moves, 1)


class SopranoConstraint(Constraint):
    """The soprano is the one that was given, and all voices end with it.

    A prompt without `<|harmonize|>` leaves everything free. The state, for R rows: `soprano` [R, 16ths], what it sings
    (`END` behind its last), and `written`, tokens so far.
    """

    def __init__(self, vocabulary: ChoraleVocabulary, context: int):
        super().__init__(len(vocabulary.tokens))
        self.vocabulary, self.steps = vocabulary, context // VOICES + 2
        self.ids = torch.arange(len(vocabulary.tokens))

    def new_state(self, slots: int, device: torch.device | str) -> dict[str, Tensor]:
        self.to(device)
        return {
            "soprano": torch.full((slots, self.steps), FREE, device=device),
            "written": torch.zeros(slots, dtype=torch.long, device=device),
        }

    def begin(
        self, state: dict[str, Tensor], slot: int, prompt: Sequence[int], new_tokens: int, written: Sequence[int] = ()
    ) -> None:
        state["written"][slot] = len(written)
        state["soprano"][slot] = FREE
        separator = self.vocabulary.tokens[HARMONIZE]
        if separator in prompt:
            sung = torch.tensor(prompt[: list(prompt).index(separator)])
            state["soprano"][slot] = END
            state["soprano"][slot, : len(sung)] = sung.to(self.ids.device)

    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        """Bool [slots, V]: the given note of the soprano, any pitch or rest below it, or the end."""
        step = (state["written"] // VOICES).clamp(max=self.steps - 1)[:, None]
        note = state["soprano"].gather(1, step)
        others = (state["written"] % VOICES != 0)[:, None]
        free = note == FREE
        voice = torch.where(others, self.ids <= REST, self.ids == note)
        return torch.where(note == END, self.ids == self.vocabulary.end, voice | free)

    def advance(self, state: dict[str, Tensor], tokens: Tensor) -> None:
        state["written"].add_(tokens != self.vocabulary.end)
