"""The grammar of events with lengths: what `tasks.midi.lengths.encode` gives, and nothing else.

- After a note-on comes its velocity, and after that its length.
- A key is struck only where its note has ended; what begins at one tick goes upward.
- Time is shifted by whole seconds first, then by the rest; a shift leads to a note.
- The end comes after any note: how long all that sounds will last is said by then.
- Beside a melody the time is said before a note begins, where it is another than was said last.

So there is nothing to release. No 10 s pass without a new note, and a note whose tokens would not all fit does not
begin. Where seconds are asked for, no note begins later, and no length goes on for more than a second after that. What
fills a hole begins in it, on keys that the past has let go. A wait that would lead beyond is the end.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.midi.codec import TICKS_PER_SECOND
from tasks.midi.lengths import PART, TIMES
from tasks.music.columns import PITCHES, Columns
from tasks.music.grammar import DURATION, LONGEST_SILENCE, NEVER, RINGING, TIME, VELOCITY, Grammar, Line


class LengthsConstraint(Grammar):
    """A `Grammar` of notes that say their lengths."""

    columns = Columns.of("NoteOn", "Velocity", "Duration", "Time", "TimeShift")

    def _redirect(self, targets: np.ndarray) -> None:
        """A wait that leads too far is the end; one of more than a second, which is never written, a second."""
        shifts = self.vocabulary.shifts
        targets[shifts[shifts >= 0]] = shifts[TICKS_PER_SECOND]
        targets[shifts[1 : TICKS_PER_SECOND + 1]] = self.vocabulary.end

    def _sounding(self, line: Line) -> dict[str, Any]:
        return {
            "ends": [line.ends.get(pitch, line.origin) - line.origin for pitch in range(PITCHES)],
            "length": line.latest == "Velocity" and line.begun >= 0,
            "clocked": line.clocked,
            "said": line.said - line.origin,
            "start": -line.origin,
        }

    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        now, left, ends = state["now"], state["left"], state["ends"]
        silent = ends <= now[:, None]
        begin_by = state["hole"].clamp(max=self.limit)
        can_begin = (left >= self.vocabulary.note_size) & (now < begin_by)
        time, said = ((state[name] - state["start"]) // PART for name in ("now", "said"))
        unsaid = state["clocked"] & (time != said)
        note_on = silent & self.playable & (self.pitches > state["begun"][:, None]) & (can_begin & ~unsaid)[:, None]
        # A shift leads to a note: tokens and time have to be left for it.
        room = torch.minimum(begin_by - 1 - now, LONGEST_SILENCE - state["silence"])
        can_shift = ~state["shifted"] & (left > self.vocabulary.note_size + state["clocked"])
        shift = can_shift[:, None] & (self.ticks <= room[:, None])
        over = now >= self.limit - TICKS_PER_SECOND  # then an end may come, also before `until`
        may_end = (state["until"] == NEVER) & (now >= self.earliest_end)
        end = (~state["owing"] & (may_end | over))[:, None]

        velocity, length = state["velocity"][:, None], state["length"][:, None]
        may_say = (unsaid & can_begin & (left > self.vocabulary.note_size))[:, None]
        free = ~(velocity | length)
        other = torch.zeros_like(end)
        # In the order of `columns`.
        mask = torch.cat([note_on & free, velocity, length, may_say & free, shift & free, end & free, other], -1)
        mask &= ~(state["ended"] | (left <= 0))[:, None]
        mask[:, self.columns.end] |= ~mask.any(-1)  # a row that is over, or has no room for the note it owes
        longest, said_now = self.limit + RINGING - now, time % len(TIMES)
        too_long = (self.kind == DURATION) & (self.value > longest[:, None])
        other_time = (self.kind == TIME) & (self.value != said_now[:, None])
        return mask[:, self.column] & ~(too_long | other_time)

    def _sound(self, state: dict[str, Tensor], kind: Tensor, value: Tensor, on: Tensor, shift: Tensor) -> None:
        key = (self.pitches == state["begun"][:, None]) & (kind == DURATION)[:, None]
        state["ends"].copy_(torch.where(key, (state["now"] + value)[:, None], state["ends"]))
        state["owing"].logical_or_(shift | (kind == TIME)).logical_and_(~on)
        state["length"].copy_(kind == VELOCITY)
        state["said"].copy_(torch.where((kind == TIME) | on, state["now"], state["said"]))
