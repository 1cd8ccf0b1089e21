"""Pieces as MIDI files for a sequencer: tempo, time signatures and resolution as in the file that was given, what was
given as it stood there, and what is written on tracks of its own.
"""

from collections.abc import Mapping, Sequence

import mido
import numpy as np
from symusic import Score

from tasks.midi.codec import DRUMS, SUSTAIN_PEDAL, TEMPO, TICKS_PER_BEAT, TICKS_PER_SECOND, columns
from tasks.midi.source import MICROSECONDS, Events, MidiSource, channel_of

RESOLUTION = 10 * TICKS_PER_BEAT  # ticks to the beat where no file says so: at 120 beats a minute 1 ms each
TOUCH = 3 * TICKS_PER_SECOND // 10  # how long a key is held at most whose note the pedal holds
CHANNELS = 16


def arranged(
    parts: Mapping[str, Score],
    source: MidiSource | None = None,
    given: "Sequence[Events] | None" = None,
    tempo: float = TEMPO,
    pedal: bool = False,
) -> mido.MidiFile:
    """What is to be saved: performances as tracks by name, behind those that are `given`, in the time of `source`.

    Without a source the file has one `tempo`, in beats a minute. With `pedal` notes that end together are held by it.
    Each performance has a channel that nothing given has; where there is none, one of a second port.
    """
    tracks: list[Events]
    if source:
        resolution, ticks, tracks = source.resolution, source.written.ticks, [*(given or [source.timing])]
    else:
        resolution = RESOLUTION
        tracks = [[(0, mido.MetaMessage("set_tempo", tempo=round(MICROSECONDS / tempo)))]]

        def ticks(performed: np.ndarray | float) -> np.ndarray:
            return np.rint(performed * (tempo / 60 / TICKS_PER_SECOND * RESOLUTION))

    used = {channel_of(message) for track in tracks for _, message in track}
    channels = [channel for channel in range(CHANNELS) if channel not in {*used, DRUMS}]
    port = [] if len(parts) <= len(channels) else [(0, mido.MetaMessage("midi_port", port=1))]
    for (name, performed), channel in zip(parts.items(), channels if not port else range(CHANNELS), strict=False):
        notes = columns(performed)
        onset, offset = ticks(notes[0]), ticks(notes[1])
        notes[:2] = onset, np.maximum(offset, onset + 1)
        changes: list[tuple[int, int]] = []
        if pedal:  # in the file's ticks, which may be coarse: what ends at one of them ends together
            notes, changes = pedalled(notes, max(1, int(ticks(np.array(TOUCH)) - ticks(np.array(0)))))
        head: Events = [(0, mido.MetaMessage("track_name", name=name)), *port]
        tracks.append([*head, (0, mido.Message("program_change", channel=channel)), *_played(notes, changes, channel)])
    return midi_file(tracks, resolution)


def midi_file(tracks: Sequence[Events], resolution: int) -> mido.MidiFile:
    """Tracks as a file of so many ticks to the beat."""
    file = mido.MidiFile(type=1, ticks_per_beat=resolution)
    for events in tracks:
        track, before = file.add_track(), 0
        for time, message in events:
            track.append(message.copy(time=time - before))
            before = time
    return file


def _played(notes: np.ndarray, pedal: Sequence[tuple[int, int]], channel: int) -> Events:
    """Notes [4, N] and changes of the pedal as messages; at one tick notes end before it changes and others begin."""
    moments = [(time, 1, mido.Message("control_change", channel=channel, control=SUSTAIN_PEDAL, value=value))
               for time, value in pedal]  # fmt: skip
    for onset, offset, pitch, velocity in notes.T.tolist():
        moments.append((onset, 2, mido.Message("note_on", channel=channel, note=pitch, velocity=velocity)))
        moments.append((offset, 0, mido.Message("note_off", channel=channel, note=pitch)))
    return [(time, message) for time, _, message in sorted(moments, key=lambda moment: moment[:2])]


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
