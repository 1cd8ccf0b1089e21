"""The slots of the running batch: what each has written, and what a step changes."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


class Slots:
    """The places of the running batch, each writing after a prompt of its own.

    All that a step changes is a tensor that is changed in place, so that a step can be replayed as a CUDA graph.
    """

    def __init__(self, slots: int, longest: int, device: torch.device):
        self.tokens = torch.zeros(slots, dtype=torch.long, device=device)  # the newest of each slot
        self.drawn = torch.zeros_like(self.tokens)  # what was chosen last, an end included
        self.positions = torch.zeros_like(self.tokens)  # where the newest stands
        self.count = torch.zeros_like(self.tokens)  # how many a slot has written
        self.limit = torch.zeros_like(self.tokens)  # how many it may write
        self.finished = torch.ones(slots, dtype=torch.bool, device=device)
        self.ids = torch.zeros(slots, longest, dtype=torch.long, device=device)
        self.uniform = torch.zeros(slots, longest, device=device)  # the numbers that draw its tokens
        self.removed = torch.zeros(slots, device=device)  # probability of what a constraint forbade, summed over tokens

    def admit(
        self,
        places: list[int],
        windows: list[list[int]],
        written: list[list[int]],
        limits: list[int],
        uniform: np.ndarray | None,
    ) -> None:
        """Begin the slots `places`, whose prompts are in the cache, or go on with those that have `written` something.

        Each ends with its limit of tokens, those included; `uniform` [places, most] draw all it may ever write.
        """
        numbers = [
            places,
            [window[-1] for window in windows],
            [len(window) - 1 for window in windows],
            [*map(len, written)],
            limits,
        ]
        # One copy for all of them: for short outputs, a copy a value would take longer than writing.
        slots, *values = torch.tensor(numbers).to(self.tokens.device)
        for tensor, value in zip((self.tokens, self.positions, self.count, self.limit), values, strict=True):
            tensor[slots] = value
        self.finished[slots] = False
        self.removed[slots] = 0
        for slot, ids in zip(places, written, strict=True):
            if ids:
                self.ids[slot, : len(ids)] = torch.tensor(ids)
        if uniform is not None:
            self.uniform[slots, : uniform.shape[1]] = torch.from_numpy(uniform).to(self.uniform)

    def seen(self) -> Callable[[], tuple[list[bool], list[int]]]:
        """What `finished` and `count` are now. A GPU is waited for when that is called, and may have gone on."""
        now = torch.stack([self.finished, self.count])
        if not now.is_cuda:
            return lambda: (now[0].bool().tolist(), now[1].tolist())
        read = torch.empty(now.shape, dtype=now.dtype, pin_memory=True)
        read.copy_(now, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()

        def wait() -> tuple[list[bool], list[int]]:
            copied.synchronize()
            return read[0].bool().tolist(), read[1].tolist()

        return wait

    @property
    def nbytes(self) -> int:
        """Memory of all of them."""
        return sum(tensor.nbytes for tensor in vars(self).values())

    @property
    def longest(self) -> int:
        """How many tokens a slot may write."""
        return self.ids.shape[1]

    def keep(self, slots: Tensor) -> None:
        """Drop all slots but these."""
        for name, tensor in vars(self).items():
            setattr(self, name, tensor[slots])
