"""Causal attention with relative positions on a CPU: block by block of queries, with a gradient of its own.

The plain form makes half a dozen tensors [B, H, T, T] in every layer, half of each for keys that no query sees, and a
CPU spends most of a step on their memory. Here a block of queries meets the keys up to its last one, and its scores are
made, masked and turned into probabilities in one place.

What distances add is skewed into that place without a copy (Huang et al. 2018, "Music Transformer", section 3.4.1): in
scores [M, K] that lie row by row, the entries of one distance are K + 1 apart. Those of keys before the first fall into
the row above, behind the last key that is seen there. For the block's first row, that is one of the query before it.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 64  # queries


def why_not(device: torch.device, dtype: torch.dtype, dropout: float, compiled: bool) -> str | None:
    """Why this form does not apply, or None if it does."""
    if device.type != "cpu":
        return "it is for a CPU"
    if dtype not in (torch.float32, torch.float64) or torch.is_autocast_enabled("cpu"):
        return "half precision"
    if dropout:
        return "dropout of attention weights"
    return "torch.compile, which has not been tried" if compiled else None


def relative_attention(
    query: Tensor, key: Tensor, value: Tensor, relative: Tensor, first: Tensor | None, scaling: float
) -> Tensor:
    """Attention of `query` [B, H, T, W] over `key` and `value` [B, H, T, W] as [B, T, H, W].

    `relative` [H, M, W] embeds distances, the last all from M - 1 on. A query sees the places from its `first`, int
    [B, T], or from the row's beginning, to itself.
    """
    # The last embedding is added to every key, and a nearer distance adds what it differs by.
    far = relative[:, -1:]
    near = (relative[:, :-1] - far).flip(1)
    return _RelativeAttention.apply(query * scaling, key + far, value, near, first).transpose(1, 2)


class _RelativeAttention(torch.autograd.Function):
    """Of [B, H, T, W], with the embeddings `near` [H, M - 1, W] of distances from M - 2 to 0."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, near: Tensor, first: Tensor | None) -> Tensor:
        ctx.shape = query.shape
        query, key, value = _with_row_above(query), key.flatten(0, 1), value.flatten(0, 1)
        near = near.repeat(ctx.shape[0], 1, 1)
        mixed, kept = value.new_empty(value.shape), []
        for start, stop in _blocks(ctx.shape[2]):
            queries = query[:, start : stop + 1]
            scores = queries @ key[:, :stop].mT
            _skewed(scores, start, near).add_(queries[:, 1:] @ near[:, -stop:].mT)
            _hide(scores.unflatten(0, ctx.shape[:2]), start, first)
            shares = scores.softmax(-1)
            mixed[:, start:stop] = shares[:, 1:] @ value[:, :stop]
            kept.append(shares)
        ctx.save_for_backward(query, key, value, near, *kept)
        return mixed.view(ctx.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, near, *kept = ctx.saved_tensors
        grad = _with_row_above(grad)
        grad_query = torch.empty_like(value)
        grad_key, grad_value, grad_near = (torch.zeros_like(tensor) for tensor in (key, value, near))
        for (start, stop), shares in zip(_blocks(ctx.shape[2]), kept, strict=True):
            queries, grads = query[:, start + 1 : stop + 1], grad[:, start : stop + 1]
            # Products and sums apart: into a part of a tensor, PyTorch would multiply head by head.
            grad_value[:, :stop] += shares[:, 1:].mT @ grads[:, 1:]
            scores = torch._softmax_backward_data(grads @ value[:, :stop].mT, shares, -1, shares.dtype)
            by_distance = _skewed(scores, start, near)
            grad_key[:, :stop] += scores[:, 1:].mT @ queries
            grad_near[:, -stop:] += by_distance.mT @ queries
            grad_query[:, start:stop] = (scores[:, 1:] @ key[:, :stop]).baddbmm_(by_distance, near[:, -stop:])
        of_rows = (tensor.view(ctx.shape) for tensor in (grad_query, grad_key, grad_value))
        return *of_rows, grad_near.unflatten(0, ctx.shape[:2]).sum(0), None


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    """The places of each block's first query, and of the one after its last."""
    for start in range(0, length, BLOCK):
        yield start, min(start + BLOCK, length)


def _with_row_above(tensor: Tensor) -> Tensor:
    """[B, H, T, W] as [B * H, 1 + T, W], zero before the first place."""
    return F.pad(tensor.flatten(0, 1), (0, 0, 1, 0))


def _skewed(scores: Tensor, start: int, near: Tensor) -> Tensor:
    """Where the distances stand in the scores [N, 1 + M, K] of a block and the row above: a view [N, M, distances]."""
    rows, keys = scores.shape[1:]
    distances = min(near.shape[1], keys)
    return scores.as_strided(
        (len(scores), rows - 1, distances), (rows * keys, keys + 1, 1), keys + start - (distances - 1)
    )


def _hide(scores: Tensor, start: int, first: Tensor | None) -> None:
    """Take the keys that are not seen out of the scores [B, H, 1 + M, K] of a block and the row above."""
    rows, keys = scores.shape[2:]
    later = torch.ones(rows, keys - start, dtype=torch.bool).triu()
    later[0, 0] = start > 0  # what is above the row's first place sees something, too, or it would not be a number
    scores[..., start:].masked_fill_(later, -torch.inf)
    if first is not None:
        own = F.pad(first, (1, 0))[:, start : start + rows]
        scores.masked_fill_((torch.arange(keys) < own[:, :, None])[:, None], -torch.inf)
