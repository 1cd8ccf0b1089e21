"""The melody of a piece: a track that says so, or else its skyline."""

from pathlib import Path

import numpy as np
from symusic import Score

from tasks.midi.codec import TICKS_PER_SECOND, excerpt, merged, one_piano, read_pitched, sustain

TRACK = "melody"  # the name, in any case, of the track that is the melody: in POP909, and in many files of songs
CHORD = TICKS_PER_SECOND // 20  # notes struck within so many ticks are one chord


def melody_and_performance(path: str | Path) -> tuple[Score, Score]:
    """The melody of a MIDI file and the whole of it (melody included), both on one piano and from the same time 0.

    The notes of a melody are as long as their keys are held, or until the next one; the pedal is not counted.

    Raises:
        UserError: as `codec.performance`.
    """
    score = read_pitched(path)
    named = [index for index, track in enumerate(score.tracks) if track.name.strip().lower() == TRACK]
    melody = skyline(merged(score, named))
    for track in score.tracks:
        sustain(track)
    return melody, merged(score)


def skyline(score: Score) -> Score:
    """The highest note at each onset, one at a time (Uitdenbogerd and Zobel 1998, "Manipulation of music for melody
    matching", the first of their algorithms).

    A note is left out where a higher one sounds 50 ms after it was struck: so neither the lower notes of a chord that
    is not struck at one instant nor an accompaniment under a long note count. Each note ends where the next begins.
    """
    notes = score.tracks[0].notes.numpy()
    onset, pitch = notes["time"].astype(int), notes["pitch"].astype(int)
    offset = onset + notes["duration"]
    highest = np.zeros(offset.max(initial=0) + CHORD + 1, dtype=np.int8)
    for index in np.argsort(pitch, kind="stable"):
        highest[onset[index] : offset[index]] = pitch[index]
    kept = np.flatnonzero(pitch >= highest[onset + CHORD])
    kept = kept[np.diff(onset[kept], append=len(highest)) > 0]  # of those struck together, the last is the highest
    until = np.minimum(offset[kept], np.append(onset[kept][1:], len(highest)))
    return one_piano(onset[kept], until, pitch[kept], notes["velocity"][kept].astype(int))


def from_its_first_note(melody: Score, ticks: int) -> Score:
    """The first `ticks` of a melody, without the rest before it."""
    start = first_onset(melody) or 0
    return excerpt(melody, start, start + ticks)


def first_onset(melody: Score) -> int | None:
    """The tick at which a melody's first note begins; None where it has none."""
    notes = melody.tracks[0].notes
    return notes[0].time if notes else None
