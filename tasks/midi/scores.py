"""What generated music is measured by, next to the pieces it should be like.

No number says whether music is good. These say in a few respects whether it is like the test pieces: each feature is
taken of windows of 30 s, so that pieces of any length compare, and its distribution is laid over theirs. The
likelihood of the test pieces says more, and `unigram_nll` is what a model must beat there.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pretty_midi
from symusic import Score

from tasks.midi.codec import TICKS_PER_SECOND, columns, performance

WINDOW = 30 * TICKS_PER_SECOND
MAJOR = (0, 2, 4, 5, 7, 9, 11)
SCALES = np.array([[(pitch_class - tonic) % 12 in MAJOR for pitch_class in range(12)] for tonic in range(12)])
CONSONANCE = np.array([1, -1, -1, 1, 1, 0, -1, 1, 1, 1, -1, -1])
"""By semitones modulo 12 from a tone up to the melody: unison, thirds, fifth and sixths 1, the fourth 0, others -1."""
CONSONANCE_BY_LENGTH = -0.13
"""How consonance goes with the logarithm of the mean length of notes, from song to song: the slope over the first 20 s
of POP909's 729 training songs (correlation -0.52)."""

_HALF_OCTAVES = np.unique(np.rint(2 ** np.arange(0, 10.5, 0.5))) + 0.5  # ticks: 1.5, 2.5, 3.5, 4.5, 6.5, … 1024.5
BINS = {
    "inter_onset": np.array([-0.5, 0.5, *_HALF_OCTAVES, np.inf]) / TICKS_PER_SECOND,
    "duration": np.array([-0.5, 0.5, *_HALF_OCTAVES, np.inf]) / TICKS_PER_SECOND,
    "velocity": np.arange(0, 129, 4),
}
"""Bins of the features that every note has; all others are one value of a window."""

Features = Mapping[str, list[np.ndarray]]
"""By name, the values of a feature in each window: shape [notes], or [1] (or [0] where it does not apply)."""


