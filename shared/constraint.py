"""What may be written next, where a task has a grammar."""

from typing import Protocol

import torch
from torch import Tensor


class Constraint(Protocol):
    """Which tokens may follow, as tensor operations that never wait for the GPU.

    The state of all rows is a dict of tensors with the rows as their first dimension, changed in place only.
    """

    def new_state(self, rows: int, device: torch.device) -> dict[str, Tensor]:
        """Room for so many rows, none of which has begun."""

    def begin(self, state: dict[str, Tensor], row: int, ids: list[int], new_tokens: int) -> None:
        """Set one row's state to that after `ids`, with `new_tokens` still to be written at most."""

    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        """Bool [rows, V]: the tokens that may come next, at least one in every row."""

    def advance(self, state: dict[str, Tensor], tokens: Tensor) -> None:
        """Take in one more token of every row [rows]."""
