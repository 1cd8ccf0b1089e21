"""The losses of a chunk of logits and, in their place, the gradients: one Triton kernel, two passes over each row."""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _cross_entropy(
    logits, targets, losses, vocabulary, columns, smoothing, SMOOTHING: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    logits += row * columns
    target = tl.load(targets + row)
    at_target = tl.load(logits + target).to(tl.float32)
    top, mass, total = -float("inf"), 0.0, 0.0
    for start in range(0, vocabulary, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(logits + at, mask=at < vocabulary, other=-float("inf")).to(tl.float32)
        highest = tl.maximum(top, tl.max(x, 0))
        mass = mass * tl.exp(top - highest) + tl.sum(tl.exp(x - highest), 0)
        top = highest
        if SMOOTHING:
            total += tl.sum(tl.where(at < vocabulary, x, 0.0), 0)
    normaliser = top + tl.log(mass)
    loss = normaliser - at_target
    if SMOOTHING:
        loss = (1 - smoothing) * loss + smoothing * (normaliser - total / vocabulary)
    tl.store(losses + row, loss)
    for start in range(0, columns, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(logits + at, mask=at < vocabulary, other=-float("inf")).to(tl.float32)
        gradient = tl.exp(x - normaliser) - tl.where(at == target, 1 - smoothing, 0.0)
        if SMOOTHING:
            gradient -= tl.where(at < vocabulary, smoothing / vocabulary, 0.0)
        tl.store(logits + at, gradient.to(logits.dtype.element_ty), mask=at < columns)


def supports(alpha: float) -> str | None:
    """What keeps the kernel from a loss, or None; `alpha` is R-Drop's weight."""
    return "R-Drop compares two rows" if alpha else None


def chunk_loss(
    logits: Tensor, targets: Tensor, vocabulary: int, smoothing: float, alpha: float = 0.0
) -> tuple[Tensor, Tensor]:
    """`shared.model.loss._chunk_loss`, with the gradient written over the logits [N, padded V]."""
    losses = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    _cross_entropy[(len(logits),)](
        logits, targets, losses, vocabulary, logits.shape[1], smoothing,
        SMOOTHING=smoothing > 0, BLOCK=4096, num_warps=8,
    )  # fmt: skip
    return losses.sum(), logits
