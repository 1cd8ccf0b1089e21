"""The grammar of events with a velocity only where it changes: what `compact(encode(…))` gives, and nothing else.

- A velocity is another than the last one, and a note-on follows it.
- A note-on without one takes the last velocity, so that the first note of all has its own.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tasks.midi.codec import MEANING
from tasks.midi.velocities import last_velocity
from tasks.music.constraint import WHOLE_NOTE, EventConstraint
from tasks.music.grammar import VELOCITY


class OnChangeConstraint(EventConstraint):
    """An `EventConstraint` of velocities before their notes, where they change."""

    note_takes = WHOLE_NOTE - 1

    def _read(self, prompt: Sequence[int], new_tokens: int, written: Sequence[int] = ()) -> dict[str, Any]:
        state, line = super()._read(prompt, new_tokens, written), [*prompt, *written]
        latest = next((MEANING[event][0] for event in reversed(line) if event in MEANING), "")
        return {**state, "velocity": latest == "Velocity", "last": last_velocity(line) or 0}

    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        same = (self.kind == VELOCITY) & (self.value == state["last"][:, None])
        return super().allowed(state) & ~same

    def _give_velocities(self, mask: Tensor, state: dict[str, Tensor]) -> None:
        """Allow one where a note may begin, and after it nothing but a note."""
        note_on, others = mask[:, self.columns.note_on], mask[:, self.columns.note_on.stop :]
        given = state["velocity"][:, None]
        room = state["left"] >= state["sounding"].sum(-1) + WHOLE_NOTE
        others &= ~given
        mask[:, self.columns.velocity] = (note_on.any(-1) & room)[:, None] & ~given
        note_on &= (state["last"] > 0)[:, None]

    def advance(self, state: dict[str, Tensor], tokens: Tensor) -> None:
        super().advance(state, tokens)
        is_velocity = self.kind[tokens] == VELOCITY
        state["velocity"].copy_(is_velocity)
        state["last"].copy_(torch.where(is_velocity, self.value[tokens], state["last"]))
