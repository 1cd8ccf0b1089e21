"""The losses of a chunk of logits and, in their place, the gradients: Triton kernels of two passes over each row.

The first pass keeps running sums beside a running maximum, as an online softmax does (Milakov & Gimelshein 2018,
https://arxiv.org/abs/1805.02867); the second writes the gradient over what it reads.
"""

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
    learned = target >= 0
    at_target = tl.load(logits + target, mask=learned, other=0.0).to(tl.float32)
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
    tl.store(losses + row, tl.where(learned, loss, 0.0))
    for start in range(0, columns, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(logits + at, mask=at < vocabulary, other=-float("inf")).to(tl.float32)
        gradient = tl.exp(x - normaliser) - tl.where(at == target, 1 - smoothing, 0.0)
        if SMOOTHING:
            gradient -= tl.where(at < vocabulary, smoothing / vocabulary, 0.0)
        gradient = tl.where(learned, gradient, 0.0)
        tl.store(logits + at, gradient.to(logits.dtype.element_ty), mask=at < columns)


@triton.jit
def _block(row, at, vocabulary):
    return tl.load(row + at, mask=at < vocabulary, other=-float("inf")).to(tl.float32)


@triton.jit
def _apart(x, y):
    """x - y, and 0 where both rule a token out."""
    return tl.where(x > -float("inf"), x - y, 0.0)


@triton.jit
def _paired_gradient(own, ratio, divergence, other, is_target, inside, vocabulary, smoothing, alpha):
    likelihood = own - tl.where(is_target, 1 - smoothing, 0.0) - tl.where(inside, smoothing / vocabulary, 0.0)
    return likelihood / 2 + alpha / 4 * (own * (ratio - divergence) + own - other)


@triton.jit
def _paired_cross_entropy(logits, targets, losses, vocabulary, columns, smoothing, alpha, BLOCK: tl.constexpr):
    pair = tl.program_id(0).to(tl.int64)
    p_row = logits + 2 * pair * columns
    q_row = p_row + columns
    target = tl.load(targets + 2 * pair)
    learned = target >= 0
    at_target = tl.load(p_row + target, mask=learned, other=0.0).to(tl.float32)
    at_target += tl.load(q_row + target, mask=learned, other=0.0).to(tl.float32)
    p_top, p_mass, p_apart = -float("inf"), 0.0, 0.0
    q_top, q_mass, q_apart = -float("inf"), 0.0, 0.0
    total = 0.0
    for start in range(0, vocabulary, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x, y = _block(p_row, at, vocabulary), _block(q_row, at, vocabulary)
        highest = tl.maximum(p_top, tl.max(x, 0))
        shrink, weights = tl.exp(p_top - highest), tl.exp(x - highest)
        p_mass, p_apart = p_mass * shrink + tl.sum(weights, 0), p_apart * shrink + tl.sum(weights * _apart(x, y), 0)
        p_top = highest
        highest = tl.maximum(q_top, tl.max(y, 0))
        shrink, weights = tl.exp(q_top - highest), tl.exp(y - highest)
        q_mass, q_apart = q_mass * shrink + tl.sum(weights, 0), q_apart * shrink + tl.sum(weights * _apart(y, x), 0)
        q_top = highest
        total += tl.sum(tl.where(at < vocabulary, x + y, 0.0), 0)
    p_normaliser, q_normaliser = p_top + tl.log(p_mass), q_top + tl.log(q_mass)
    # KL(p‖q) = Σ p (log p − log q), of which the normalisers' share is the same for every token; KL(q‖p) likewise.
    p_apart = p_apart / p_mass + q_normaliser - p_normaliser
    q_apart = q_apart / q_mass + p_normaliser - q_normaliser
    normalisers = p_normaliser + q_normaliser
    loss = (1 - smoothing) * (normalisers - at_target)
    if smoothing > 0:  # else the logits may hold −inf, whose sum counts for nothing
        loss += smoothing * (normalisers - total / vocabulary)
    loss = loss / 2 + alpha / 4 * (p_apart + q_apart)
    tl.store(losses + pair, tl.where(learned, loss, 0.0))
    for start in range(0, columns, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x, y = _block(p_row, at, vocabulary) - p_normaliser, _block(q_row, at, vocabulary) - q_normaliser
        p, q = tl.exp(x), tl.exp(y)
        is_target, inside = at == target, at < vocabulary
        grad_p = _paired_gradient(p, _apart(x, y), p_apart, q, is_target, inside, vocabulary, smoothing, alpha)
        grad_q = _paired_gradient(q, _apart(y, x), q_apart, p, is_target, inside, vocabulary, smoothing, alpha)
        dtype = logits.dtype.element_ty
        tl.store(p_row + at, tl.where(learned, grad_p, 0.0).to(dtype), mask=at < columns)
        tl.store(q_row + at, tl.where(learned, grad_q, 0.0).to(dtype), mask=at < columns)


def why_not() -> None:
    """Nothing keeps the kernels from a loss."""


def chunk_loss(
    logits: Tensor, targets: Tensor, vocabulary: int, smoothing: float, alpha: float = 0.0
) -> tuple[Tensor, Tensor]:
    """`shared.model.loss.chunk_loss`, with the gradient written over the logits [N, padded V]."""
    rows, columns = logits.shape
    if alpha:
        losses = torch.empty(rows // 2, dtype=torch.float32, device=logits.device)
        _paired_cross_entropy[(rows // 2,)](
            logits, targets, losses, vocabulary, columns, smoothing, alpha, BLOCK=2048, num_warps=8
        )
    else:
        losses = torch.empty(rows, dtype=torch.float32, device=logits.device)
        _cross_entropy[(rows,)](
            logits, targets, losses, vocabulary, columns, smoothing, SMOOTHING=smoothing > 0, BLOCK=4096, num_warps=8
        )
    return losses.sum(), logits
