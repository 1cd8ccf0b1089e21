"""How likely packed rows are to a decoder with copy attention, chunk by chunk.

The probability of a token is a mixture (see `shared.model.modeling_onedecoder.CopyAttention`), of which the loss needs
two numbers at each place: the logarithm of what the softmax gives the token, and of the weights that point at it. So
neither all logits nor all scores are ever in memory: a chunk's are computed once more in the backward pass.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from shared.data.sequence import IGNORED
from shared.model.attention import at
from shared.model.masks import sequence_bounds
from shared.model.modeling_onedecoder import HIDDEN, CopyAttention, shares, wide

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
    halves, following, first = copying.key(states), input_ids.roll(-1, 1), first_places(input_ids, position_ids)
    index = torch.arange(length, device=states.device).expand(rows, length)
    copied = _by_chunks(
        lambda some, wanted, first, index: _copied(copying, some, halves, following, wanted, first, index),
        (states, labels.roll(-1, 1), first, index),
        chunk // (rows * length),
        dim=1,
    )
    keeps, copies = shares(copying.gate(before)[..., 0], at(places, index > first))
    return torch.logaddexp(keeps + written, copies + at(places, copied))


def _copied(
    copying: CopyAttention,
    states: Tensor,
    halves: Tensor,
    following: Tensor,
    targets: Tensor,
    first: Tensor,
    at: Tensor,
) -> Tensor:
    """The logarithms [B, C] of the weights that point at `targets` [B, C], of `states` [B, C, D] at the places `at`."""
    scores = copying.scores(states, halves, pairs_seen(first, at, halves.shape[1]))
    pointing = scores.masked_fill(following[:, None] != targets[..., None], HIDDEN)
    return pointing.logsumexp(-1) - scores.logsumexp(-1)


def first_places(input_ids: Tensor, position_ids: Tensor | None) -> Tensor:
    """The first place [B, T] of each token's sequence; without `position_ids`, a row is one."""
    return torch.zeros_like(input_ids) if position_ids is None else sequence_bounds(position_ids).first


def pairs_seen(first: Tensor, at: Tensor, length: int) -> Tensor:
    """Which of `length` keys the places `at` [B, C] see, the earlier ones of their sequence: bool [B, C, length]."""
    keys = torch.arange(length, device=first.device)
    return (keys >= first[..., None]) & (keys < at[..., None])


def _by_chunks(function: Callable[..., Tensor], tensors: tuple[Tensor, ...], size: int, dim: int = 0) -> Tensor:
    """`function` of `tensors`, so many of their rows (or columns, by `dim`) at once."""
    size = max(1, size)
    if tensors[0].shape[dim] <= size:
        return function(*tensors)
    chunks = zip(*(tensor.split(size, dim) for tensor in tensors), strict=True)
    return torch.cat(
        [checkpoint(function, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks], dim
    )
