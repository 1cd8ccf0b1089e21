"""How a GPU reads short prompts: as it has read others of their shape, replayed.

Launched one by one, the hundreds of kernels that read a prompt of 16 tokens take as long as writing forty more. Prompts
of which two are the same are read kernel by kernel: fewer rows are read than slots begin.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from shared.generation.cuda_graph import captured
from shared.generation.decode_step import DecodeStep
from shared.model.masks import Mask

LENGTHS = 32  # prompts are padded to a multiple, so that others find the same recording
TOKENS = 4096  # to read more takes the kernels as long as to launch them, and a recording much memory
SHAPES = 8  # recordings that are kept


@dataclass
class _Shape:
    """Prompts of one shape [N, T], their positions and mask, and how they are read, once that is recorded."""

    ids: Tensor
    positions: Tensor
    mask: Mask
    graph: torch.cuda.CUDAGraph | None = None


class RecordedReading:
    """Reads prompts into the first slots of a GPU's cache, which stays where it is."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Hold no recordings."""
        self.shapes: dict[tuple[int, int], _Shape] = {}
        # They run one after the other, and nothing that they leave there is needed: so all work in the same memory,
        # which is gone with the last of them.
        self.pool = torch.cuda.graph_pool_handle()

    def __call__(self, step: DecodeStep, prompts: Tensor) -> None:
        """Let the `step` read `prompts` [N, T] as its `read_rows` does."""
        rows, longest = prompts.shape
        length = min(step.cache.length, -(-longest // LENGTHS) * LENGTHS)
        if rows * length > TOKENS:
            step.read_rows(prompts)
            return
        if (rows, length) not in self.shapes:
            if len(self.shapes) == SHAPES:
                self.forget()
            ids = torch.zeros(rows, length, dtype=torch.long, device=step.cache.device)
            self.shapes[rows, length] = _Shape(ids, *step.causal(rows, length))
        shape = self.shapes[rows, length]
        shape.ids[:, :longest] = prompts
        if shape.graph is not None:
            shape.graph.replay()
            return

        def read() -> None:
            step.read(shape.ids, shape.positions, shape.mask, step.cache)

        read()  # which also loads and compiles what is recorded
        shape.graph = captured(read, self.pool)
