"""Triton kernels of one decoding step: few rows, so that reading the weights is the work and everything else is fused.

`linear` is a layer norm, a matrix product, its bias, a GELU and a residual in one; `attend` is a file of its own.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from shared.kernels.decode_attention import attend
from shared.kernels.early import begin, begin_step, early

__all__ = ["attend", "embed", "linear", "why_not"]


@triton.jit
def _embed(tokens, positions, words, places, out, width, K: tl.constexpr, EARLY: tl.constexpr):
    begin_step(EARLY)
    row, k = tl.program_id(0).to(tl.int64), tl.arange(0, K)
    word = tl.load(words + tl.load(tokens + row) * width + k, mask=k < width, other=0.0).to(tl.float32)
    place = tl.load(places + tl.load(positions + row) * width + k, mask=k < width, other=0.0).to(tl.float32)
    tl.store(out + row * width + k, word + place, mask=k < width)


@triton.jit
def _normalise(inputs, gain, shift, out, width, epsilon, K: tl.constexpr):
    row, k = tl.program_id(0).to(tl.int64), tl.arange(0, K)
    inside = k < width
    x = tl.load(inputs + row * width + k, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(gain + k, mask=inside, other=0.0).to(tl.float32)
    s = tl.load(shift + k, mask=inside, other=0.0).to(tl.float32)
    centred = tl.where(inside, x - tl.sum(x, 0) / width, 0.0)
    x = centred * tl.rsqrt(tl.sum(centred * centred, 0) / width + epsilon) * g + s
    tl.store(out + row * width + k, x.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _gelu(x):
    # 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))), with 0.5 (1 + tanh(z)) = sigmoid(2 z)
    return x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))


@triton.jit
def _linear_row(
    inputs, weight, bias, gain, shift, residual, out, width, columns, epsilon,
    NORM: tl.constexpr, BIAS: tl.constexpr, GELU: tl.constexpr, RESIDUAL: tl.constexpr,
    N: tl.constexpr, K: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    """A matrix-vector product: whole rows of the matrix, all their loads in flight at once."""
    column, k = tl.program_id(0) * N + tl.arange(0, N), tl.arange(0, K)
    is_column, inside = column < columns, k < width
    place = column.to(tl.int64)[:, None] * width + k
    w = tl.load(weight + place, mask=is_column[:, None] & inside, other=0.0)
    if NORM:
        g = tl.load(gain + k, mask=inside, other=0.0).to(tl.float32)
        s = tl.load(shift + k, mask=inside, other=0.0).to(tl.float32)
    if BIAS:
        b = tl.load(bias + column, mask=is_column, other=0.0).to(tl.float32)
    begin(EARLY)
    x = tl.load(inputs + k, mask=inside, other=0.0).to(tl.float32)
    if NORM:
        centred = tl.where(inside, x - tl.sum(x, 0) / width, 0.0)
        x = centred * tl.rsqrt(tl.sum(centred * centred, 0) / width + epsilon) * g + s
    product = tl.sum(w.to(tl.float32) * x.to(w.dtype).to(tl.float32), 1)
    if BIAS:
        product += b
    if GELU:
        product = _gelu(product)
    if RESIDUAL:
        product += tl.load(residual + column, mask=is_column, other=0.0).to(tl.float32)
    tl.store(out + column, product.to(out.dtype.element_ty), mask=is_column)


@triton.jit
def _linear_rows(
    inputs, weight, bias, residual, out, rows, width, columns,
    BIAS: tl.constexpr, GELU: tl.constexpr, RESIDUAL: tl.constexpr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """A product of tiles, for the matrix units."""
    row = tl.program_id(1) * M + tl.arange(0, M)
    column = tl.program_id(0) * N + tl.arange(0, N)
    is_row, is_column = row < rows, column < columns
    source = inputs + row.to(tl.int64)[:, None] * width
    matrix = weight + column.to(tl.int64)[:, None] * width
    product = tl.zeros([M, N], tl.float32)
    for start in range(0, width, K):
        k = start + tl.arange(0, K)
        inside = k < width
        w = tl.load(matrix + k, mask=is_column[:, None] & inside, other=0.0)
        x = tl.load(source + k, mask=is_row[:, None] & inside, other=0.0)
        product = tl.dot(x.to(w.dtype), tl.trans(w), product, input_precision="ieee")
    if BIAS:
        product += tl.load(bias + column, mask=is_column, other=0.0).to(tl.float32)
    if GELU:
        product = _gelu(product)
    place = row.to(tl.int64)[:, None] * columns + column
    inside = is_row[:, None] & is_column
    if RESIDUAL:
        product += tl.load(residual + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + place, product.to(out.dtype.element_ty), mask=inside)


def why_not(dtype: torch.dtype, head_width: int, activation: str) -> str | None:
    """What keeps the kernels from a decoder, or None; `activation` is its config's name for it."""
    if dtype == torch.float64:
        return "float64"
    if head_width & (head_width - 1):
        return f"heads {head_width} wide are no power of two"
    if activation != "gelu_new":
        return f"the activation is {activation}, not gelu_new"
    return None


