"""Which event may come next, so that whatever is written is a performance, complete and playable as it stands.

The language is that of `codec.encode`: what this grammar lets through is what `encode` gives for the performance that
`decode` makes of it, event by event, but for the order in which notes end at one tick.

- A key is struck only where it is silent, and released only where it sounds; a velocity follows each note-on.
- Within one tick, notes end before others begin, and what begins goes upward. So no note ends in the tick in which it
  began. (`encode` releases those struck first before others. A decoder that has passed over one may still release it:
  held to the order, it forgot such notes, and they sounded on.)
- Time is shifted by whole seconds first, then by the rest; a shift leads to a note's beginning or end.
- The end comes when nothing sounds.

And it is kept from running on: no note sounds longer than 20 s, no 10 s pass without a new one (in a performance they
may), and everything is released before the tokens are used up. Where seconds are asked for, no note begins later. To
forbid long waits as they run out would leave the decoder nothing but to strike keys, all at once: so what still sounds
may ring on for a second, and a silence within the last second is the end.

What it forbids is not simply left out: a decoder that has lost track of what sounds wants to release a silent key, and
the probability of other note-offs is small then, so that notes would sound on and on. So a sounding key that is struck
is released, and what else is forbidden goes to its own kind of event: an off of a silent key to the offs of sounding
ones, a shift that is too long to shorter ones.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.midi.codec import LONGEST_NOTE, TICKS_PER_SECOND, ids_of
from tasks.music.columns import PITCHES, Columns
from tasks.music.grammar import LONGEST_SILENCE, NEVER, NOTE_OFF, RINGING, Grammar, Line

WHOLE_NOTE = 4  # tokens of a note from silence: NoteOn and Velocity, TimeShift, NoteOff


class EventConstraint(Grammar):
    """A `Grammar` of notes that are released by events of their own."""

    columns = Columns.of("NoteOn", "NoteOff", "Velocity", "TimeShift")
    note_takes = WHOLE_NOTE  # tokens from a note-on to the note's release, at least

    def _redirect(self, targets: np.ndarray) -> None:
        """A sounding key that is struck is released."""
        targets[ids_of("NoteOn")] = ids_of("NoteOff")

    def _sounding(self, line: Line) -> dict[str, Any]:
        struck = line.struck
        return {
            "sounding": [pitch in struck for pitch in range(PITCHES)],
            "struck": [struck.get(pitch, line.now) - line.origin for pitch in range(PITCHES)],
        }

    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        sounding, now, left, begun = (state[name] for name in ("sounding", "now", "left", "begun"))
        notes = sounding.sum(-1)
        silent = notes == 0
        order = self._order(state)
        oldest = order.amin(-1)
        age = now - oldest // PITCHES
        # After one has begun notes have to wait for the next tick to be released: that takes a shift.
        waiting = ~silent & (begun >= 0)
        begin_by = state["hole"].clamp(max=self.limit)
        late = (age >= LONGEST_NOTE) | (now >= self.limit + RINGING)
        # Then the oldest ends first.
        in_order = late | (state["silence"] >= LONGEST_SILENCE) | (left <= notes)

        note_off = sounding & (begun < 0)[:, None]
        note_off &= ~in_order[:, None] | (order == oldest[:, None])
        # What a note-on takes: itself, its velocity, a shift, and the release of its note and all others.
        can_begin = ~late & (left >= notes + self.note_takes) & (now < begin_by)
        note_on = ~sounding & self.playable & (self.pitches > begun[:, None]) & can_begin[:, None]
        # Where nothing sounds, a shift leads to a note.
        last = torch.where(silent, begin_by - 1, (now + LONGEST_NOTE - age).clamp(max=self.limit + RINGING))
        room = torch.minimum(last - now, LONGEST_SILENCE - state["silence"])
        can_shift = waiting | (left > torch.where(silent, WHOLE_NOTE, notes))
        room = torch.where(can_shift & ~state["shifted"], torch.maximum(room, waiting.long()), 0)
        shift = self.ticks <= room[:, None]
        may_end = (state["until"] == NEVER) & (now >= self.earliest_end)
        end = (silent & ~state["owing"] & may_end)[:, None]

        none = torch.zeros_like(end)
        mask = torch.cat([note_on, note_off, none, shift, end, none], -1)  # in the order of `columns`
        # The fallback below makes an end of these, also before `until`.
        over = silent & ~state["owing"] & (now > 0) & (now >= self.limit - TICKS_PER_SECOND)
        mask &= ~over[:, None]
        self._give_velocities(mask, state)
        mask &= ~(state["ended"] | (left <= 0))[:, None]
        mask[:, self.columns.end] |= ~mask.any(-1)  # a row that is over, or has no room for the note it owes
        return mask[:, self.column]

    def _give_velocities(self, mask: Tensor, state: dict[str, Tensor]) -> None:
        """Where one is due, allow in the mask [R, C] velocities and nothing else, in place."""
        due = state["velocity"][:, None]
        mask &= ~due
        mask[:, self.columns.velocity] = due

    def _order(self, state: dict[str, Tensor]) -> Tensor:
        """[R, 128]: the order in which sounding notes were struck; `NEVER` for silent keys."""
        return torch.where(state["sounding"], state["struck"] * PITCHES + self.pitches, NEVER)

    def _sound(self, state: dict[str, Tensor], kind: Tensor, value: Tensor, on: Tensor, shift: Tensor) -> None:
        off, key = kind == NOTE_OFF, self.pitches == value[:, None]
        state["sounding"].logical_or_(key & on[:, None]).logical_and_(~(key & off[:, None]))
        state["struck"].copy_(torch.where(key & on[:, None], state["now"][:, None], state["struck"]))
        state["owing"].logical_or_(shift & ~state["sounding"].any(-1)).logical_and_(~on)
