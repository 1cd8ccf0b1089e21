"""An average of many tensors moved by one Triton kernel, which reads how far from memory.

PyTorch's own `_foreach_lerp_` wants that as a number, which a CUDA graph would keep; out of other operations it takes
three passes in place of one.
"""

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096


@triton.jit
def _lerp(averages, weights, sizes, tensors, starts, decay, BLOCK: tl.constexpr):
    program = tl.program_id(0)
    tensor = tl.load(tensors + program)
    at = tl.load(starts + program) + tl.arange(0, BLOCK)
    inside = at < tl.load(sizes + tensor)
    average = tl.load(averages + tensor).to(tl.pointer_type(tl.float32)) + at
    weight = tl.load(weights + tensor).to(tl.pointer_type(tl.float32)) + at
    old, new = tl.load(average, mask=inside), tl.load(weight, mask=inside)
    tl.store(average, old + (1 - tl.load(decay)) * (new - old), mask=inside)


def why_not(tensors: Sequence[Tensor]) -> str | None:
    """Why some tensors cannot be averaged here, or None if they can."""
    if not all(tensor.is_contiguous() for tensor in tensors):
        return "tensors that are not contiguous"
    return None if all(tensor.dtype == torch.float32 for tensor in tensors) else "other numbers than float32"


class MovingAverage:
    """Moves `averages` towards `weights`, whose memory must stay where it is."""

    def __init__(self, averages: Sequence[Tensor], weights: Sequence[Tensor]):
        device = averages[0].device
        self.kept = (averages, weights)
        self.averages, self.weights = (
            torch.tensor([tensor.data_ptr() for tensor in tensors], device=device) for tensors in self.kept
        )
        self.sizes = torch.tensor([tensor.numel() for tensor in averages], device=device)
        blocks = [(index, at) for index, tensor in enumerate(averages) for at in range(0, tensor.numel(), BLOCK)]
        self.tensors, self.starts = (torch.tensor(column, device=device) for column in zip(*blocks, strict=True))

    def __call__(self, decay: Tensor) -> None:
        """Keep `decay` [] of the averages."""
        _lerp[(len(self.tensors),)](
            self.averages, self.weights, self.sizes, self.tensors, self.starts, decay, BLOCK=BLOCK, num_warps=8
        )