def embed(tokens: Tensor, positions: Tensor, token_weight: Tensor, position_weight: Tensor) -> Tensor:
    """`shared.generation.decode_operations.embed`, in float32."""
    rows, width = len(tokens), token_weight.shape[1]
    out = torch.empty(rows, width, dtype=torch.float32, device=token_weight.device)
    _embed[(rows,)](
        tokens, positions, token_weight, position_weight, out, width, K=triton.next_power_of_2(width), num_warps=4,
        **early(rows, out.device),
    )  # fmt: skip
    return out


# Columns of a program and its warps, for one row; rows, columns and depth of a tile, warps and stages, for several:
# the fastest of those tried on an H200 with GPT-2's shapes, the whole step in a graph.
ONE_ROW = {1024: (2, 4), 2560: (8, 2), 8192: (4, 2)}  # up to so many columns
ONE_ROW_OF_MANY = (8, 2)
TILE = {1024: (16, 32, 256, 4, 4), 8192: (64, 32, 128, 4, 4)}
TILE_OF_MANY = (64, 128, 64, 8, 3)


def linear(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    norm: nn.LayerNorm | None = None,
    activation: nn.Module | None = None,
    residual: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """`shared.generation.decode_operations.linear`; the `activation`, where there is one, is GPT-2's GELU.

    Sums run in float32.
    """
    rows, (columns, width) = len(inputs), weight.shape
    out = torch.empty(rows, columns, dtype=dtype or weight.dtype, device=inputs.device)
    gain, shift, epsilon = (norm.weight, norm.bias, norm.eps) if norm else (None, None, 0.0)
    flags = {"BIAS": bias is not None, "GELU": activation is not None, "RESIDUAL": residual is not None}
    k = triton.next_power_of_2(width)
    if rows == 1:
        n, warps = next((shape for most, shape in ONE_ROW.items() if columns <= most), ONE_ROW_OF_MANY)
        n = min(n, max(2, 8192 // k))  # wider decoders' rows would not fit into registers
        _linear_row[(triton.cdiv(columns, n),)](
            inputs, weight, bias, gain, shift, residual, out, width, columns, epsilon,
            NORM=norm is not None, N=n, K=k, num_warps=max(warps, k // 1024), **flags, **early(rows, out.device),
        )  # fmt: skip
        return out
    if norm:
        normal = torch.empty(rows, width, dtype=weight.dtype, device=inputs.device)
        _normalise[(rows,)](inputs, gain, shift, normal, width, epsilon, K=k, num_warps=4)
        inputs = normal
    m, n, k, warps, stages = next((shape for most, shape in TILE.items() if columns <= most), TILE_OF_MANY)
    grid = (triton.cdiv(columns, n), triton.cdiv(rows, m))
    _linear_rows[grid](
        inputs, weight, bias, residual, out, rows, width, columns,
        M=m, N=n, K=k, num_warps=warps, num_stages=stages, **flags,
    )  # fmt: skip
    return out
