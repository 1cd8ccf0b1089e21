"""The same music with the length of a note beside it, in place of a note-off when it ends.

    codec.encode    NoteOn_60 Velocity_63 … TimeShift_1.0.50 NoteOff_60
    here            Pitch_60 Velocity_63 Duration_1.0.50 …

So nothing that is written has to be remembered until it ends (Huang and Yang 2020, https://arxiv.org/abs/2002.00212;
Thickstun et al. 2023, https://arxiv.org/abs/2306.08620). The vocabulary is MidiTok's own `TSD` (Fradet et al. 2021):
the file that `TOKENIZER.save(folder)` writes, a plain `miditok.TSD.from_pretrained(folder)` loads. Lengths are those of
`LENGTHS`. Waits are as in the codec, of a second at most; MidiTok lists longer ones, too, which do not occur.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from miditok import TSD, TokenizerConfig
from symusic import Score

from tasks.midi.codec import (
    EVENTS,
    TICKS_PER_BEAT,
    TICKS_PER_SECOND,
    columns,
    ids_of,
    meaning_of,
    one_piano,
    shifts_of,
    values_of,
    waits,
)

PART = TICKS_PER_SECOND // 4  # ticks
TIMES = [f"<|0:{PART * part / TICKS_PER_SECOND:05.2f}|>" for part in range(60 * TICKS_PER_SECOND // PART)]
"""Special tokens that say the time, as a clock does, in steps of a quarter of a second; see `clocked`."""

SPECIAL = {**EVENTS, "special_tokens": [*EVENTS["special_tokens"], *TIMES]}

# Steps by beats of half a second: 10 ms up to 1 s, 50 ms up to 2 s, 100 ms up to 5 s, half a second up to 20 s.
TOKENIZER = TSD(TokenizerConfig(beat_res={(0, 2): TICKS_PER_BEAT, (2, 4): 10, (4, 10): 5, (10, 40): 1}, **SPECIAL))
"""767 ids, special tokens first: those of the codec, then the times."""

MEANING = {
    **meaning_of(TOKENIZER),
    **{TOKENIZER[f"{name}_None"]: ("Time", part) for part, name in enumerate(TIMES)},
}
LENGTHS = np.unique(values_of("Duration", otherwise=0, meaning=MEANING))[1:]
"""The lengths that a note may have, in ticks of 10 ms: 180 from 1 to 2,000. The nearest is at most 5 % off."""

_NOTE_ON, _VELOCITY, _DURATION, _TIME_SHIFT = (
    ids_of(kind, MEANING) for kind in ("NoteOn", "Velocity", "Duration", "TimeShift")
)
_PITCHES, _VELOCITIES, _LENGTHS = (values_of(kind, meaning=MEANING) for kind in ("NoteOn", "Velocity", "Duration"))
_TICKS = values_of("TimeShift", otherwise=0, meaning=MEANING)
_TIME = ids_of("Time", MEANING)


def rounded(lengths: np.ndarray) -> np.ndarray:
    """The nearest of `LENGTHS` for lengths in ticks, of the same shape."""
    return LENGTHS[np.searchsorted((LENGTHS[1:] + LENGTHS[:-1]) / 2, lengths)]


def fitting(onset: np.ndarray, length: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """One of `LENGTHS` for each note [N], in the order of their onsets: the nearest, or the longest after which its key
    may be struck again."""
    until = np.full(len(onset), LENGTHS[-1])
    by_key = np.lexsort((onset, pitch))
    again = np.flatnonzero(np.diff(pitch[by_key]) == 0)  # where the next note in this order is on the same key
    until[by_key[again]] = onset[by_key[again + 1]] - onset[by_key[again]]
    longest = LENGTHS[np.searchsorted(LENGTHS, np.maximum(until, 1), side="right") - 1]
    return np.minimum(rounded(length), longest)


def encode(score: Score) -> list[int]:
    """The events of a performance: those of `TOKENIZER.encode`, where no wait is longer than a second."""
    onset, offset, pitch, velocity = columns(score)
    length = fitting(onset, offset - onset, pitch)
    events = np.stack([_NOTE_ON[pitch], _VELOCITY[velocity], _DURATION[length]], axis=1).ravel()
    shifts, count = shifts_of(np.diff(onset, prepend=0), _TIME_SHIFT)
    return np.insert(events, np.repeat(3 * np.arange(len(onset)), count), shifts).tolist()


def decode(events: Iterable[int]) -> Score:
    """The performance that any ids describe.

    What makes no sense is passed over: all but note-on, velocity and length in a row, and waits. A note ends where its
    key is struck again.
    """
    ids = np.fromiter(events, dtype=int)
    ids = np.append(ids[ids < len(_TICKS)], [0, 0])
    now, notes = np.cumsum(_TICKS[ids])[:-2], np.stack([_PITCHES[ids[:-2]], _VELOCITIES[ids[1:-1]], _LENGTHS[ids[2:]]])
    whole = (notes >= 0).all(0)
    now, (pitch, velocity, length) = now[whole], notes[:, whole]
    return one_piano(now, now + length, pitch, velocity)


def length(ticks: int) -> int:
    """The event that says that a note lasts so many ticks, or nearly so many."""
    return int(_DURATION[rounded(np.array(ticks))])


def clocked(events: Iterable[int]) -> list[int]:
    """The same with the time said before a note begins, wherever it is another than was said last.

    So, in two lines of the same time, what belongs together comes after the same token.
    """
    line, now, said = [], 0, -1
    for wait, event in _after_waits(events):
        now += wait
        line += waits(wait, _TIME_SHIFT)
        if event and now // PART != said:
            said = now // PART
            line.append(int(_TIME[said % len(TIMES)]))
        line += event
    return line


def unclocked(events: Iterable[int]) -> list[int]:
    """What `clocked` was made of."""
    return [each for wait, event in _after_waits(events) for each in [*waits(wait, _TIME_SHIFT), *event]]


def _after_waits(events: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
    """Each event but waits and times, after the ticks since the one before it; at last the ticks that remain."""
    wait = 0
    for event in events:
        kind, value = MEANING.get(event, ("", 0))
        if kind == "TimeShift":
            wait += value
        elif kind != "Time":
            yield wait, [event]
            wait = 0
    yield wait, []
