"""How the decoder's queries find their keys, in whichever form the mask asks for.

transformers' GPT-2 calls `attention` in place of its own. The mask decides the form: none or a bool tensor is the plain
one (`modeling_onedecoder.attention`); `shared.model.masks.choose_mask` gives one of the others only where it is
supported.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from transformers import AttentionInterface

from shared.kernels import packed_attention, relative_blocks
from shared.model import modeling_onedecoder
from shared.model.block import distance_embeddings
from shared.model.masks import Mask, SequenceBounds, SequenceStarts

NAME = "onedecoder"


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Mask,
    dropout: float = 0.0,
    scaling: float | None = None,
    places: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of `query` [B, H, T, W] over `key` and `value` [B, H, K, W] as [B, T, H, W].

    Where `module` has `relative` embeddings, the distance between query and key counts, too. With `places` [N] it is
    [N, H, W], at those of the flattened rows alone.
    """
    mixed = _mixed(module, query, key, value, mask, dropout, scaling)
    return mixed if places is None else at(places, mixed), None


def at(places: Tensor, rows: Tensor) -> Tensor:
    """Of `rows` [B, T, ...], what stands at `places` [N] of the flattened rows, [N, ...].

    Each place is there once: `index_select` need not sort them for its gradient, as indexing would.
    """
    return rows.flatten(0, 1).index_select(0, places)


def _mixed(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Mask,
    dropout: float,
    scaling: float | None,
) -> Tensor:
    """As [B, T, H, W], in the form that the mask asks for."""
    relative = distance_embeddings(module)
    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    if isinstance(mask, SequenceStarts):
        if relative is not None:
            return relative_blocks.relative_attention(query, key, value, relative, mask.first, scale)
        assert mask.first is not None, "rows of one sequence each have no mask"
        return packed_attention.attention(query, key, value, mask.first, scale)
    if isinstance(mask, SequenceBounds):
        assert relative is not None, "such a mask is chosen for relative attention alone"
        # Triton comes only with PyTorch's builds for GPUs, and such a mask is chosen only where it is there.
        from shared.kernels.relative_attention import relative_attention  # noqa: PLC0415

        return relative_attention(query, key, value, relative, *mask, scale)
    if isinstance(mask, BlockMask):
        return flex_attention(query, key, value, block_mask=mask, scale=scaling).transpose(1, 2)
    return modeling_onedecoder.attention(module, query, key, value, mask, dropout=dropout, scaling=scaling)[0]


AttentionInterface.register(NAME, attention)
