"""The operations of a decoding step in PyTorch; `shared.kernels.decode` has the same, fused for a GPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def embed(tokens: Tensor, positions: Tensor, token_weight: Tensor, position_weight: Tensor) -> Tensor:
    """The sums of the embeddings of `tokens` [N] and `positions` [N], [N, D]."""
    return token_weight[tokens] + position_weight[positions]


def linear(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    norm: nn.LayerNorm | None = None,
    activation: nn.Module | None = None,
    residual: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """`activation(norm(inputs) @ weight.T + bias) + residual`, for `inputs` [N, K] and `weight` [M, K], as [N, M].

    `dtype` is that of the output (default: the weight's).
    """
    if norm is not None:
        shape, kind = norm.normalized_shape, inputs.dtype
        inputs = F.layer_norm(inputs, shape, norm.weight.to(kind), norm.bias.to(kind), norm.eps)
    out = F.linear(inputs.to(weight.dtype), weight, bias)
    if activation is not None:
        out = activation(out)
    if residual is not None:
        out = residual + out
    return out.to(dtype or weight.dtype)


def attend(
    projected: Tensor,
    keys: Tensor,
    values: Tensor,
    positions: Tensor,
    scaling: float,
    beam_origin: Tensor | None = None,
    relative: Tensor | None = None,
    bounds: tuple[int, int] | None = None,
) -> Tensor:
    """One new token in each slot attends to what its slot has so far, and to itself; returns [N, heads * width].

    `projected` [N, 3 * heads * width] holds queries, keys and values. `keys` and `values` [N, heads, length, width] are
    the cache, in which the new ones are stored at `positions` [N]. `beam_origin` [N, length] names the slot in whose
    memory an entry lies, where beams share entries. `relative` [heads, distances, width] are embeddings of distances,
    the last for all that are larger. `bounds` are the lowest and the highest of the positions, where they are known
    without waiting for the device; the result is the same without.
    """
    slots, heads, length, width = keys.shape
    low, high = bounds or (0, length - 1)
    visible, uniform = high + 1, bounds is not None and low == high
    query, key, value = projected.view(slots, 3, heads, width).unbind(1)
    if uniform:
        keys[:, :, high], values[:, :, high] = key, value
    else:
        every = torch.arange(slots, device=keys.device)
        keys[every, :, positions] = key
        values[every, :, positions] = value
    at = torch.arange(visible, device=keys.device)
    if beam_origin is None:
        keys, values = keys[:, :, :visible], values[:, :, :visible]
    else:
        head = torch.arange(heads, device=keys.device)[:, None]
        place = ((beam_origin[:, None, :visible] * heads + head) * length + at).flatten()
        shape = (slots, heads, visible, width)
        keys, values = (stored.flatten(0, 2).index_select(0, place).view(shape) for stored in (keys, values))
    seen = None
    if not uniform:
        seen = (at <= positions[:, None])[:, None, None, :]
    if relative is not None:
        distances = (positions[:, None] - at).clamp(0, relative.shape[1] - 1)
        scores = torch.einsum("nhd,hmd->nhm", query, relative) * scaling
        bias = scores.gather(2, distances[:, None].expand(-1, heads, -1))[:, :, None]
        seen = bias if seen is None else bias.masked_fill(~seen, -torch.inf)
    mixed = F.scaled_dot_product_attention(query[:, :, None], keys, values, attn_mask=seen, scale=scaling)
    return mixed.reshape(slots, heads * width)
