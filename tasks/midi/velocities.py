"""The same events with a velocity only where it changes, as Performance RNN and Music Transformer write them.

    codec.encode    NoteOn_60 Velocity_63 NoteOn_64 Velocity_63 … NoteOn_67 Velocity_71
    here            Velocity_63 NoteOn_60 NoteOn_64             … Velocity_71 NoteOn_67

A velocity comes just before the first note that it is for, and counts until the next one.
"""

from collections.abc import Sequence

import numpy as np

from tasks.midi.codec import MEANING, TOKENIZER, ids_of

UNKNOWN = 63
"""The velocity of notes that no velocity comes before: 64, which MIDI's keyboards without touch send, in its bin."""

_VELOCITY = ids_of("Velocity")
_IS_NOTE_ON, _IS_VELOCITY = (np.isin(np.arange(len(TOKENIZER)), ids_of(kind)) for kind in ("NoteOn", "Velocity"))


def compact(events: Sequence[int]) -> list[int]:
    """Events of `codec.encode` without the velocities that say nothing new."""
    ids = np.array(events, dtype=int)
    struck = np.flatnonzero(_IS_NOTE_ON[ids])
    velocity = ids[struck + 1]
    ids[struck], ids[struck + 1] = velocity, ids[struck]
    same = np.diff(velocity, prepend=-1) == 0
    return np.delete(ids, struck[same]).tolist()


def expand(events: Sequence[int], last: int | None = None) -> list[int]:
    """Events with a velocity after every note-on, as `codec.decode` reads them, from those of `compact`.

    Notes before the first velocity have `last`, or `UNKNOWN`. A velocity that no note follows is lost.
    """
    ids = np.array(events, dtype=int)
    is_velocity = _IS_VELOCITY[ids]
    latest = np.maximum.accumulate(np.where(is_velocity, np.arange(1, len(ids) + 1), 0))
    velocity = np.append(_VELOCITY[UNKNOWN if last is None else last], ids)[latest]
    ids, velocity = ids[~is_velocity], velocity[~is_velocity]
    struck = np.flatnonzero(_IS_NOTE_ON[ids])
    return np.insert(ids, struck + 1, velocity[struck]).tolist()


def last_velocity(events: Sequence[int]) -> int | None:
    """The last velocity that any events, of either form, say; None where they say none."""
    meanings = (MEANING.get(event, (None, 0)) for event in reversed(events))
    return next((value for kind, value in meanings if kind == "Velocity"), None)
