"""PyTorch's compiler, loaded beside the reading of the data.

A first compilation loads some 600 modules, starts the processes that compile Triton's kernels, each of which loads
PyTorch anew, and finds a GPU that was not used yet. None of it depends on what is compiled, and all of it mostly waits.
Compiled is nothing here: that would save and restore PyTorch's random numbers while others draw from them.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread

import torch

from shared.training.arguments import TrainingArguments


@contextmanager
def compiler_beside(training: TrainingArguments) -> Iterator[None]:
    """Load the compiler while what is inside is done, where the `training` compiles for a GPU; it is there at the end.

    Without a GPU the compiler's processes would take the cores that the data need.
    """
    if not training.torch_compile or training.device.type != "cuda":
        yield
        return
    thread = Thread(target=_load, args=(training.device,))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _load(device: torch.device) -> None:
    with suppress(Exception):  # where the compiler is used, it is raised anew
        import_module("torch._inductor.async_compile").maybe_warm_pool()  # as PyTorch does when it first compiles
        import_module("torch._inductor.compile_fx")
        matrix = torch.zeros(16, 16, device=device)
        torch.mm(matrix, matrix)
