"""A decoder that computes with what is left of its weights in a page."""

import copy

import torch

from shared.model.quantized import rounded

TURNED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")  # transformers keeps these as [inputs, outputs]


@torch.no_grad()
def with_quantised_weights(decoder):
    """A copy whose matrices are rounded to 8 bits, each row by a scale of its own."""
    same = copy.deepcopy(decoder)
    for name, weight in same.named_parameters():
        if weight.ndim > 1:
            rows = weight.T if name.endswith(TURNED) else weight
            rows.copy_(rounded(rows).dequantized())
    return same
