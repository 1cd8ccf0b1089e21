"""MIDI ports and files to play along with: messages with the times at which they came, and notes that are sent."""

import io
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mido

from shared.errors import UserError, first_line
from tasks.midi.codec import DRUMS

EXTRA = "python-rtmidi is missing: pip install -e .[live], or give --file FILE"


class Seconds:
    """The time that passes."""

    now = staticmethod(time.perf_counter)
    sleep = staticmethod(time.sleep)


class PortSource:
    """Messages of an input port, with the times at which they came; a port does not end."""

    ended = False

    def __init__(self, name: str | None):
        self.waiting: deque[tuple[float, Any]] = deque()
        # Called from a thread of the port's: a message has its time even while the decoder is busy.
        self.port = _opened(
            "input", name, mido.get_input_names, mido.open_input,
            callback=lambda message: self.waiting.append((Seconds.now(), message)),
        )  # fmt: skip

    def take(self, now: float) -> Sequence[tuple[float, Any]]:
        """What has come since it was asked for."""
        return [self.waiting.popleft() for _ in range(len(self.waiting))]

    def close(self) -> None:
        self.port.close()


class FileSource:
    """The messages of a MIDI file as they sound; the first note sounds a second after the first look at them.

    Raises:
        UserError: if the file cannot be read, is no MIDI file, counts no beats, or holds no pitched note.
    """

    def __init__(self, path: str | Path):
        try:
            contents = Path(path).read_bytes()
        except OSError as error:
            raise UserError(f"--file {path}: cannot be read: {error.strerror}") from error
        try:
            read = mido.MidiFile(file=io.BytesIO(contents), clip=True)
            messages = list(read)
        except Exception as error:  # mido has no type of its own for what is no MIDI file
            raise UserError(f"--file {path}: not a sound MIDI file ({first_line(error)}): give another") from error
        if read.ticks_per_beat < 0:
            raise UserError(f"--file {path}: its time is that of film (SMPTE), not of beats: give another")
        self.waiting: deque[tuple[float, Any]] = deque()
        self.first = at = 0.0  # of the first note
        down: dict[tuple[int, int], bool] = {}
        for message in messages:
            at += message.time
            if message.type in ("note_on", "note_off") and message.channel != DRUMS:
                self.first = self.first if down else at
                down[message.channel, message.note] = message.type == "note_on" and message.velocity > 0
            self.waiting.append((at, message))
        if not down:
            raise UserError(f"--file {path}: holds no pitched note: give another")
        for (channel, note), held in down.items():  # a file may leave notes on
            if held:
                self.waiting.append((at, mido.Message("note_off", channel=channel, note=note)))
        self.start: float | None = None

    @property
    def ended(self) -> bool:
        return not self.waiting

    def take(self, now: float) -> Sequence[tuple[float, Any]]:
        """What is due."""
        if self.start is None:
            self.start = now + 1 - self.first
        taken = []
        while self.waiting and self.start + self.waiting[0][0] <= now:
            at, message = self.waiting.popleft()
            taken.append((self.start + at, message))
        return taken

    def close(self) -> None:
        """It was read at once."""


class PortOutput:
    """Notes to an output port, on the first channel."""

    def __init__(self, name: str | None):
        self.port = _opened("output", name, mido.get_output_names, mido.open_output)

    def note(self, pitch: int, velocity: int) -> None:
        """Strike a key, or let it go (velocity 0)."""
        kind = "note_on" if velocity else "note_off"
        self.port.send(mido.Message(kind, note=pitch, velocity=velocity))

    def close(self) -> None:
        self.port.close()


class Silence:
    """An output that nobody hears."""

    def note(self, pitch: int, velocity: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def _opened(kind: str, name: str | None, names: Any, open_: Any, **settings: Any) -> Any:
    """The port whose name holds `name`, or the first."""
    try:
        found = names()
    except ImportError as error:
        raise UserError(EXTRA) from error
    except Exception as error:  # of rtmidi, each system has its own
        raise UserError(f"this machine has no MIDI system ({first_line(error)}): give --file FILE") from error
    fitting = [each for each in found if (name or "").lower() in each.lower()]
    if not fitting:
        there = f"there are: {', '.join(found)}" if found else "there are none: connect one, or give --file FILE"
        raise UserError(f"no MIDI {kind} port {name or ''}".rstrip() + f"; {there}")
    try:
        return open_(fitting[0], **settings)
    except Exception as error:
        raise UserError(f"--{kind} {fitting[0]}: cannot be opened ({first_line(error)}); close what uses it") from error
