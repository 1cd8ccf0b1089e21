"""How the decoder's queries find their keys: masks, packed rows, relative positions.

transformers' GPT-2 calls `attention` in place of its own. What is seen is None (the causal mask over whole rows), a
bool mask [B, 1, T, K], a FlexAttention block mask, which knows which blocks of a packed row hold nothing to see, or the
`Spans` of a row's sequences, for the kernel of relative attention.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from transformers import AttentionInterface

from shared.fallback import works

try:
    from shared import relative_kernel
except ImportError:  # Triton comes with PyTorch's builds for GPUs only
    relative_kernel = None

NAME = "onedecoder"


def dense_mask(position_ids: Tensor, prefix: Tensor | None = None) -> Tensor:
    """Which keys each query sees, bool [B, 1, T, T], in rows whose `position_ids` [B, T] restart with every sequence.

    A token sees itself and what stands before it in its own sequence; with `prefix` [B, T] (True on context), context
    is seen by the whole of its sequence, so that the source reads itself both ways.
    """
    sequence = (position_ids == 0).cumsum(-1)
    same = sequence[:, :, None] == sequence[:, None, :]
    length = position_ids.shape[1]
    seen = torch.ones(length, length, dtype=torch.bool, device=position_ids.device).tril()
    if prefix is not None:
        seen = seen | prefix[:, None, :]
    return (same & seen)[:, None]


def block_mask(position_ids: Tensor, prefix: Tensor | None = None) -> BlockMask:
    """`dense_mask` as the blocks that hold anything seen: time and memory grow with those only."""
    sequence = (position_ids == 0).cumsum(-1)

    def causal(row, head, query, key):
        return (sequence[row, query] == sequence[row, key]) & (query >= key)

    def both_ways(row, head, query, key):
        return (sequence[row, query] == sequence[row, key]) & ((query >= key) | prefix[row, key])

    rows, length = position_ids.shape
    create = _compiled_create_block_mask if position_ids.is_cuda else create_block_mask
    return create(causal if prefix is None else both_ways, rows, None, length, length, device=position_ids.device)


_compiled_create_block_mask = torch.compile(create_block_mask)


class Spans(NamedTuple):
    """The causal mask of packed rows: the `first` and `last` place, int32 [B, T], of every token's sequence."""

    first: Tensor
    last: Tensor


def spans(position_ids: Tensor) -> Spans:
    """`dense_mask` without its matrix: a query sees from the first token of its sequence to itself."""
    begins = position_ids == 0
    at = torch.arange(position_ids.shape[1], device=position_ids.device)
    first = torch.where(begins, at, 0).cummax(-1).values
    last = torch.where(begins.roll(-1, -1), at, len(at) - 1).flip(-1).cummin(-1).values.flip(-1)
    return Spans(first.int(), last.int())


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | BlockMask | Spans | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_,
) -> tuple[Tensor, None]:
    """Attention of `query` [B, H, T, W] over `key` and `value` [B, H, K, W] as [B, T, H, W].

    Where `module` has `relative` embeddings, the distance between query and key counts too.
    """
    relative = getattr(module, "relative", None)
    if isinstance(mask, Spans):
        return relative_kernel.relative_attention(query, key, value, relative, *mask, scaling), None
    if relative is not None:
        mask = relative_scores(query, relative, scaling, mask)
    if isinstance(mask, BlockMask):
        mixed = flex_attention(query, key, value, block_mask=mask, scale=scaling)
    else:
        mixed = F.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, scale=scaling
        )
    return mixed.transpose(1, 2), None


AttentionInterface.register(NAME, attention)


def relative_scores(query: Tensor, relative: Tensor, scaling: float, mask: Tensor | None) -> Tensor:
    """What the distances between queries and keys add to the scores, [B, H, T, T], -inf where nothing is seen.

    Huang et al. 2018, "Music Transformer", section 3.4.1: the products of queries with the embeddings of distances
    `relative` [H, M, W] (of which the last stands for all distances from M - 1 on) are skewed into place, so that no
    tensor [T, T, W] arises.
    """
    length = query.shape[2]
    distances = torch.arange(length - 1, -1, -1, device=query.device).clamp(max=relative.shape[1] - 1)
    by_distance = query @ relative[:, distances].to(query.dtype).transpose(1, 2) * scaling
    before = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
    if mask is None:
        return skew(by_distance).masked_fill(~before, -torch.inf)
    # What a prefix mask shows of later keys is at no distance.
    return torch.where(before, skew(by_distance), by_distance[..., -1:]).masked_fill(~mask, -torch.inf)


def skew(scores: Tensor) -> Tensor:
    """From [..., T, T] by query and distance (T - 1 … 0) to query and key; right of the diagonal stands no sense."""
    length = scores.shape[-1]
    padded = F.pad(scores, (1, 0))
    return padded.view(*scores.shape[:-2], length + 1, length)[..., 1:, :]


def relative_kernel_works(width: int, dtype: torch.dtype, attention_dropout: float) -> bool:
    """Whether relative attention with heads of `width` has a kernel on this GPU; where not, the reason is said once."""
    reason = None
    if attention_dropout:
        reason = "attention dropout"
    elif not (relative_kernel and torch.utils._triton.has_triton()):
        reason = "a GPU without Triton"
    elif width not in relative_kernel.WIDTHS:
        reason = f"heads {width} wide"
    elif dtype == torch.float64:
        reason = "float64"
    elif torch.cuda.get_device_capability() < (8, 0):
        reason = "a GPU older than Ampere"
    return works(reason, "relative attention writes out all scores: its kernel does not work with")


def blocks_work(attention_dropout: float) -> bool:
    """Whether packed rows on this GPU can go without a dense mask; where not, the reason is said once."""
    reason = None
    if attention_dropout:
        reason = "attention dropout"
    elif not torch.utils._triton.has_triton():
        reason = "a GPU without Triton"
    return works(reason, "packed rows use a dense attention mask: FlexAttention does not work with")