def window_count(ticks: float) -> int:
    """How many windows a piece so long has: at least one, and a rest only from half a window on."""
    return max(1, int((ticks + WINDOW / 2) // WINDOW))


def features(pieces: Iterable[Score], melodies: "Iterable[Score] | None" = None) -> Features:
    """The features of performances, window by window; with `melodies`, how each piece goes with its own.

    One value of a window:

    - `notes_per_second`: struck in the window, which ends with its last note where that is the piece's;
    - `polyphony`: how many sound together, on average over the time in which any does (MusPy, Dong et al. 2020,
      https://arxiv.org/abs/2008.01951);
    - `pitch_class_entropy`: of the histogram over the 12 pitch classes, in bits (Wu and Yang 2020,
      https://arxiv.org/abs/2008.01307);
    - `scale_consistency`: the share of notes within the major or natural minor scale that holds the most (Mogren
      2016, https://arxiv.org/abs/1611.09904);
    - `pitch_range`: semitones from the lowest note to the highest;
    - `consonance` with the melody, from -1 to 1: the mean of `CONSONANCE` over all pairs of a melody note and a tone on
      another key, weighted by how long they sound together. It is the pitch consonance score of Yeh et al. 2021
      (https://arxiv.org/abs/2001.02360), for notes in place of chord symbols and seconds in place of 16ths.

    One value of each note (Yang and Lerch 2020, https://doi.org/10.1007/s00521-018-3849-7): `inter_onset` seconds
    since the note before, `duration` in seconds, and `velocity`.
    """
    found: dict[str, list[np.ndarray]] = {}
    melodies = list(melodies) if melodies is not None else None
    for index, piece in enumerate(pieces):
        notes = columns(piece)
        end = int(notes[1].max(initial=0))
        for start in range(0, WINDOW * window_count(end), WINDOW):
            stop = min(start + WINDOW, end)
            values = _window(notes, start, stop)
            if melodies is not None:
                values["consonance"] = _consonance(notes, columns(melodies[index]), start, stop)
            for name, value in values.items():
                found.setdefault(name, []).append(np.atleast_1d(value))
    return found


def _window(notes: np.ndarray, start: int, stop: int) -> dict[str, float | np.ndarray]:
    """Features of one window of `codec.columns`: of the notes that begin in it, for polyphony of all that sound."""
    borders = (np.clip(times, start, stop) - start for times in notes[:2])
    begun, ended = (np.bincount(times, minlength=stop - start + 1) for times in borders)
    sounding = np.cumsum(begun - ended)
    onset, offset, pitch, velocity = notes[:, (start <= notes[0]) & (notes[0] < start + WINDOW)]
    share = np.bincount(pitch % 12, minlength=12) / max(len(pitch), 1)
    heard = share[share > 0]
    return {
        "notes_per_second": len(pitch) * TICKS_PER_SECOND / max(stop - start, 1),
        "polyphony": sounding.sum() / max((sounding > 0).sum(), 1),
        "pitch_class_entropy": (heard * np.log2(1 / heard)).sum(),
        "scale_consistency": (SCALES @ share).max(),
        "pitch_range": np.ptp(pitch) if len(pitch) else 0,
        "inter_onset": np.diff(onset) / TICKS_PER_SECOND,
        "duration": (offset - onset) / TICKS_PER_SECOND,
        "velocity": velocity,
    }


def consonance(piece: Score, melody: Score) -> float:
    """The `consonance` of a whole piece with its melody (see `features`); -1 where no tone meets a note of it."""
    notes, melody_notes = columns(piece), columns(melody)
    end = int(max(notes[1].max(initial=0), melody_notes[1].max(initial=0)))
    found = _consonance(notes, melody_notes, 0, end)
    return float(found[0]) if found.size else -1.0


def consonance_at_equal_length(piece: Score, melody: Score) -> float:
    """What accompaniments of one melody are compared by: `consonance`, as if their notes were all equally long.

    A long note meets more of the melody, and so more of what it clashes with: the most consonant accompaniment would be
    one of short notes. What their length leads to expect (`CONSONANCE_BY_LENGTH`) is therefore taken away. The unit is
    a mean length of one second; a piece without notes has -inf.
    """
    onset, offset, *_ = columns(piece)
    if not onset.size:
        return float("-inf")
    seconds = max((offset - onset).mean(), 1) / TICKS_PER_SECOND
    return consonance(piece, melody) - CONSONANCE_BY_LENGTH * float(np.log(seconds))


def _consonance(notes: np.ndarray, melody: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Shape [1], or [0] where no tone meets a melody note between `start` and `stop`."""
    begin = np.maximum(np.maximum.outer(melody[0], notes[0]), start)
    end = np.minimum(np.minimum.outer(melody[1], notes[1]), stop)
    intervals = np.subtract.outer(melody[2], notes[2])
    together = np.maximum(end - begin, 0) * (intervals != 0)  # on one key: the melody itself, which a piece may play
    scores = CONSONANCE[intervals % 12]
    return np.array([(together * scores).sum() / together.sum()] if together.any() else [])


def overlap(name: str, some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float:
    """The overlapping area of a feature's distributions in two sets of windows: 1 where they are the same, 0 if apart.

    What every note has is pooled into histograms (`BINS`). What a window has once is smoothed by a Gaussian kernel
    with Scott's bandwidth, as in Yang and Lerch 2020. (They compare the distances within a set to those between two;
    here, as in Choi et al. 2020, https://arxiv.org/abs/1912.05537, the values themselves are compared.)
    """
    a, b = (np.concatenate(windows).astype(float) for windows in (some, others))
    if not len(a) or not len(b):
        return 0.0
    if name in BINS:
        shares = [np.histogram(values, BINS[name])[0] / len(values) for values in (a, b)]
        return float(np.minimum(*shares).sum())
    least = 1e-3 * max(np.abs(a).max(), np.abs(b).max(), 1e-3)  # a feature may be the same in all windows
    widths = [max(values.std() * len(values) ** -0.2, least) for values in (a, b)]
    margin = 4 * max(widths)
    grid = np.linspace(min(a.min(), b.min()) - margin, max(a.max(), b.max()) + margin, 2000)
    densities = [
        np.exp(-(((grid[:, None] - values) / width) ** 2) / 2).mean(1) / (width * np.sqrt(2 * np.pi))
        for values, width in zip((a, b), widths, strict=True)
    ]
    return float(np.minimum(*densities).sum() * (grid[1] - grid[0]))


def compare(generated: Features, real: Features, draws: int = 10) -> dict[str, float]:
    """`generated_NAME` and `real_NAME`, the means of every feature, and their distributions' `overlap_NAME`.

    `attainable_NAME` says how high an overlap can be expected to be: that of as many real windows, drawn at random (at
    most half of them), with all the others; the mean of some `draws`.
    """
    metrics = {}
    for name, theirs in real.items():
        ours = generated[name]
        for who, windows in (("generated", ours), ("real", theirs)):
            values = np.concatenate(windows)
            metrics[f"{who}_{name}"] = float(values.mean()) if len(values) else 0.0
        metrics[f"overlap_{name}"] = overlap(name, ours, theirs)
        rng, size = np.random.default_rng(0), min(len(ours), len(theirs) // 2)
        if size:
            orders = [rng.permutation(len(theirs)) for _ in range(draws)]
            parts = [([theirs[i] for i in order[:size]], [theirs[i] for i in order[size:]]) for order in orders]
            metrics[f"attainable_{name}"] = float(np.mean([overlap(name, *part) for part in parts]))
    return metrics


def valid_share(paths: Sequence[str | Path]) -> float:
    """The share of MIDI files that hold a note, for symusic as for pretty_midi."""
    return sum(map(_is_valid, paths)) / len(paths)


def _is_valid(path: str | Path) -> bool:
    try:
        performance(path)
        return any(instrument.notes for instrument in pretty_midi.PrettyMIDI(str(path)).instruments)
    except Exception:  # pretty_midi has no type of its own for a bad file
        return False


def unigram_nll(train: Iterable[Sequence[int]], test: Iterable[Sequence[int]], size: int) -> float:
    """Negative log-likelihood of the test events in nats per event, under their frequencies in training.

    Each of the vocabulary's `size` events is counted once more than it occurs, so that none is impossible.
    """
    counts, events = (np.sum([np.bincount(piece, minlength=size) for piece in pieces], 0) for pieces in (train, test))
    return float(-(events @ np.log((counts + 1) / (counts + 1).sum())) / events.sum())
