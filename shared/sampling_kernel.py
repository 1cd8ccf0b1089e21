"""One Triton kernel for all that comes after the logits: the choice of each row's token and what it changes.

What `shared.sampling` says in two dozen small operations, each of which would cost a launch. Nothing is sorted: the
top-k threshold is found digit by digit (radix selection), the nucleus' by bisection over the bits of a float.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _scaled(logits, place, vocabulary, temperature):
    return tl.load(logits + place, mask=place < vocabulary, other=-float("inf")) / temperature


@triton.jit
def _sortable(x):
    """Unsigned integers in the order of floats."""
    bits = x.to(tl.uint32, bitcast=True)
    return tl.where(bits >> 31 == 1, bits ^ 0xFFFFFFFF, bits ^ 0x80000000)


@triton.jit
def _likeliest(logits, vocabulary, temperature, BLOCK: tl.constexpr):
    """The first of the likeliest tokens, and its scaled logit."""
    at = tl.arange(0, BLOCK)
    top = -float("inf")
    token = 0
    for start in range(0, vocabulary, BLOCK):
        x = _scaled(logits, start + at, vocabulary, temperature)
        highest = tl.max(x, 0)
        if highest > top:
            top = highest
            token = start + tl.argmax(x, 0)
    return token, top


@triton.jit
def _kth_largest(logits, vocabulary, temperature, k, BLOCK: tl.constexpr):
    """The sortable key of the k-th likeliest token: its four digits of eight bits, the highest first."""
    at = tl.arange(0, BLOCK)
    least = tl.full([], 0, tl.uint32)
    for step in tl.static_range(4):
        shift = 24 - 8 * step
        counts = tl.zeros([256], tl.int32)
        for start in range(0, vocabulary, BLOCK):
            key = _sortable(_scaled(logits, start + at, vocabulary, temperature))
            candidate = start + at < vocabulary
            if step > 0:
                candidate = candidate & (key >> (shift + 8) == least >> (shift + 8))
            counts += tl.histogram(((key >> shift) & 255).to(tl.int32), 256, mask=candidate)
        from_here = tl.cumsum(counts, 0, reverse=True)  # how many have this digit or a larger one
        digit = tl.sum((from_here >= k).to(tl.int32), 0) - 1
        k -= tl.sum(tl.where(tl.arange(0, 256) == digit + 1, from_here, 0), 0)
        least = least | (digit.to(tl.uint32) << shift)
    return least


@triton.jit
def _mass(logits, vocabulary, temperature, top, least, BLOCK: tl.constexpr):
    """What the tokens from the key `least` on weigh, the likeliest weighing 1."""
    at = tl.arange(0, BLOCK)
    mass = 0.0
    for start in range(0, vocabulary, BLOCK):
        x = _scaled(logits, start + at, vocabulary, temperature)
        mass += tl.sum(tl.where(_sortable(x) >= least, tl.exp(x - top), 0.0), 0)
    return mass


@triton.jit
def _nucleus(logits, vocabulary, temperature, top, least, top_p, BLOCK: tl.constexpr):
    """The largest key from which on the tokens hold `top_p` of what those from `least` on weigh."""
    wanted = top_p * _mass(logits, vocabulary, temperature, top, least, BLOCK)
    key = tl.full([], 0, tl.uint32)
    bit = tl.full([], 0x80000000, tl.uint32)
    for _ in range(32):
        if _mass(logits, vocabulary, temperature, top, tl.maximum(key | bit, least), BLOCK) >= wanted:
            key = key | bit
        bit = bit >> 1
    return tl.maximum(key, least)


@triton.jit
def _draw(logits, vocabulary, temperature, top, least, uniform, BLOCK: tl.constexpr):
    """The token where the cumulative weights pass the share `uniform`."""
    at = tl.arange(0, BLOCK)
    target = uniform * _mass(logits, vocabulary, temperature, top, least, BLOCK)
    before = 0.0
    found = 0
    token = 0
    for start in range(0, vocabulary, BLOCK):
        if found == 0:
            x = _scaled(logits, start + at, vocabulary, temperature)
            weight = tl.where(_sortable(x) >= least, tl.exp(x - top), 0.0)
            beyond = (before + tl.cumsum(weight, 0) > target) & (weight > 0)
            if tl.max(beyond.to(tl.int32), 0) == 1:
                token = start + tl.argmax(beyond.to(tl.int32), 0)
                found = 1
            elif tl.max(weight, 0) > 0:  # where rounding leaves none beyond the target, the last that is kept
                token = start + tl.max(tl.where(weight > 0, at, 0), 0)
            before += tl.sum(weight, 0)
    return token


@triton.jit
def _write(
    logits, uniform, tokens, drawn, positions, count, limit, finished, ids,
    vocabulary, longest, end, temperature, top_k, top_p,
    SAMPLE: tl.constexpr, TOP_K: tl.constexpr, TOP_P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    logits += row.to(tl.int64) * vocabulary
    written = tl.load(count + row)
    place = row.to(tl.int64) * longest + tl.minimum(written, longest - 1)
    token, top = _likeliest(logits, vocabulary, temperature, BLOCK)
    if SAMPLE:
        least = tl.full([], 0, tl.uint32)  # tokens below this key are cut off
        if TOP_K:
            least = _kth_largest(logits, vocabulary, temperature, top_k, BLOCK)
        if TOP_P:
            least = _nucleus(logits, vocabulary, temperature, top, least, top_p, BLOCK)
        token = _draw(logits, vocabulary, temperature, top, least, tl.load(uniform + place), BLOCK)
    writing = (tl.load(finished + row) == 0) & (token != end)
    tl.store(drawn + row, token)
    tl.store(tokens + row, token, mask=writing)
    tl.store(ids + place, token, mask=writing)
    written += writing.to(written.dtype)
    tl.store(count + row, written)
    tl.store(positions + row, tl.load(positions + row) + writing.to(written.dtype))
    tl.store(finished + row, ((writing == 0) | (written >= tl.load(limit + row))).to(tl.int8))


def write(writer, logits: Tensor, drawn: Tensor) -> None:
    """What `shared.sampling.Writer.write` does after its `logits` [rows, V]; the tokens chosen go to `drawn` [rows]."""
    settings, (rows, vocabulary) = writer.settings, logits.shape
    block = min(8192, triton.next_power_of_2(vocabulary))
    _write[(rows,)](
        logits, writer.uniform, writer.tokens, drawn, writer.positions, writer.count, writer.limit,
        writer.finished.view(torch.int8), writer.ids,
        vocabulary, writer.ids.shape[1], writer.end, settings.temperature, min(settings.top_k, vocabulary),
        settings.top_p, SAMPLE=settings.do_sample, TOP_K=0 < settings.top_k < vocabulary, TOP_P=settings.top_p < 1,
        BLOCK=block, num_warps=16 if block > 2048 else 4,
    )  # fmt: skip
