"""A MIDI file that was given, message by message, so that what is written beside it leaves it as it stands."""

from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable
from io import BytesIO
from pathlib import Path

import mido
import numpy as np

from shared.errors import UserError
from tasks.midi.codec import DRUMS, SUSTAIN_PEDAL, TEMPO, TICKS_PER_SECOND, UNSOUND, onsets, read_pitched

MICROSECONDS = 60e6  # of a minute, and so of a beat at one beat a minute
TIMING = ("set_tempo", "time_signature", "key_signature")
OF_ALL = (*TIMING, "lyrics", "marker", "text", "copyright")  # what a track says of the others as well

Events = list[tuple[int, mido.Message | mido.MetaMessage]]
"""A track: messages, each with its time in ticks from the beginning, in the order in which they come."""


class Clock:
    """When a file's ticks are, by its `tempi`, and where a performance begins: at the `first` tick with a note."""

    def __init__(self, resolution: int, tempi: Events, first: int):
        self.resolution, self.first = resolution, first
        of_tempo = 1e6 / TICKS_PER_SECOND * resolution
        changes = {0: MICROSECONDS / TEMPO / of_tempo} | {
            time: message.tempo / of_tempo for time, message in tempi if message.type == "set_tempo"
        }
        self.changes, self.lengths = (np.array(part, dtype=float) for part in zip(*changes.items(), strict=True))
        self.times = np.append(0, np.cumsum(np.diff(self.changes) * self.lengths[:-1]))

    def time(self, ticks: np.ndarray | int) -> np.ndarray:
        """The file's ticks in 10 ms from its beginning."""
        place = np.searchsorted(self.changes, ticks, side="right") - 1
        return self.times[place] + (ticks - self.changes[place]) * self.lengths[place]

    @property
    def silence(self) -> float:
        """The 10 ms before the first note."""
        return float(self.time(self.first))

    def ticks(self, performed: np.ndarray | float) -> np.ndarray:
        """A performance's ticks of 10 ms in the file's own."""
        time = performed + self.silence
        place = np.searchsorted(self.times, time, side="right") - 1
        return np.rint(self.changes[place] + (time - self.times[place]) / np.maximum(self.lengths[place], 1e-9))

    def tempo(self, performed: float) -> float:
        """Beats a minute at a tick of the performance."""
        place = np.searchsorted(self.changes, self.ticks(performed), side="right") - 1
        return float(60 * TICKS_PER_SECOND / (self.lengths[place] * self.resolution))


class MidiSource:
    """A MIDI file's tracks, and when in it a performance's ticks of 10 ms are.

    With a `tempo`, in beats a minute, that one takes the place of the file's own, and all sounds when it did.

    Raises:
        UserError: as `codec.read_pitched`.
    """

    def __init__(self, path: str | Path, tempo: float | None = None):
        pitched = read_pitched(path)
        try:
            # Of values beyond 127 mido makes that, as other programs do.
            file = mido.MidiFile(file=BytesIO(Path(path).read_bytes()), clip=True)
        except Exception as error:  # mido has no type of its own for a bad file
            raise UserError(f"{path}: {UNSOUND}") from error
        self.resolution = file.ticks_per_beat
        self.read = [events(track) for track in file.tracks]
        if not any(_is_pitched(event) for track in self.read for event in track):
            raise UserError(f"{path}: {UNSOUND}")  # by its header it has fewer tracks
        self.onsets = onsets(pitched)
        self.clock = self.written = Clock(self.resolution, timing_of(self.read), min(self.onsets))
        self.own_tempo = mido.MetaMessage("set_tempo", tempo=round(MICROSECONDS / tempo)) if tempo else None
        if self.own_tempo:
            self.written = Clock(self.resolution, [(0, self.own_tempo)], 0)
            self.written.first = self._moved(self.clock.first)

    def _moved(self, tick: int) -> int:
        """Where a tick of the file is written, so that it sounds when it did."""
        return round(float(self.clock.time(tick)) / self.written.lengths[0]) if self.own_tempo else tick

    def _kept(self, tracks: list[Events]) -> list[Events]:
        """Tracks of the file in the time in which they are written."""
        if not self.own_tempo:
            return tracks
        moved = [[(self._moved(time), each) for time, each in track if each.type != "set_tempo"] for track in tracks]
        return [[(0, self.own_tempo), *moved[0]], *moved[1:]]

    @property
    def tracks(self) -> list[Events]:
        """The file as it is."""
        return self._kept(self.read)

    @property
    def timing(self) -> Events:
        """The file's tempo, time signatures and keys alone."""
        return timing_of(self.tracks)

    def performed(self, tick: int) -> int:
        """A tick of the file in a performance's, as `codec.merged` rounds it."""
        if tick in self.onsets:
            return self.onsets[tick]
        return round(float(self.clock.time(tick)) - self.clock.silence)

    def until(self, performed: int) -> list[Events]:
        """The file up to a tick of the performance, where all that sounds ends and the pedal is let go."""
        stop = int(self.clock.ticks(performed))
        ended = [_without(track, lambda time, _: self.performed(time) >= performed) for track in self.read]
        return self._kept([_ending(track, stop) for track in ended])

    def without(self, start: int, stop: int) -> list[Events]:
        """The file without the notes that begin between two ticks of the performance; drums stay."""
        return self._kept(
            [
                _without(track, lambda time, note: note.channel != DRUMS and start <= self.performed(time) < stop)
                for track in self.read
            ]
        )

    def alone(self, notes: Container[tuple[int, int]], name: str, stop: int | None) -> list[Events]:
        """The file with these `notes` alone, (tick of the performance, pitch) each, of the tracks of that name.

        Where no track has the name, in any case, those of all tracks stay. All ends at the tick `stop`, if it is given.
        Where a track loses notes, its pedal goes, which was theirs as well. What tracks without any of the notes say of
        time, words and marks stands on a first track.
        """
        named = [track for track in self.read if _name(track) == name and any(map(_is_pitched, track))]

        def gone(time: int, message: mido.Message) -> bool:
            return message.channel == DRUMS or (self.performed(time), message.note) not in notes

        kept: list[Events] = []
        others: Events = []
        for track in self.read:
            left = _without(track, gone) if not named or track in named else []
            if not any(begins(message) for _, message in left):
                others += [event for event in track if event[1].type in OF_ALL]
                continue
            if len(left) < len(track):
                left = [event for event in left if not event[1].is_cc(SUSTAIN_PEDAL)]
            kept.append(left)
        found = [sorted(others, key=_time), *kept] if others else kept
        if stop is not None:
            found = [_ending(track, int(self.clock.ticks(stop))) for track in found]
        return self._kept(found)


