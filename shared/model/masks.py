"""Which keys each query of a packed row sees, in four forms of one mask.

In a row whose positions restart with every sequence, a token sees itself and what stands before it in its own sequence.
Under the prefix mask it also sees the whole context of its sequence:

    position_ids   0 1 2 0 1        causal   x . . . .      prefix   x x . . .
    prefix         x x . x .                 x x . . .               x x . . .
                                             x x x . .               x x x . .
                                             . . . x .               . . . x .
                                             . . . x x               . . . x x

`dense_mask` is the plain form. FlexAttention's block mask, `SequenceBounds` and `SequenceStarts` say the same to
attention that skips what is hidden; `choose_mask` takes one of them where it is supported.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

from shared.kernels import packed_attention, relative_blocks
from shared.kernels.support import fast


def dense_mask(position_ids: Tensor, prefix: Tensor | None = None) -> Tensor:
    """Bool [B, 1, T, T], for `position_ids` [B, T] that restart with every sequence and `prefix` [B, T] on context."""
    sequence = (position_ids == 0).cumsum(-1)
    same = sequence[:, :, None] == sequence[:, None, :]
    length = position_ids.shape[1]
    seen = torch.ones(length, length, dtype=torch.bool, device=position_ids.device).tril()
    if prefix is not None:
        seen = seen | prefix[:, None, :]
    return (same & seen)[:, None]


class SequenceBounds(NamedTuple):
    """The causal mask of packed rows: the `first` and `last` place, int32 [B, T], of every token's sequence."""

    first: Tensor
    last: Tensor


def sequence_bounds(position_ids: Tensor) -> SequenceBounds:
    """`dense_mask` without its matrix: a query sees from the first token of its sequence to itself."""
    begins = position_ids == 0
    at = torch.arange(position_ids.shape[1], device=position_ids.device)
    first = torch.where(begins, at, 0).cummax(-1).values
    last = torch.where(begins.roll(-1, -1), at, len(at) - 1).flip(-1).cummin(-1).values.flip(-1)
    return SequenceBounds(first.int(), last.int())


class SequenceStarts(NamedTuple):
    """The same for a CPU: the `first` place alone, or None where every row is one sequence."""

    first: Tensor | None


# None is the causal mask of rows that are one sequence each.
Mask = Tensor | BlockMask | SequenceBounds | SequenceStarts | None


def choose_mask(
    shape: torch.Size,
    position_ids: Tensor | None,
    prefix: Tensor | None,
    *,
    device: torch.device,
    dtype: torch.dtype,
    width: int,
    relative: Tensor | None = None,
    dropout: float = 0.0,
    compiled: bool = False,
) -> Mask:
    """The mask of rows of `shape` [B, T], in the form that attention is fastest with.

    Without `position_ids` every row is one sequence; if it has no `prefix` either, None stands for the causal mask.
    `width` is a head's, `relative` a layer's embeddings of distances, `dropout` that of attention weights; `compiled`
    says whether torch.compile made the decoder's body.
    """
    whole = position_ids is None
    if position_ids is None:
        position_ids = torch.arange(shape[1], device=device).expand(shape)
    if prefix is None:
        if relative is None:
            case = (position_ids, device, dtype, width, dropout, compiled)
            if not whole and packed_attention.why_not(*case) is None:
                return SequenceStarts(sequence_bounds(position_ids).first)
        elif fast("relative_attention", device, width=width, dtype=dtype, dropout=dropout):
            return sequence_bounds(position_ids)
        elif relative_blocks.why_not(device, dtype, dropout, compiled) is None:
            return SequenceStarts(None if whole else sequence_bounds(position_ids).first)
        if whole:
            return None
    flex = fast("flex_attention", device, compiled=compiled, relative=relative is not None, dropout=dropout)
    return flex.block_mask(position_ids, prefix) if flex else dense_mask(position_ids, prefix)
