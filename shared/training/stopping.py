"""SIGTERM and SIGINT end a training after its step, on all processes after the same one."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
import torch.distributed as dist

# torchrun passes a SIGINT on to its processes, which have it from the terminal already.
REPEATS_WITHIN = 1.0 if "TORCHELASTIC_RUN_ID" in os.environ else 0.0


class Stop:
    """Whether this training is asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal = 0
        self.since = 0.0
        self.group: dist.ProcessGroup | None = None
        self.said: tuple[torch.Tensor, dist.Work] | None = None  # the last step's, which the processes add up meanwhile

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT as the wish to stop; a second SIGINT is Python's own, and ends everything at once."""
        if threading.current_thread() is not threading.main_thread():  # Python tells signals to the main one alone
            yield
            return
        self.signal, self.said = 0, None
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            self.group = dist.new_group(backend="gloo")  # on the CPU: no GPU is waited for
        former = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
            self._settle()
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _settle(self) -> None:
        """Wait for what the last step began: Python must not end while a thread still sums it up."""
        if self.said is not None:
            self.said[1].wait()
            self.said = None

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT and time.monotonic() - self.since >= REPEATS_WITHIN:
            raise KeyboardInterrupt
        if not self.signal:
            self.signal, self.since = number, time.monotonic()

    def agreed(self) -> int:
        """The signal that ends the training now, or 0; called after every step, by all processes.

        Several processes see a signal between different steps. What each has seen is reduced while the next step runs,
        and all of them read the result after it.
        """
        if self.group is None:
            return self.signal
        agreed = 0
        if self.said is not None:
            numbers, work = self.said
            work.wait()
            agreed = int(numbers)
        numbers = torch.tensor(self.signal)
        self.said = numbers, dist.all_reduce(numbers, dist.ReduceOp.MAX, group=self.group, async_op=True)
        return agreed
