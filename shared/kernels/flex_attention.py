"""Attention over packed rows that skips the blocks in which nothing is seen: PyTorch's FlexAttention."""

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask


def why_not(compiled: bool, relative: bool, dropout: float) -> str | None:
    """What keeps FlexAttention from a decoder, or None. `dropout` is that of attention weights."""
    if not compiled:
        return "the decoder is not compiled (--torch_compile)"
    if relative:
        return "relative attention without its kernel"
    if dropout:
        return "attention dropout"
    return None


def block_mask(position_ids: Tensor, prefix: Tensor | None = None) -> BlockMask:
    """`shared.model.masks.dense_mask` as blocks: time and memory grow only with the blocks that show something."""
    sequence = (position_ids == 0).cumsum(-1)

    def causal(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (sequence[row, query] == sequence[row, key]) & (query >= key)

    mask = causal
    if prefix is not None:

        def both_ways(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (sequence[row, query] == sequence[row, key]) & ((query >= key) | prefix[row, key])

        mask = both_ways

    rows, length = position_ids.shape
    create = _compiled_create_block_mask if position_ids.is_cuda else create_block_mask
    return create(mask, rows, None, length, length, device=position_ids.device)


_compiled_create_block_mask = torch.compile(create_block_mask)
