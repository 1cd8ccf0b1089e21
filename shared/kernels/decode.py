"""Triton kernels of one decoding step: few rows, so that reading the weights is the work and everything else is fused.

`linear` is a layer norm, a matrix product, its bias, a GELU and a residual in one; `attend` writes a token's key and
value and attends to the filled part of the cache only, several blocks of it at a time where few rows would leave the
GPU idle ("flash decoding", Dao et al. 2023).
"""

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from shared.kernels.early import begin, begin_step, early


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


@triton.jit
def _read(
    keys, values, beam_origin, row, head, at, position, length,
    SHARED: tl.constexpr, HEADS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The keys and values at places before a position; zeros elsewhere."""
    inside = at < position
    owner = row
    if SHARED:
        owner = tl.load(beam_origin + row * length + at, mask=inside, other=0).to(tl.int64)
    place = (((owner * HEADS + head) * length + at) * WIDTH)[:, None] + tl.arange(0, WIDTH)
    return tl.load(keys + place, mask=inside[:, None], other=0.0), tl.load(
        values + place, mask=inside[:, None], other=0.0
    )


@triton.jit
def _put_together(out, means, tops, masses, arrived, place, WIDTH: tl.constexpr, PARTS: tl.constexpr):
    """What the parts of a head have found as one, done by the part that arrives last."""
    tl.debug_barrier()  # the whole part is stored before it is counted
    if tl.atomic_add(arrived + place, 1, sem="acq_rel") == PARTS - 1:
        tl.store(arrived + place, 0)
        d, parts = tl.arange(0, WIDTH), place * PARTS + tl.arange(0, PARTS)
        each = tl.load(tops + parts)
        share = tl.exp(each - tl.max(each, 0))  # 0 for a part that has seen nothing
        mass = tl.sum(share * tl.load(masses + parts), 0)
        mean = tl.sum(share[:, None] * tl.load(means + parts[:, None] * WIDTH + d), 0)
        tl.store(out + place * WIDTH + d, (mean / mass).to(out.dtype.element_ty))


@triton.jit
def _attend(
    projected, keys, values, beam_origin, relative, positions, out, means, tops, masses, arrived, length, scaling,
    SHARED: tl.constexpr, DISTANCES: tl.constexpr, HEADS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
    PARTS: tl.constexpr, STAGES: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    row, head, part = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    position = tl.load(positions + row)
    d = tl.arange(0, WIDTH)
    if EARLY:  # the first block, which earlier steps have left, before this step's query is there
        first = part * BLOCK + tl.arange(0, BLOCK)
        k, v = _read(keys, values, beam_origin, row, head, first, position, length, SHARED, HEADS, WIDTH)
    begin(EARLY)
    new = projected + row * 3 * HEADS * WIDTH + head * WIDTH + d
    query = tl.load(new).to(tl.float32) * scaling
    top = -float("inf")
    mass = 0.0
    mean = tl.zeros([WIDTH], tl.float32)
    if part == 0:
        new_key = tl.load(new + HEADS * WIDTH)
        new_value = tl.load(new + 2 * HEADS * WIDTH)
        here = ((row * HEADS + head) * length + position) * WIDTH + d
        tl.store(keys + here, new_key)
        tl.store(values + here, new_value)
        # The new token is attended to out of registers: its store need not be visible yet.
        key = new_key.to(tl.float32)
        if DISTANCES > 0:
            key += tl.load(relative + head * DISTANCES * WIDTH + d).to(tl.float32)
        top = tl.sum(query * key, 0)
        mass = 1.0
        mean = new_value.to(tl.float32)
    for start in tl.range(part * BLOCK, position, PARTS * BLOCK, num_stages=STAGES):
        at = start + tl.arange(0, BLOCK)
        inside = at < position
        if not EARLY:
            k, v = _read(keys, values, beam_origin, row, head, at, position, length, SHARED, HEADS, WIDTH)
        wide = k.to(tl.float32)
        if DISTANCES > 0:
            distance = tl.minimum(position - at, DISTANCES - 1)
            wide += tl.load(
                relative + (head * DISTANCES + distance)[:, None] * WIDTH + d, mask=inside[:, None], other=0.0
            ).to(tl.float32)
        scores = tl.where(inside, tl.sum(query[None, :] * wide, 1), -float("inf"))
        highest = tl.maximum(top, tl.max(scores, 0))
        shrink = tl.exp(top - highest)
        weights = tl.exp(scores - highest)
        mass = mass * shrink + tl.sum(weights, 0)
        mean = mean * shrink + tl.sum(weights[:, None] * v.to(tl.float32), 0)
        top = highest
        if EARLY:
            after = at + PARTS * BLOCK
            k, v = _read(keys, values, beam_origin, row, head, after, position, length, SHARED, HEADS, WIDTH)
    place = row * HEADS + head
    if PARTS == 1:
        tl.store(out + place * WIDTH + d, (mean / mass).to(out.dtype.element_ty))
    else:
        tl.store(means + (place * PARTS + part) * WIDTH + d, mean)
        tl.store(tops + place * PARTS + part, top)
        tl.store(masses + place * PARTS + part, mass)
        _put_together(out, means, tops, masses, arrived, place, WIDTH, PARTS)


def supports(dtype: torch.dtype, head_width: int, activation: str) -> str | None:
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
    """`shared.generation.decode_operations.attend`, which reads no more of the cache than `positions` say."""
    rows, heads, length, width = keys.shape
    out = torch.empty(rows, heads * width, dtype=projected.dtype, device=projected.device)
    # As many parts as there are blocks, as long as the GPU has room for them.
    few = rows * heads < 512
    block, warps, stages = (32, 1, 1) if few else (64, 2, 2)
    parts = min(triton.next_power_of_2(triton.cdiv(length, block)), _power_of_2_up_to(256 // (rows * heads)))
    means = tops = masses = arrived = None
    if parts > 1:
        means, tops, masses = (
            torch.empty(rows, heads, parts, *last, dtype=torch.float32, device=out.device)
            for last in ((width,), (), ())
        )
        arrived = _zeros(out.device)
    _attend[(rows, heads, parts)](
        projected, keys, values, beam_origin, relative, positions, out, means, tops, masses, arrived, length, scaling,
        SHARED=beam_origin is not None, DISTANCES=0 if relative is None else relative.shape[1], HEADS=heads,
        WIDTH=width, BLOCK=block, PARTS=parts, STAGES=stages, num_warps=warps, **early(rows, out.device),
    )  # fmt: skip
    return out


def _power_of_2_up_to(most: int) -> int:
    """The largest one, and 1 at least."""
    return 1 << max(0, most.bit_length() - 1)


@functools.cache
def _zeros(device: torch.device) -> Tensor:
    """Counters of parts, one for each head of each row that is attended in parts; the last part sets its own to 0."""
    return torch.zeros(256, dtype=torch.int32, device=device)
