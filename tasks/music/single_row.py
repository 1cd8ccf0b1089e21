"""The grammar of events for one row on a CPU, on numbers where tensors would take several times as long.

The state is the tensors of `EventConstraint`, read and changed in place.
"""

import numpy as np
import torch
from torch import Tensor

from tasks.midi.codec import LONGEST_NOTE, TICKS_PER_SECOND
from tasks.music.constraint import WHOLE_NOTE, EventConstraint
from tasks.music.grammar import LONGEST_SILENCE, NEVER, NOTE_OFF, NOTE_ON, RINGING, TIME_SHIFT


class SingleRowConstraint(EventConstraint):
    """An `EventConstraint` that follows a row which is alone in numbers, and several as that does."""

    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        if why_not(state):
            return super().allowed(state)
        columns = self.columns
        mask = np.zeros(columns.width, dtype=bool)
        if state["velocity"]:
            mask[columns.velocity] = True
        else:
            self._fill(mask, state)
        if state["ended"] or int(state["left"]) <= 0:
            mask[:] = False
        mask[columns.end] |= not mask.any()
        return torch.from_numpy(mask[self.column.numpy()])[None]

    def _fill(self, mask: np.ndarray, state: dict[str, Tensor]) -> None:
        """Set in the mask [C] what may come where no velocity is due."""
        columns = self.columns
        note_on, note_off, shift = mask[columns.note_on], mask[columns.note_off], mask[columns.time_shift]  # views
        names = ("now", "left", "begun", "silence", "hole", "until", "owing")
        now, left, begun, silence, hole, until, owing = (int(state[name]) for name in names)
        sounding, limit = state["sounding"][0].numpy(), self.limit
        keys = np.flatnonzero(sounding)
        notes = len(keys)
        if not notes and not owing and now > 0 and now >= limit - TICKS_PER_SECOND:
            return  # over
        begin_by, late, age = min(hole, limit), now >= limit + RINGING, 0
        if notes:
            struck = state["struck"][0].numpy()[keys]
            oldest = struck.argmin()  # of several the lowest key
            age = now - int(struck[oldest])
            late |= age >= LONGEST_NOTE
            if begun < 0:
                in_order = late or silence >= LONGEST_SILENCE or left <= notes
                note_off[keys[oldest] if in_order else keys] = True
        if not late and left >= notes + WHOLE_NOTE and now < begin_by:
            note_on[begun + 1 :] = (self.playable.numpy() & ~sounding)[begun + 1 :]
        waiting = notes > 0 and begun >= 0
        if not state["shifted"] and (waiting or left > (notes or WHOLE_NOTE)):
            last = min(now + LONGEST_NOTE - age, limit + RINGING) if notes else begin_by - 1
            room = max(min(last - now, LONGEST_SILENCE - silence), int(waiting), 0)
            shift[:room] = True
        mask[columns.end] = not notes and not owing and until == NEVER and now >= self.earliest_end

    def advance(self, state: dict[str, Tensor], tokens: Tensor) -> None:
        if why_not(state):
            super().advance(state, tokens)
            return
        token = int(tokens)
        kind, value = int(self.kind[token]), int(self.value[token])
        if kind == NOTE_ON:
            state["sounding"][0, value] = True
            state["struck"][0, value] = state["now"][0]
            state["begun"].fill_(value)
            state["silence"].zero_()
            state["owing"].zero_()
        elif kind == NOTE_OFF:
            state["sounding"][0, value] = False
        elif kind == TIME_SHIFT:
            now = state["now"].add_(value)
            state["silence"].add_(value)
            state["begun"].fill_(-1)
            state["owing"].logical_or_(~state["sounding"].any(-1))
            state["paused"].logical_or_(now >= state["until"])
        state["velocity"].fill_(kind == NOTE_ON)
        state["shifted"].fill_(kind == TIME_SHIFT and value < TICKS_PER_SECOND)
        state["ended"].logical_or_(tokens == self.vocabulary.end)
        state["left"].sub_(1)


def why_not(state: dict[str, Tensor]) -> str | None:
    """What keeps a state from being followed in numbers, or None."""
    rows = state["left"]
    if rows.device.type != "cpu":
        return "reading a number makes a GPU wait"
    return None if len(rows) == 1 else "there are several rows"
