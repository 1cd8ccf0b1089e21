"""What is heard of a session, message by message, as the performance that a MIDI file of it would be."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from symusic import Score

from tasks.midi.codec import DRUMS, SUSTAIN_PEDAL, columns, later, one_piano
from tasks.midi.vocabulary import MusicVocabulary


class Message(Protocol):
    """What is read of a `mido.Message`; a note has `note` and `velocity`, a control change `control` and `value`."""

    @property
    def type(self) -> str:
        """`note_on`, `note_off`, `control_change` or anything else."""

    def dict(self) -> "dict[str, int]":
        """Its values by name."""


def strikes(message: Message) -> bool:
    """Whether a message strikes a key; drums have none."""
    values = message.dict()
    return message.type == "note_on" and values["velocity"] > 0 and values.get("channel") != DRUMS


@dataclass
class Note:
    """A note in ticks of 10 ms of the session, played or `written` by the decoder; `offset` is None while it sounds."""

    onset: int
    offset: int | None
    pitch: int
    velocity: int
    written: bool = False


class Heard:
    """The notes of a session: `all` of them, and the `notes` that are remembered, which a decoder is given.

    A key that is let go while the pedal is down sounds on, as in `codec.sustain`; with `pedal=False` it does not.
    """

    def __init__(self, pedal: bool = True):
        self.all: list[Note] = []
        self.notes: list[Note] = []
        self.sounding: dict[int, Note] = {}
        self.down: set[tuple[int, int]] = set()  # by channel and key: what hands hold
        self.counts_pedal = pedal
        self.pedals: dict[int, set[int]] = {}  # by channel whose pedal is down: the keys that it holds alone

    def hear(self, message: Message, tick: int) -> bool:
        """Take in what was played at a tick; whether it is music."""
        values = message.dict()
        if values.get("channel") == DRUMS:
            return False
        channel = values.get("channel", 0)
        if strikes(message):
            self.down.add((channel, values["note"]))
            self.strike(values["note"], values["velocity"], tick)
        elif message.type in ("note_on", "note_off"):
            self.let_go(channel, values["note"], tick)
        elif message.type == "control_change" and values["control"] == SUSTAIN_PEDAL and self.counts_pedal:
            if values["value"] >= 64:
                self.pedals.setdefault(channel, set())
            else:
                self.end_unheld(self.pedals.pop(channel, set()), tick)
        else:
            return False
        return True

    def let_go(self, channel: int, pitch: int, tick: int) -> None:
        """A key is let go, and sounds on where the pedal of its channel is down or another channel holds it."""
        struck = (channel, pitch) in self.down
        self.down.discard((channel, pitch))
        if channel not in self.pedals:
            self.end_unheld([pitch], tick)
        elif struck:
            self.pedals[channel].add(pitch)

    def end_unheld(self, pitches: Iterable[int], tick: int) -> None:
        """What was played on these keys ends, unless a hand or a pedal of any channel holds it."""
        held = {pitch for _, pitch in self.down}.union(*self.pedals.values())
        self.end({*pitches} - held, tick, written=False)

    def strike(self, pitch: int, velocity: int, tick: int, written: bool = False) -> None:
        """A note begins; one that sounds on its key ends."""
        self.end([pitch], tick)
        note = self.sounding[pitch] = Note(tick, None, pitch, velocity, written)
        self.notes.append(note)
        self.all.append(note)

    def end(self, pitches: Iterable[int], tick: int, written: bool | None = None) -> None:
        """The notes on these keys end, where they sound: all, those that are `written`, or the others."""
        for pitch in pitches:
            note = self.sounding.get(pitch)
            if note and written in (None, note.written):
                self.sounding.pop(pitch).offset = tick

    def forget(self, share: float = 1.0) -> None:
        """Remember no longer that part of the notes, the oldest; never those that sound."""
        gone = self.notes[: round(share * len(self.notes))]
        self.notes = [note for note in gone if note.offset is None] + self.notes[len(gone) :]

    def score(self, now: int) -> Score:
        """What is remembered as a performance, from its first note on; what sounds ends at tick `now`."""
        return performance(self.notes, now)

    def tracks(self) -> dict[str, Score]:
        """All that was played and all that was written, from the session's first note on."""
        found = {}
        for name, written in (("Played", False), ("Answers", True)):
            notes = [note for note in self.all if note.written == written]
            start = min((note.onset for note in notes), default=0) - min((note.onset for note in self.all), default=0)
            last = max((note.offset or note.onset for note in self.all), default=0)
            found[name] = later(performance(notes, last), start)
        return found

    @property
    def first(self) -> int:
        """The tick at which what is remembered begins."""
        return min((note.onset for note in self.notes), default=0)


def performance(notes: Iterable[Note], now: int) -> Score:
    """Notes as a performance from the first of them on; what sounds ends at tick `now`."""
    rows = [[note.onset, now if note.offset is None else note.offset, note.pitch, note.velocity] for note in notes]
    played = np.array(rows, dtype=int).reshape(-1, 4).T
    played[:2] -= played[0].min(initial=now)
    return one_piano(*played)


def settled(score: Score, ticks: int, vocabulary: MusicVocabulary) -> list[int]:
    """The events of the first `ticks` of a performance that no later message can change.

    Waits that lead beyond are left out and, where notes say their lengths, all from the first length on that is not
    over: of music that is still being played, no more is certain.
    """
    events = vocabulary.encode(score)
    if vocabulary.says_lengths:
        ends = columns(score)[1]
        # A length that is rounded up becomes shorter if its key is struck before it is over.
        said = columns(vocabulary.decode(events))[1]
        uncertain = np.flatnonzero((ends >= ticks) | (said > ticks))
        struck = np.flatnonzero(vocabulary.pitches[events] >= 0)
        return events[: struck[uncertain[0]] + vocabulary.note_size - 1] if len(uncertain) else events
    takes = vocabulary.ticks[np.array(events, dtype=int)]
    count = int(np.searchsorted(np.cumsum(takes), ticks))
    while count and takes[count - 1]:
        count -= 1
    return events[:count]