def events(track: mido.MidiTrack) -> Events:
    """A track of mido's, whose messages say how long after the one before they come."""
    found, time = [], 0
    for message in track:
        time += message.time
        found.append((time, message))
    return found


def timing_of(tracks: Iterable[Events]) -> Events:
    """The tempo, time signatures and keys that any of the tracks tell, in order."""
    return sorted((event for track in tracks for event in track if event[1].type in TIMING), key=_time)


def channel_of(message: mido.Message | mido.MetaMessage) -> int | None:
    """The channel of what is played; None of what is about the file, or of no channel."""
    return None if message.is_meta else getattr(message, "channel", None)


def begins(message: mido.Message | mido.MetaMessage) -> bool:
    """Whether a note begins."""
    return message.type == "note_on" and message.velocity > 0


def _is_pitched(event: tuple[int, mido.Message | mido.MetaMessage]) -> bool:
    """Whether a note begins that is not a drum's."""
    return begins(event[1]) and event[1].channel != DRUMS


def _name(track: Events) -> str:
    """What a track is called, in lower case; of several names the last, as symusic reads it."""
    names = [message.name for _, message in track if message.type == "track_name"]
    return names[-1].strip().lower() if names else ""


def _time(event: tuple[int, mido.Message | mido.MetaMessage]) -> int:
    return event[0]


def _without(track: Events, gone: Callable[[int, mido.Message], bool]) -> Events:
    """A track without the notes that are gone, by when they begin and the message by which they do.

    Of two notes on one key the first ends first.
    """
    kept: Events = []
    sounding: dict[tuple[int, int], deque[bool]] = defaultdict(deque)  # by channel and key: which notes stay
    for time, message in track:
        stays = True
        if begins(message):
            stays = not gone(time, message)
            sounding[message.channel, message.note].append(stays)
        elif message.type in ("note_on", "note_off") and sounding[message.channel, message.note]:
            stays = sounding[message.channel, message.note].popleft()
        if stays:
            kept.append((time, message))
    return kept


def _ending(track: Events, stop: int) -> Events:
    """A track up to a tick, where its notes and its pedal end; the file's timing goes on."""
    kept: Events = []
    pedals = set()
    for time, message in track:
        if message.type in ("note_on", "note_off"):
            kept.append((min(time, stop), message))
        elif message.type in TIMING or time < stop:
            kept.append((time, message))
            if message.is_cc(SUSTAIN_PEDAL):
                pedals.add(message.channel)
    up = [(stop, mido.Message("control_change", channel=each, control=SUSTAIN_PEDAL)) for each in sorted(pedals)]
    return sorted([*kept, *up], key=_time)
