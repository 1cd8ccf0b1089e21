"""Cross-entropy straight from the last hidden states, chunk by chunk, so that no full matrix of logits is in memory.

The logits of a large vocabulary are the largest tensor of a small decoder: 32 rows of 1,024 tokens over 50,257 words
take 6.6 GB in float32, several times over. A chunk's logits live only until its loss and its gradients are computed,
both in the forward pass (as in Wijmans et al. 2024, "Cut Your Losses in Large-Vocabulary Language Models", and Liger
Kernel).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.data.sequence import IGNORED
from shared.kernels.support import fast
from shared.model.rdrop import divergence

SMALL = 2**23  # logits that need no chunks: 32 MB in float32
CHUNK = 8192 * 50304  # logits on a GPU: 0.8 GB in bfloat16; a small vocabulary's rows all at once
MULTIPLE = 128  # columns there: 50,257 are padded to 50,304 within the product, which the matrix units want


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, targets: Tensor, smoothing: float, alpha: float) -> Tensor:
        dtype = torch.get_autocast_dtype(states.device.type) if torch.is_autocast_enabled(states.device.type) else None
        inputs, head = states.to(dtype or states.dtype), weight.to(dtype or weight.dtype)
        vocabulary = len(head)
        if states.is_cuda:
            head = F.pad(head, (0, 0, 0, -vocabulary % MULTIPLE))
            chunk = CHUNK // len(head) // 2 * 2
        else:  # fresh memory is dear to a CPU, and a chunk that was small enough before still is
            chunk = max(2, SMALL // vocabulary // 2 * 2)  # even, so that R-Drop's pairs stay together
        wanted = any(ctx.needs_input_grad)
        total = states.new_zeros((), dtype=torch.promote_types(states.dtype, torch.float32))
        grad_states = torch.empty_like(states) if wanted else None
        grad_head = torch.zeros_like(head, dtype=total.dtype) if wanted else None
        chunk_loss = _chunk_loss_on(states.device, head.dtype)
        for start in range(0, len(inputs), chunk):
            rows = inputs[start : start + chunk]
            logits, here = rows @ head.T, targets[start : start + chunk]
            loss, grad_logits = chunk_loss(logits, here, vocabulary, smoothing, alpha)
            total += loss
            if grad_states is not None and grad_head is not None:
                grad_states[start : start + chunk] = grad_logits @ head
                grad_head += grad_logits.T @ rows
        ctx.save_for_backward(grad_states, None if grad_head is None else grad_head[:vocabulary])
        return total

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_states, grad_head = ctx.saved_tensors
        return grad_states * grad_total, grad_head * grad_total, None, None, None


def chunk_loss(
    logits: Tensor, targets: Tensor, vocabulary: int, smoothing: float, alpha: float
) -> tuple[Tensor, Tensor]:
    """Sum of the losses of rows [N] and its gradient in the logits [N, padded V]."""
    dtype = logits.dtype
    logits[:, vocabulary:] = -torch.inf
    known = logits.log_softmax(-1, dtype=torch.promote_types(dtype, torch.float32))
    ignored, at_targets = (targets == IGNORED)[:, None], targets.clamp(min=0)[:, None]
    known.masked_fill_(ignored, 0)  # what adds nothing to any of the sums
    loss = (smoothing - 1) * known.gather(1, at_targets).sum()
    if smoothing:
        loss -= smoothing / vocabulary * known[:, :vocabulary].sum()
    if alpha:
        apart, grad_apart = divergence(known)
    gradient = known.exp_()
    gradient.scatter_add_(1, at_targets, torch.full_like(at_targets, smoothing - 1, dtype=gradient.dtype))
    if smoothing:
        gradient[:, :vocabulary] -= smoothing / vocabulary
    if alpha:
        loss, gradient = loss / 2 + alpha / 4 * apart, gradient / 2 + alpha / 4 * grad_apart
    return loss, gradient.masked_fill_(ignored, 0).to(dtype)


def _chunk_loss_on(device: torch.device, dtype: torch.dtype) -> Callable[..., tuple[Tensor, Tensor]]:
    """The fastest form of `chunk_loss`."""
    fused = fast("cross_entropy", device) if dtype != torch.float64 else None
    return fused.chunk_loss if fused else chunk_loss


@dataclass(frozen=True)
class Criterion:
    """What a training minimises: cross-entropy with `label_smoothing` and, with `rdrop_alpha`, R-Drop's agreement."""

    label_smoothing: float = 0.0
    rdrop_alpha: float = 0.0

    def __call__(self, states: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        """The summed loss; see `cross_entropy_sum`."""
        return cross_entropy_sum(states, weight, targets, self.label_smoothing, self.rdrop_alpha)


def cross_entropy_sum(
    states: Tensor, weight: Tensor, targets: Tensor, smoothing: float = 0.0, rdrop_alpha: float = 0.0
) -> Tensor:
    """The summed cross-entropy, in nats, of `targets` [N] under the logits `states` [N, D] @ `weight` [V, D].T.

    Equal to `F.cross_entropy(states @ weight.T, targets, reduction="sum", label_smoothing=smoothing)`. Its gradient may
    be taken once. Targets that are `IGNORED` have no loss. With `rdrop_alpha` every two neighbouring rows are two
    passes over one token, and the sum is that of `shared.model.rdrop`'s loss over the N / 2 tokens.
    """
    if len(states) * len(weight) > SMALL:
        return _ChunkedCrossEntropy.apply(states, weight, targets, smoothing, rdrop_alpha)
    logits = F.linear(states, weight).to(torch.promote_types(states.dtype, torch.float32))
    total = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing, ignore_index=IGNORED)
    if rdrop_alpha:
        known = logits.log_softmax(-1).masked_fill((targets == IGNORED)[:, None], 0)
        total = total / 2 + rdrop_alpha / 4 * divergence(known)[0]
    return total
