"""Every epoch hears a piece anew: in another key, at another tempo, louder or softer.

Transposition and time stretching as in Music Transformer (Huang et al. 2018, section 4.2) and Performance RNN (Oore et
al. 2018, section 4.1), drawn anew for each line whenever it is read. The number of events stays as it is, so that
packed rows, and which of their tokens are learned, do, too.
"""

from dataclasses import dataclass

import numpy as np

from tasks.midi.codec import MEANING, PIANO, TICKS_PER_SECOND, TOKENIZER, ids_of

BINS = 4 * np.arange(32) + 3  # velocities


def _values(*kinds: str) -> np.ndarray:
    """By id: the pitch, velocity or ticks of events of these kinds; -1 for all other ids."""
    values = np.full(len(TOKENIZER), -1)
    for index, (kind, value) in MEANING.items():
        if kind in kinds:
            values[index] = value
    return values


_PITCH, _VELOCITY, _TICKS = _values("NoteOn", "NoteOff"), _values("Velocity"), _values("TimeShift")
_IS_ON, _IS_OFF = (_values(kind) >= 0 for kind in ("NoteOn", "NoteOff"))
_VELOCITY_IDS, _SHIFT_IDS = ids_of("Velocity")[BINS], ids_of("TimeShift")


@dataclass(frozen=True)
class Augmentation:
    """Draws for every line: up to `transpose` semitones up or down, a tempo changed by up to the share `stretch`, and
    up to `velocity_shift` of the 32 bins of velocity louder or softer; all of them evenly."""

    transpose: int = 0
    stretch: float = 0.0
    velocity_shift: int = 0
    late_release: float = 0.0

    def __call__(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Other ids [T] for the ids [T] of a line; ids that are no events stay."""
        ids = transposed(ids, self.transpose, rng)
        ids = released_late(ids, self.late_release, rng)
        ids = stretched(ids, 1 + rng.uniform(-self.stretch, self.stretch))
        return louder(ids, int(rng.integers(-self.velocity_shift, self.velocity_shift, endpoint=True)))


def transposed(ids: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Up or down by at most `most` semitones: by any number of them that leaves no note outside the piano."""
    pitch = _PITCH[ids]
    notes = pitch >= 0
    low, high = pitch[notes].min(initial=PIANO[1]), pitch[notes].max(initial=PIANO[0])
    down, up = np.clip([PIANO[0] - low, PIANO[1] - high], [-most, 0], [0, most])
    # Both kinds of event list all 128 pitches in their order, so that a pitch higher is an id further.
    return ids + rng.integers(down, up, endpoint=True) * notes


def louder(ids: np.ndarray, bins: int) -> np.ndarray:
    """By a number of bins of velocity, softer where it is negative; the softest and the loudest are the limits."""
    velocity = _VELOCITY[ids]
    return np.where(velocity < 0, ids, _VELOCITY_IDS[np.clip(velocity // 4 + bins, 0, len(BINS) - 1)])


def stretched(ids: np.ndarray, factor: float) -> np.ndarray:
    """`factor` times as long, in as many events.

    Each event falls on the tick nearest to its new time, as far as the number of shifts before it allows: k successive
    ones, all of a second but the last, take from 100 (k - 1) + 1 to 100 k ticks. What one wait has thus too little or
    too much (one of nearly a second, or of a single tick) the next ones make up for, so that melody and performance do
    not drift apart. Every special token starts anew from time 0.
    """
    special = np.flatnonzero((_PITCH[ids] < 0) & (_VELOCITY[ids] < 0) & (_TICKS[ids] < 0))
    return np.concatenate([_stretched(part, factor) for part in np.split(ids, special)])


def _stretched(ids: np.ndarray, factor: float) -> np.ndarray:
    ticks = np.maximum(_TICKS[ids], 0)
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
    ids = np.where(shift, _SHIFT_IDS[TICKS_PER_SECOND], ids)
    ids[last] = _SHIFT_IDS[(np.diff(time, prepend=0) - longest + TICKS_PER_SECOND).astype(int)]
    return ids


MEAN_DELAY = 1.5 * TICKS_PER_SECOND  # of a release that is late


def released_late(ids: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A share of the notes held too long: what a decoder that has missed a release sees before it, and has to mend.

    Their note-offs move to later ticks at which something happens, before the key is struck again; a note whose release
    is all that happens in its tick is left alone. No other event changes.
    """
    if not share or not len(ids):
        return ids
    special = np.flatnonzero((_PITCH[ids] < 0) & (_VELOCITY[ids] < 0) & (_TICKS[ids] < 0))
    return np.concatenate([_released_late(part, share, rng) for part in np.split(ids, special) if len(part)])


def _released_late(ids: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    shift, pitch, is_on, is_off = _TICKS[ids] >= 0, _PITCH[ids], _IS_ON[ids], _IS_OFF[ids]
    tick = np.cumsum(shift)  # the number of the shift that an event comes after
    time = np.cumsum(np.where(shift, _TICKS[ids], 0))
    events = np.bincount(tick[~shift], minlength=tick[-1] + 1)  # in each tick
    last = {}
    struck = np.full(len(ids), -1)  # by which event a note began that ends here
    for place in np.flatnonzero(is_on | is_off):
        if is_on[place]:
            last[pitch[place]] = place
        else:
            struck[place] = last.pop(pitch[place], -1)
    for off in np.flatnonzero(is_off & (rng.random(len(ids)) < share)):
        again = np.flatnonzero(is_on[off:] & (pitch[off:] == pitch[off]))
        stop = off + again[0] if len(again) else len(ids)
        later = np.flatnonzero(events[tick[off] + 1 : tick[stop - 1] + 1]) + tick[off] + 1
        if events[tick[off]] < 2 or not len(later):
            continue
        wanted = time[off] + rng.exponential(MEAN_DELAY)
        chosen = later[np.searchsorted(time[np.searchsorted(tick, later)], wanted).clip(max=len(later) - 1)]
        events[[tick[off], chosen]] += [-1, 1]
        tick[off] = chosen
    # In a tick the shift comes first, then the notes that end, those struck first before others, then what begins.
    return ids[np.lexsort((np.where(is_off, struck, np.arange(len(ids))), ~shift + (~shift & ~is_off), tick))]
