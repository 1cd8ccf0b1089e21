"""A token's attention in a decoding step: its key and value are written, and the filled part of the cache is read.

Several blocks of the cache are read at a time, as parts of their own, where few rows would leave the GPU idle ("flash
decoding", Dao et al. 2023).
"""

import functools

import torch
import triton
import triton.language as tl
from torch import Tensor

from shared.kernels.early import begin, early


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
    # The first and the last were the fastest of those tried with one row and with 64 of GPT-2's 12 heads.
    block, warps, stages = (32, 2, 1) if rows * heads <= 32 else (128, 4, 1) if rows * heads < 512 else (64, 2, 2)
    # As many parts as there are blocks, as long as the GPU has room for them.
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
