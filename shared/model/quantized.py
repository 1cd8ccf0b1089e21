"""A decoder whose matrices are rounded to 8 bits: whole numbers from -127 to 127, and one scale for each output.

To write one token reads every weight once, and that is what writing takes its time for: whole numbers are a quarter of
what 32-bit floats are. The weights are rounded in place, so that all that computes with them, prefill and scoring among
it, computes with the same; the whole numbers stay beside them for a step that multiplies by these.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from shared.model.block import block_matrices
from shared.model.decoder import Decoder

MOST = 127


class Rounded(NamedTuple):
    """`whole` int8 [..., W] times `scale` [...] is what is left of rows [..., W]."""

    whole: Tensor
    scale: Tensor

    def dequantized(self) -> Tensor:
        return self.whole * self.scale[..., None]


def rounded(rows: Tensor) -> Rounded:
    """Rows [..., W] in 8 bits: the largest number of each becomes 127 or -127.

    Scales are numbers that bfloat16 has as well, so that a product in bfloat16 multiplies by the same weights.
    """
    scale = (rows.abs().amax(-1) / MOST).bfloat16().to(rows.dtype)
    whole = (rows / torch.where(scale > 0, scale, 1)[..., None]).round_().clamp_(-MOST, MOST)
    return Rounded(whole.to(torch.int8), scale)


@torch.no_grad()
def round_to_8_bits(decoder: Decoder) -> Decoder:
    """Round the matrices of the blocks and the head, which the token embeddings share, in place.

    Biases, norms and the embeddings of positions and distances stay as they are: they are few, or added and not
    multiplied by. What is rounded is neither trained nor saved: `Decoder.save_pretrained` refuses it.
    """
    for block in decoder.blocks:
        for module in block_matrices(block).values():
            _round(module, module.weight.T)
    _round(decoder.lm_head, decoder.lm_head.weight)
    decoder.rounded = True
    return decoder.requires_grad_(False)


def _round(module: nn.Module, matrix: Tensor) -> None:
    """Round a module's `matrix` [outputs, inputs], a view of its weight; its numbers are moved with it, not saved."""
    kept = rounded(matrix)
    matrix.copy_(kept.dequantized())
    module.register_buffer("whole", kept.whole.contiguous(), persistent=False)
    module.register_buffer("scale", kept.scale, persistent=False)


def rounded_matrix(module: nn.Module) -> Rounded | None:
    """What `round_to_8_bits` left beside a module's weight, as [outputs, inputs], or None."""
    whole, scale = getattr(module, "whole", None), getattr(module, "scale", None)
    return None if whole is None or scale is None else Rounded(whole, scale)
