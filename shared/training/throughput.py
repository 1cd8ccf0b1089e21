"""Tokens per second and MFU, for every line of a training's log."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch
from accelerate import Accelerator
from transformers import TrainerCallback

from shared.hardware import matmul_peak, synchronize


class Throughput(TrainerCallback):
    """Counts this process's `tokens` since the last line of the log, and the seconds they took, without the pauses."""

    def __init__(self, accelerator: Accelerator, flops_per_token: float):
        self.accelerator, self.flops_per_token = accelerator, flops_per_token
        self._restart()

    def _restart(self) -> None:
        self.tokens, self.pauses, self.start = 0, 0.0, perf_counter()

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        matmul_peak(self.accelerator.device)  # measured now, while the GPU has nothing else to do
        self._restart()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done inside is no training. The steps still under way on the GPU are, and are waited for."""
        synchronize(self.accelerator.device)
        start = perf_counter()
        try:
            yield
        finally:
            synchronize(self.accelerator.device)
            self.pauses += perf_counter() - start

    def read(self) -> dict[str, float]:
        """`tokens_per_second` over all processes, and `mfu`: the share of the matrix products that all could do."""
        seconds = perf_counter() - self.start - self.pauses
        tokens = self.accelerator.reduce(torch.tensor(self.tokens, device=self.accelerator.device)).item()
        self._restart()
        peak = matmul_peak(self.accelerator.device) * self.accelerator.num_processes
        return {"tokens_per_second": tokens / seconds, "mfu": tokens / seconds * self.flops_per_token / peak}
