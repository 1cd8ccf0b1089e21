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
def _write(
    logits, uniform, tokens, drawn, positions, count, limit, finished, ids,
    vocabulary, longest, end, temperature, top_k, top_p,
    SAMPLE: tl.constexpr, TOP_K: tl.constexpr, TOP_P: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    logits += row.to(tl.int64) * vocabulary
    at = tl.arange(0, BLOCK)
    written = tl.load(count + row)
    place = tl.minimum(written, longest - 1)
    top = -float("inf")
    token = 0
    for start in range(0, vocabulary, BLOCK):
        x = _scaled(logits, start + at, vocabulary, temperature)
        highest = tl.max(x, 0)
        if highest > top:
            top = highest
            token = start + tl.argmax(x, 0)
    if SAMPLE:
        least = tl.full([], 0, tl.uint32)  # what is kept: tokens whose sortable logit is not below this
        if TOP_K:
            left = top_k
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
                digit = tl.sum((from_here >= left).to(tl.int32), 0) - 1
                left -= tl.sum(tl.where(tl.arange(0, 256) == digit + 1, from_here, 0), 0)
                least = least | (digit.to(tl.uint32) << shift)
        if TOP_P:
            mass = 0.0
            for start in range(0, vocabulary, BLOCK):
                x = _scaled(logits, start + at, vocabulary, temperature)
                mass += tl.sum(tl.where(_sortable(x) >= least, tl.exp(x - top), 0.0), 0)
            wanted = top_p * mass
            floor = tl.full([], 0, tl.uint32)
            bit = tl.full([], 0x80000000, tl.uint32)
            for _ in range(32):
                candidate = tl.maximum(floor | bit, least)
                held = 0.0
                for start in range(0, vocabulary, BLOCK):
                    x = _scaled(logits, start + at, vocabulary, temperature)
                    held += tl.sum(tl.where(_sortable(x) >= candidate, tl.exp(x - top), 0.0), 0)
                if held >= wanted:
                    floor = floor | bit
                bit = bit >> 1
            least = tl.maximum(floor, least)
        mass = 0.0
        for start in range(0, vocabulary, BLOCK):
            x = _scaled(logits, start + at, vocabulary, temperature)
            mass += tl.sum(tl.where(_sortable(x) >= least, tl.exp(x - top), 0.0), 0)
        target = tl.load(uniform + row.to(tl.int64) * longest + place) * mass
        before = 0.0
        found = 0
        for start in range(0, vocabulary, BLOCK):
            if found == 0:
                x = _scaled(logits, start + at, vocabulary, temperature)
                share = tl.where(_sortable(x) >= least, tl.exp(x - top), 0.0)
                beyond = (before + tl.cumsum(share, 0) > target) & (share > 0)
                if tl.max(beyond.to(tl.int32), 0) == 1:
                    token = start + tl.argmax(beyond.to(tl.int32), 0)
                    found = 1
                elif tl.max(share, 0) > 0:  # where rounding leaves none beyond the target, the last that is kept
                    token = start + tl.max(tl.where(share > 0, at, 0), 0)
                before += tl.sum(share, 0)
    done = tl.load(finished + row) != 0
    writing = (done == 0) & (token != end)
    tl.store(drawn + row, token)
    tl.store(tokens + row, token, mask=writing)
    tl.store(ids + row.to(tl.int64) * longest + place, token, mask=writing)
    written += writing.to(written.dtype)
    tl.store(count + row, written)
    tl.store(positions + row, tl.load(positions + row) + writing.to(written.dtype))
    over = (writing == 0) | (written >= tl.load(limit + row))
    tl.store(finished + row, over.to(tl.int8))


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
