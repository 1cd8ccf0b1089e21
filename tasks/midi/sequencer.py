"""Pieces as MIDI files for a sequencer: tempo, time signatures and resolution as in the file that was given, what was
given as it stood there, and what is written on tracks of its own.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from symusic import ControlChange, Note, Score, Tempo, Track

from tasks.midi.codec import SUSTAIN_PEDAL, TEMPO, TICKS_PER_BEAT, TICKS_PER_SECOND, columns, read_pitched

RESOLUTION = 10 * TICKS_PER_BEAT  # ticks to the beat where no file says so: at 120 beats a minute 1 ms each
TOUCH = 3 * TICKS_PER_SECOND // 10  # how long a key is held at most whose note the pedal holds


class MidiSource:
    """A MIDI file that was given: all its tracks, and when in it a performance's ticks of 10 ms are.

    Raises:
        UserError: as `codec.read_pitched`.
    """

    def __init__(self, path: str | Path):
        pitched = read_pitched(path)
        self.score = Score.from_midi(Path(path).read_bytes())
        self.first = min(track.notes.numpy()["time"].min() for track in pitched.tracks)  # where a performance begins
        changes = {0: 60e6 / TEMPO} | {tempo.time: tempo.mspq for tempo in sorted(self.score.tempos, key=_time)}
        self.changes, self.lengths = (
            np.array(part, dtype=float) for part in zip(*sorted(changes.items()), strict=True)
        )
        self.lengths /= self.score.ticks_per_quarter * 1e6 / TICKS_PER_SECOND  # of a tick of the file, in 10 ms
        self.times = np.append(0, np.cumsum(np.diff(self.changes) * self.lengths[:-1]))

    def time(self, ticks: np.ndarray) -> np.ndarray:
        """The file's ticks in 10 ms from its beginning."""
        place = np.searchsorted(self.changes, ticks, side="right") - 1
        return self.times[place] + (ticks - self.changes[place]) * self.lengths[place]

    def ticks(self, performed: np.ndarray) -> np.ndarray:
        """A performance's ticks of 10 ms in the file's own."""
        time = performed + self.time(np.array(self.first))
        place = np.searchsorted(self.times, time, side="right") - 1
        return np.rint(self.changes[place] + (time - self.times[place]) / np.maximum(self.lengths[place], 1e-9))

    def tempo(self, performed: float) -> float:
        """Beats a minute at a tick of the performance."""
        place = np.searchsorted(self.changes, self.ticks(np.array(performed)), side="right") - 1
        return 60 * TICKS_PER_SECOND / (self.lengths[place] * self.score.ticks_per_quarter)

    def until(self, performed: int) -> Score:
        """The file up to a tick of the performance, where all that sounds ends and the pedal is let go."""
        stop = int(self.ticks(np.array(performed)))
        return self._kept(lambda track, onset: onset < stop, stop)

    def without(self, start: int, stop: int) -> Score:
        """The file without the notes that begin between two ticks of the performance; drums stay."""
        start, stop = (int(tick) for tick in self.ticks(np.array([start, stop])))
        return self._kept(lambda track, onset: (onset < start) | (onset >= stop) | track.is_drum)

    def _kept(self, keep: Callable[[Track, np.ndarray], np.ndarray], stop: int | None = None) -> Score:
        score = self.score.copy()
        for track in score.tracks:
            notes = track.notes.numpy()
            chosen = keep(track, notes["time"])
            notes = {name: values[chosen] for name, values in notes.items()}
            if stop is not None:
                notes["duration"] = np.minimum(notes["duration"], np.maximum(stop - notes["time"], 1))
                track.controls = [control for control in track.controls if control.time < stop]
                track.pitch_bends = [bend for bend in track.pitch_bends if bend.time < stop]
                if any(control.number == SUSTAIN_PEDAL for control in track.controls):
                    track.controls.append(ControlChange(stop, SUSTAIN_PEDAL, 0))
            track.notes = Note.from_numpy(**notes)
        return score

    def empty(self) -> Score:
        """The file's tempo, time signatures and resolution alone."""
        score = self.score.copy()
        score.tracks = []
        return score


def _time(event: Tempo) -> int:
    return event.time


def arranged(
    parts: Mapping[str, Score],
    source: MidiSource | None = None,
    given: "Score | None" = None,
    tempo: float = TEMPO,
    pedal: bool = False,
) -> Score:
    """What is to be saved: performances as tracks by name, behind those of `given`, which is in the time of `source`.

    Without a source the file has one `tempo`, in beats a minute. With `pedal` notes that end together are held by it.
    """
    if source:
        score = given or source.empty()
        ticks = source.ticks
    else:
        score = Score(RESOLUTION)
        score.tempos.append(Tempo(0, tempo))

        def ticks(performed: np.ndarray) -> np.ndarray:
            return np.rint(performed * (tempo / 60 / TICKS_PER_SECOND * RESOLUTION))

    for name, performed in parts.items():
        notes = columns(performed).astype(np.int32)
        onset, offset = ticks(notes[0]), ticks(notes[1])
        notes[:2] = onset, np.maximum(offset, onset + 1)
        track = Track(name)
        if pedal:  # in the file's ticks, which may be coarse: what ends at one of them ends together
            notes, changes = pedalled(notes, max(1, int(ticks(np.array(TOUCH)) - ticks(np.array(0)))))
            track.controls.extend([ControlChange(time, SUSTAIN_PEDAL, value) for time, value in changes])
        onset, offset, pitch, velocity = notes
        track.notes = Note.from_numpy(onset, offset - onset, pitch.astype(np.int8), velocity.astype(np.int8))
        score.tracks.append(track)
    return score


def pedalled(notes: np.ndarray, touch: int = TOUCH) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Notes [4, N] held by keys alone, and changes (tick, value) of a pedal that make them sound as before.

    A key whose note the pedal holds is let go after `touch` ticks.

    Where notes that did not begin together end at one tick, a pedal is let go there. It is pressed just after the last
    end of another note before that (or once all of the notes but one have begun), so that it holds nothing else.
    """
    notes = notes.copy()
    onset, offset = notes[0], notes[1].copy()
    changes: list[tuple[int, int]] = []
    for end in np.unique(offset):
        held = np.flatnonzero(offset == end)
        begun = onset[held]
        pressed = max(offset[offset < end].max(initial=-1), begun.min()) + 1
        if begun.min() == begun.max() or end - pressed < 2 or (begun >= end - 1).any():
            continue
        changes += [(int(pressed), 127), (int(end), 0)]
        notes[1, held] = np.minimum(end - 1, np.maximum(pressed, begun) + touch)
    return notes, changes
