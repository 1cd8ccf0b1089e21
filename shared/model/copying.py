"""How likely packed rows are to a decoder with copy attention, chunk by chunk.

The probability of a token is a mixture (see `shared.model.modeling_onedecoder.CopyAttention`), of which the loss needs
two numbers at each place: what the softmax gives the token, and the sum of the weights that point at it. So neither all
logits nor all scores are ever in memory: a chunk's are computed once more in the backward pass.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from shared.data.sequence import IGNORED
from shared.model.attention import at
from shared.model.masks import sequence_bounds
from shared.model.modeling_onedecoder import CopyAttention, joined, mixture, wide

CHUNK = {"cpu": 2**23, "cuda": 2**28}  # logits or scores at once, 32 MB and 1 GB in float32: as in the plain loss


def log_likelihood(
    copying: CopyAttention,
    head: Tensor,
    states: Tensor,
    input_ids: Tensor,
    position_ids: Tensor | None,
    labels: Tensor,
    target_positions: Tensor,
) -> Tensor:
    """The log-probabilities [N], in nats, of the `labels` [B, T] at the `target_positions` [N] of the flattened rows.

    `states` [B, T, D] are the last layer's for the packed rows `input_ids` [B, T], and `head` [V, D] makes their
    logits. What stands for a label that is `IGNORED` has no meaning.
    """
    (rows, length), chunk = input_ids.shape, CHUNK[states.device.type]
    places, targets = target_positions - 1, labels.flatten()[target_positions]
    before = at(places, states)
    written = _by_chunks(
        lambda some, wanted: (
            -F.cross_entropy(wide(F.linear(some, head)), wanted, reduction="none", ignore_index=IGNORED)
        ),
        (before, targets),
        chunk // len(head),
    )
    first, index = first_places(input_ids, position_ids)
    keys = joined(copying.key(states), index == first)
    copied = _by_chunks(
        lambda some, wanted, first, index: _copied(
            copying, some, keys, input_ids, wanted, keys_seen(first, index, length)
        ),
        (states, labels.roll(-1, 1), first, index),
        chunk // (rows * length),
        dim=1,
    )
    return mixture(written[:, None], at(places, copied)[:, None], copying.gate(before)[:, 0])[:, 0]


def _copied(
    copying: CopyAttention, states: Tensor, keys: Tensor, tokens: Tensor, targets: Tensor, seen: Tensor
) -> Tensor:
    """The weights of those `tokens` [B, T] that are the `targets` [B, C], summed, [B, C]."""
    weights = copying.scores(states, keys, seen).softmax(-1)
    return weights.masked_fill(tokens[:, None] != targets[..., None], 0).sum(-1)


def first_places(input_ids: Tensor, position_ids: Tensor | None) -> tuple[Tensor, Tensor]:
    """The first place [B, T] of each token's sequence, and its own; without `position_ids`, a row is one sequence."""
    first = torch.zeros_like(input_ids) if position_ids is None else sequence_bounds(position_ids).first
    return first, torch.arange(first.shape[1], device=first.device).expand_as(first)


def keys_seen(first: Tensor, index: Tensor, length: int) -> Tensor:
    """Which of `length` keys the places `index` [B, C] see, those of their line up to them: bool [B, C, length]."""
    keys = torch.arange(length, device=first.device)
    return (keys >= first[..., None]) & (keys <= index[..., None])


def _by_chunks(function: Callable[..., Tensor], tensors: tuple[Tensor, ...], size: int, dim: int = 0) -> Tensor:
    """`function` of `tensors`, so many of their rows (or columns, by `dim`) at once."""
    size = max(1, size)
    if tensors[0].shape[dim] <= size:
        return function(*tensors)
    chunks = zip(*(tensor.split(size, dim) for tensor in tensors), strict=True)
    return torch.cat(
        [checkpoint(function, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks], dim
    )
