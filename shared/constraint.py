"""What the next token may be: a rule that follows every row while it is written."""

from collections.abc import Sequence as Tokens
from typing import Protocol

import torch
from torch import Tensor

State = dict[str, Tensor]


class Constraint(Protocol):
    """A rule over continuations, kept for many rows at once in tensors of its own: its state.

    Every tensor of the state has one row for each row that is written: to reorder rows, index them all alike. After
    `new_state` none is ever replaced, and neither `allowed` nor `advance` waits for the device, so that both may run
    inside a CUDA graph.
    """

    removed: float  # the probability of what it forbade, summed over what was last written under it
    tokens: int  # how many tokens that was, ends included

    def new_state(self, rows: int, device: torch.device | str) -> State:
        """The state of `rows` rows, none of which has begun."""

    def begin(self, state: State, row: int, prompt: Tokens[int], new_tokens: int, written: Tokens[int] = ()) -> None:
        """Set one row's state to that after its prompt and what is `written` already. Done on the CPU.

        At most `new_tokens` are still to come.
        """

    def allowed(self, state: State) -> Tensor:
        """Bool [rows, V]: which ids may come next. At least one in every row, also where a row has ended."""

    def advance(self, state: State, tokens: Tensor) -> None:
        """Take in the token [rows] that each row was given, in place."""
