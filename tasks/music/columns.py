"""The columns of the mask that a grammar computes before it says of each id whether that may come."""

from dataclasses import dataclass
from itertools import accumulate

from tasks.midi.codec import TICKS_PER_SECOND

PITCHES = 128
WIDTHS = {  # how many columns the events of each kind take, in the columns' order
    "NoteOn": PITCHES,
    "NoteOff": PITCHES,
    "Velocity": 1,
    "Duration": 1,
    "Time": 1,
    "TimeShift": TICKS_PER_SECOND,
}


@dataclass(frozen=True)
class Columns:
    """Where a grammar's mask, bool [R, `width`], says whether an event may come next.

    Events that may all come or may all not share a column, so the mask is narrower than the vocabulary. A kind that a
    notation does not have takes no columns: its slice is empty.
    """

    note_on: slice  # by pitch
    note_off: slice  # by pitch
    velocity: slice  # one column, for any velocity
    duration: slice  # one column, for any length of a note
    time: slice  # one column, for any time beside a melody
    time_shift: slice  # by ticks of 10 ms, from 1 tick to a second
    end: int  # `<|endoftext|>`
    other: int  # what never comes: padding, separators, shifts of more than a second
    width: int

    @classmethod
    def of(cls, *kinds: str) -> "Columns":
        """The columns of a notation that has these kinds of events."""
        stops = [*accumulate(width * (kind in kinds) for kind, width in WIDTHS.items())]
        note_on, note_off, velocity, duration, time, time_shift = map(slice, [0, *stops], stops)
        end = stops[-1]
        return cls(note_on, note_off, velocity, duration, time, time_shift, end, other=end + 1, width=end + 2)

    def of_event(self, kind: str, value: int) -> int:
        """The column of an event of the notation."""
        if kind == "TimeShift" and value > TICKS_PER_SECOND:
            return self.other
        columns = {
            "NoteOn": self.note_on.start + value,
            "NoteOff": self.note_off.start + value,
            "Velocity": self.velocity.start,
            "Duration": self.duration.start,
            "Time": self.time.start,
            "TimeShift": self.time_shift.start + value - 1,
        }
        return columns[kind]
