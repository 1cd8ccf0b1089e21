"""Every epoch hears a piece anew: in another key, at another tempo, louder or softer.

Transposition and time stretching as in Music Transformer (Huang et al. 2018, section 4.2) and Performance RNN (Oore et
al. 2018, section 4.1), drawn anew for each line whenever it is read. The number of events stays as it is, so that
packed rows, and which of their tokens are learned, do, too.
"""

from dataclasses import dataclass

import numpy as np

from tasks.midi.codec import MEANING, PIANO, TICKS_PER_SECOND, Meaning, ids_of, values_of
from tasks.midi.lengths import fitting

BINS = 4 * np.arange(32) + 3  # velocities


class Table:
    """What the ids of a vocabulary say, as arrays [V] with -1 for all others, and the ids that say it."""

    def __init__(self, meaning: Meaning):
        self.pitch, self.velocity, self.ticks, self.length, self.struck, self.time = (
            values_of(*kinds, meaning=meaning)
            for kinds in (("NoteOn", "NoteOff"), ("Velocity",), ("TimeShift",), ("Duration",), ("NoteOn",), ("Time",))
        )
        self.velocities, self.shifts, self.lengths = (
            ids_of(kind, meaning) for kind in ("Velocity", "TimeShift", "Duration")
        )


EVENTS = Table(MEANING)


@dataclass(frozen=True)
class Augmentation:
    """Draws for every line: up to `transpose` semitones up or down, a tempo changed by up to the share `stretch`, and
    up to `velocity_shift` of the 32 bins of velocity louder or softer; all of them evenly."""

    transpose: int = 0
    stretch: float = 0.0
    velocity_shift: int = 0
    table: Table = EVENTS

    def __call__(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Other ids [T] for the ids [T] of a line; ids that are no events stay."""
        ids = transposed(ids, self.transpose, rng, self.table)
        ids = stretched(ids, 1 + rng.uniform(-self.stretch, self.stretch), self.table)
        bins = int(rng.integers(-self.velocity_shift, self.velocity_shift, endpoint=True))
        return louder(ids, bins, self.table)


def transposed(ids: np.ndarray, most: int, rng: np.random.Generator, table: Table = EVENTS) -> np.ndarray:
    """Up or down by at most `most` semitones: by any number of them that leaves no note outside the piano."""
    pitch = table.pitch[ids]
    notes = pitch >= 0
    low, high = pitch[notes].min(initial=PIANO[1]), pitch[notes].max(initial=PIANO[0])
    down, up = np.clip([PIANO[0] - low, PIANO[1] - high], [-most, 0], [0, most])
    # Both kinds of event list all 128 pitches in their order, so that a pitch higher is an id further.
    return ids + rng.integers(down, up, endpoint=True) * notes


def louder(ids: np.ndarray, bins: int, table: Table = EVENTS) -> np.ndarray:
    """By a number of bins of velocity, softer where it is negative; the softest and the loudest are the limits."""
    velocity = table.velocity[ids]
    return np.where(velocity < 0, ids, table.velocities[BINS[np.clip(velocity // 4 + bins, 0, len(BINS) - 1)]])


def stretched(ids: np.ndarray, factor: float, table: Table = EVENTS) -> np.ndarray:
    """`factor` times as long, in as many events.

    Each event falls on the tick nearest to its new time, as far as the number of shifts before it allows: k successive
    ones, all of a second but the last, take from 100 (k - 1) + 1 to 100 k ticks. What one wait has thus too little or
    too much (one of nearly a second, or of a single tick) the next ones make up for, so that melody and performance do
    not drift apart. Every special token starts anew from time 0. The length of a note, where events say it, becomes the
    nearest to its new one after which the key may be struck again.
    """
    said = np.stack([values[ids] for values in (table.pitch, table.velocity, table.ticks, table.length, table.time)])
    parts = np.split(ids, np.flatnonzero((said < 0).all(0)))
    return np.concatenate([_longer(_stretched(part, factor, table), factor, table) for part in parts])


def _longer(ids: np.ndarray, factor: float, table: Table) -> np.ndarray:
    """The same with other lengths of notes; their onsets are the new ones."""
    ends = np.flatnonzero(table.length[ids] >= 0)
    ends = ends[ends >= 2]  # a line may begin within a note
    if not len(ends):
        return ids
    onset = np.cumsum(np.maximum(table.ticks[ids], 0))[ends]
    ids = ids.copy()
    ids[ends] = table.lengths[fitting(onset, np.rint(factor * table.length[ids[ends]]), table.struck[ids[ends - 2]])]
    return ids


def _stretched(ids: np.ndarray, factor: float, table: Table) -> np.ndarray:
    ticks = np.maximum(table.ticks[ids], 0)
    shift = ticks > 0
    last = np.flatnonzero(shift & ~np.append(shift[1:], False))  # of each wait
    shifts = np.diff(np.cumsum(shift)[last], prepend=0)
    longest = TICKS_PER_SECOND * shifts
    shortest = np.cumsum(longest - TICKS_PER_SECOND + 1)
    # The time after wait i is max(wanted i, time i-1 + shortest i), which unrolls into a running maximum; then, in the
    # same way, min(that, time i-1 + longest i). Being no later, the second never makes a wait too short.
    time = np.rint(factor * np.cumsum(ticks)[last])
    time = shortest + np.maximum.accumulate(np.maximum(time - shortest, 0))
    time = np.cumsum(longest) + np.minimum.accumulate(np.minimum(time - np.cumsum(longest), 0))
    ids = np.where(shift, table.shifts[TICKS_PER_SECOND], ids)
    ids[last] = table.shifts[(np.diff(time, prepend=0) - longest + TICKS_PER_SECOND).astype(int)]
    return ids
