"""What generated music is measured by, next to the pieces it should be like.

No number says whether music is good. These say in a few respects whether it is like the test pieces: its
statistics should come close to theirs, not be high or low. The likelihood of the test pieces says more, and
`unigram_nll` is what a model must beat there.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pretty_midi

from tasks.music.codec import TICKS_PER_SECOND, TOKENIZER, decode, performance

MAJOR = (0, 2, 4, 5, 7, 9, 11)
SCALES = np.array([[(pitch_class - tonic) % 12 in MAJOR for pitch_class in range(12)] for tonic in range(12)])


def statistics(events: Sequence[int]) -> dict[str, float]:
    """Statistics of one piece, given as events; all are 0 where no note sounds.

    - `notes`; `seconds` to the end of the last one; `notes_per_second`;
    - `polyphony`: how many sound together, on average over the time in which any does (MusPy, Dong et al. 2020,
      https://arxiv.org/abs/2008.01951);
    - `pitch_class_entropy`: of the histogram over the 12 pitch classes, in bits (Wu and Yang 2020,
      https://arxiv.org/abs/2008.01307);
    - `scale_consistency`: the share of notes within the major or natural minor scale that holds the most (Mogren
      2016, https://arxiv.org/abs/1611.09904);
    - `pitch_range`: semitones from the lowest note to the highest; `mean_velocity`: from 1 to 127.
    """
    notes = decode(events).tracks[0].notes.numpy()
    onset, offset, pitch = notes["time"], notes["time"] + notes["duration"], notes["pitch"].astype(int)
    seconds = float(offset.max(initial=0) / TICKS_PER_SECOND)
    changes = np.bincount(onset, minlength=offset.max(initial=0) + 1) - np.bincount(offset)
    sounding = np.cumsum(changes)
    share = np.bincount(pitch % 12, minlength=12) / max(len(pitch), 1)
    heard = share[share > 0]
    return {
        "notes": len(pitch),
        "seconds": seconds,
        "notes_per_second": len(pitch) / seconds if seconds else 0.0,
        "polyphony": float(sounding.sum() / max((sounding > 0).sum(), 1)),
        "pitch_class_entropy": float((heard * np.log2(1 / heard)).sum()),
        "scale_consistency": float((SCALES @ share).max()),
        "pitch_range": int(np.ptp(pitch)) if len(pitch) else 0,
        "mean_velocity": float(notes["velocity"].mean()) if len(pitch) else 0.0,
    }


def mean_statistics(pieces: Iterable[Sequence[int]]) -> dict[str, float]:
    """Each of the `statistics` on average over pieces, of which there is at least one."""
    table = [statistics(events) for events in pieces]
    return {name: float(np.mean([row[name] for row in table])) for name in table[0]}


def valid_share(paths: Sequence[str | Path]) -> float:
    """The share of MIDI files that hold a note, for symusic as for pretty_midi."""
    return sum(map(_is_valid, paths)) / len(paths)


def _is_valid(path: str | Path) -> bool:
    try:
        performance(path)
        return any(instrument.notes for instrument in pretty_midi.PrettyMIDI(str(path)).instruments)
    except Exception:  # pretty_midi has no type of its own for a bad file
        return False


def unigram_nll(train: Iterable[Sequence[int]], test: Iterable[Sequence[int]]) -> float:
    """Negative log-likelihood of the test events in nats per event, under their frequencies in training.

    Every event of the vocabulary is counted once more than it occurs, so that none is impossible.
    """
    counts = _counts(train) + 1
    events = _counts(test)
    return float(-(events @ np.log(counts / counts.sum())) / events.sum())


def _counts(pieces: Iterable[Sequence[int]]) -> np.ndarray:
    return sum(np.bincount(events, minlength=len(TOKENIZER)) for events in pieces)
