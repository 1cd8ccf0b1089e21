"""Causal attention with relative positions (Huang et al. 2018), without its scores in memory: Triton kernels.

As FlashAttention-2 (Dao 2023) they go through the keys block by block and keep a running softmax. What distances add
comes out of one product of all queries with the embeddings of all distances: the kernels read it where query and
distance stand, which is the skewing of "Music Transformer", section 3.4.1, and write its gradient there.
"""

from typing import Any

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from shared.kernels.relative_backward import backward_keys, backward_queries
from shared.kernels.relative_forward import forward

WIDTHS = (16, 32, 64, 128)  # of heads
LOG2E = 1.4426950408889634


def _blocks(query: Tensor, queries: int, keys: int) -> dict[str, int | None]:
    """A kernel's tiles, of `queries` by `keys`: small, as what is read by distance waits in registers."""
    if query.dtype == torch.float32:
        return {"M": 16, "N": 16, "num_warps": 4, "num_stages": 1}
    wide = query.shape[3] > 64
    return {"M": queries, "N": keys, "num_warps": 8 if wide else 4, "num_stages": 2, "maxnreg": 128 if wide else 168}


def _strides(*tensors: Tensor) -> list[int]:
    return [stride for tensor in tensors for stride in tensor.stride()[:3]]


def _with_rows(*tensors: Tensor) -> list[Tensor]:
    return [tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in tensors]


@torch.library.custom_op("onedecoder::relative_attention", mutates_args=())
def _attention(
    query: Tensor, key: Tensor, value: Tensor, by_distance: Tensor, first: Tensor, last: Tensor, distances: int,
    scaling: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    query, key, value = _with_rows(query, key, value)
    by_distance = by_distance.contiguous()
    rows, heads, length, width = query.shape
    mixed, normaliser = _outputs(query)
    blocks = _blocks(query, 64, 32)
    forward[(rows * heads, triton.cdiv(length, blocks["M"]))](
        query, key, value, by_distance, first, mixed, normaliser, length, heads, distances, by_distance.shape[2],
        scaling * LOG2E, *_strides(query, key, value), D=width, **blocks,
    )  # fmt: skip
    return mixed, normaliser


@_attention.register_fake
def _(query: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return _outputs(query)


def _outputs(query: Tensor) -> tuple[Tensor, Tensor]:
    """What comes out, [B, T, H, W], and the base-2 logarithms of the softmax's denominators, [B, H, T]."""
    rows, heads, length, width = query.shape
    return query.new_empty(rows, length, heads, width), query.new_empty(rows, heads, length, dtype=torch.float32)


@torch.library.custom_op("onedecoder::relative_attention_backward", mutates_args=())
def _attention_backward(
    query: Tensor, key: Tensor, value: Tensor, by_distance: Tensor, first: Tensor, last: Tensor, mixed: Tensor,
    normaliser: Tensor, grad: Tensor, distances: int, scaling: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    query, key, value = _with_rows(query, key, value)
    by_distance = by_distance.contiguous()
    rows, heads, length, width = query.shape
    grad, columns = grad.contiguous(), by_distance.shape[2]
    grad_query, grad_key, grad_value = (torch.empty_like(mixed) for _ in range(3))
    grad_by_distance, inners = torch.zeros_like(by_distance), torch.empty_like(normaliser)
    numbers = (length, heads, distances, columns, scaling * LOG2E, scaling, *_strides(query, key, value))
    blocks = _blocks(query, 64, 32)
    backward_queries[(rows * heads, triton.cdiv(length, blocks["M"]))](
        query, key, value, by_distance, first, mixed, normaliser, grad, inners, grad_query, grad_by_distance, *numbers,
        D=width, **blocks,
    )  # fmt: skip
    blocks = _blocks(query, 32, 64)
    backward_keys[(rows * heads, triton.cdiv(length, blocks["N"]))](
        query, key, value, by_distance, last, normaliser, grad, inners, grad_key, grad_value, *numbers,
        D=width, **blocks,
    )  # fmt: skip
    return grad_query, grad_key, grad_value, grad_by_distance


@_attention_backward.register_fake
def _(
    query: Tensor, key: Tensor, value: Tensor, by_distance: Tensor, first: Tensor, last: Tensor, mixed: Tensor, *_: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.empty_like(mixed), torch.empty_like(mixed), torch.empty_like(mixed), torch.empty_like(by_distance)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.distances, ctx.scaling = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 8
    gradients = _attention_backward(*ctx.saved_tensors, grad, ctx.distances, ctx.scaling)
    return *(gradient.transpose(1, 2) for gradient in gradients[:3]), gradients[3], None, None, None, None


_attention.register_autograd(_differentiate, setup_context=_save)


def why_not(width: int, dtype: torch.dtype, dropout: float) -> str | None:
    """What keeps the kernel from heads of this `width`, or None; `dropout` is that of attention weights."""
    if dropout:
        return "attention dropout"
    if width not in WIDTHS:
        return f"heads {width} wide"
    if dtype == torch.float64:
        return "float64"
    if torch.cuda.get_device_capability() < (8, 0):
        return "a GPU older than Ampere"
    return None


def relative_attention(
    query: Tensor, key: Tensor, value: Tensor, relative: Tensor, first: Tensor, last: Tensor, scaling: float
) -> Tensor:
    """Causal attention with relative positions of `query` over `key` and `value`, [B, H, T, W] each, as [B, T, H, W].

    `relative` [H, M, W] are embeddings of distances, the last for all that are larger. A query sees the keys from
    `first` [B, T] to itself; a key is seen by the queries from itself to `last` [B, T].
    """
    distances = min(relative.shape[1], query.shape[2])
    # From the last distance to 0, so that keys stand in their order; padded to 16 bytes, which the matrix units want.
    embeddings = F.pad(relative[:, :distances].flip(1).to(query.dtype), (0, 0, 0, -distances % 8))
    # Row by row, [H, B, T, M]: the embeddings' gradient is a sum over tokens, which one head's product would go through
    # one after the other.
    by_distance = (query.transpose(0, 1) @ embeddings.transpose(1, 2)[:, None]).flatten(1, 2)
    return _attention(query, key, value, by_distance, first, last, distances, scaling)[0]
