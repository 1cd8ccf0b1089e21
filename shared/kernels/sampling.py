"""One Triton kernel for all that comes after the logits: the choice of each slot's token and what it changes.

`shared.generation.sampling` takes two dozen small operations, each of which would cost a launch. Nothing is sorted: the
thresholds of top-k and of the nucleus are found bit by bit. Of a large vocabulary only those few tokens are looked at
that the maxima of its groups leave in question.
"""

from collections.abc import Collection
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from shared.kernels.early import begin, early

KNOWN = {"temperature", "top_k", "top_p"}
FEW = 1024  # tokens of a vocabulary that is looked through as a whole
GROUPS = 512  # of neighbouring tokens in a larger one; more where several are looked into
BITS = 16  # of a maximum that are compared: what is below does not count
ROOM = 32  # tokens that may be among the likeliest, or half as many again as are asked for


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
    """The largest sortable key that `k` tokens reach."""
    at = tl.arange(0, BLOCK)
    key = tl.full([], 0, tl.uint32)
    bit = tl.full([], 0x80000000, tl.uint32)
    for _ in range(32):
        reached = 0
        for start in range(0, vocabulary, BLOCK):
            x = _scaled(logits, start + at, vocabulary, temperature)
            reached += tl.sum(((_sortable(x) >= (key | bit)) & (start + at < vocabulary)).to(tl.int32), 0)
        if reached >= k:
            key = key | bit
        bit = bit >> 1
    return key


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
def _maxima(
    logits, maxima, vocabulary, GROUPS: tl.constexpr, SIZE: tl.constexpr, PER: tl.constexpr, EARLY: tl.constexpr
):
    """The largest logit of each group of SIZE tokens, -inf for groups beyond the vocabulary; PER groups a program."""
    begin(EARLY)
    row, group = tl.program_id(0).to(tl.int64), tl.program_id(1) * PER + tl.arange(0, PER)
    at = group[:, None] * SIZE + tl.arange(0, SIZE)
    x = tl.load(logits + row * vocabulary + at, mask=at < vocabulary, other=-float("inf"))
    tl.store(maxima + row * GROUPS + group, tl.max(x, 1))


@triton.jit
def _likeliest_of_groups(logits, maxima, vocabulary, GROUPS: tl.constexpr, SIZE: tl.constexpr):
    """The first of the likeliest tokens."""
    first = tl.argmax(tl.load(maxima + tl.arange(0, GROUPS)), 0) * SIZE
    at = first + tl.arange(0, SIZE)
    return first + tl.argmax(tl.load(logits + at, mask=at < vocabulary, other=-float("inf")), 0)


@triton.jit
def _gather(
    logits, maxima, kept, kept_tokens, places, vocabulary, k, bits,
    GROUPS: tl.constexpr, SIZE: tl.constexpr, TURN: tl.constexpr, ROOM: tl.constexpr,
):  # fmt: skip
    """Write the tokens that may be among the k likeliest to `kept`, in order; how many there are.

    A number that k of the groups' maxima reach is reached by k tokens at least: what is below it is not among the k
    likeliest. Only groups whose maximum reaches it are looked through, TURN of them at a time.
    """
    group = tl.arange(0, GROUPS)
    largest = _sortable(tl.load(maxima + group))
    floor = tl.full([], 0, tl.uint32)
    bit = tl.full([], 0x80000000, tl.uint32)
    for _ in range(bits):  # an argument, so that the loop stays one: a launch reads all its code, which takes longer
        if tl.sum((largest >= (floor | bit)).to(tl.int32), 0) >= k:
            floor = floor | bit
        bit = bit >> 1
    reaches = largest >= floor
    groups = tl.sum(reaches.to(tl.int32), 0)
    tl.store(places + tl.cumsum(reaches.to(tl.int32), 0) - 1, group, mask=reaches)
    tl.debug_barrier()  # other threads of the program read what was stored here
    count = 0
    for start in range(0, groups, TURN):
        which = start + tl.arange(0, TURN)
        at = tl.load(places + which, mask=which < groups, other=0)[:, None] * SIZE + tl.arange(0, SIZE)
        inside = (which < groups)[:, None] & (at < vocabulary)
        x = tl.load(logits + at, mask=inside, other=-float("inf"))
        keep = ((_sortable(x) >= floor) & inside).to(tl.int32)
        of_group = tl.sum(keep, 1)
        earlier = count + tl.cumsum(of_group, 0) - of_group  # kept of the groups before
        place = earlier[:, None] + tl.cumsum(keep, 1) - 1
        fits = (keep == 1) & (place < ROOM)
        tl.store(kept + place, x, mask=fits)
        tl.store(kept_tokens + place, at, mask=fits)
        count += tl.sum(of_group, 0)
    tl.debug_barrier()
    return count


@triton.jit
def _sample_few(kept, kept_tokens, uniform, count, temperature, top_k, top_p, TOP_P: tl.constexpr, ROOM: tl.constexpr):
    """As `_sample`, of no more than ROOM tokens, each compared with each."""
    at = tl.arange(0, ROOM)
    logits = tl.load(kept + at, mask=at < count, other=-float("inf"))
    likelier = logits[:, None] > logits[None, :]
    keep = (tl.sum(likelier.to(tl.int32), 0) < top_k) & (at < count)
    x = logits / temperature
    weight = tl.where(keep, tl.exp(x - tl.max(x, 0)), 0.0)
    if TOP_P:  # what is likelier than a token of the nucleus holds less than `top_p`
        before = tl.sum(tl.where(likelier, weight[:, None], 0.0), 0)
        weight = tl.where(before < top_p * tl.sum(weight, 0), weight, 0.0)
    beyond = (tl.cumsum(weight, 0) > uniform * tl.sum(weight, 0)) & (weight > 0)
    # Where rounding leaves none beyond, the last that is kept.
    place = tl.where(
        tl.max(beyond.to(tl.int32), 0) == 1, tl.argmax(beyond.to(tl.int32), 0), tl.max(tl.where(weight > 0, at, 0), 0)
    )
    return tl.load(kept_tokens + place)


@triton.jit
def _sample(
    logits,
    uniform,
    vocabulary,
    temperature,
    top_k,
    top_p,
    TOP_K: tl.constexpr,
    TOP_P: tl.constexpr,
    BLOCK: tl.constexpr,
):
    _, top = _likeliest(logits, vocabulary, temperature, BLOCK)
    least = tl.full([], 0, tl.uint32)  # tokens below this key are cut off
    if TOP_K:
        least = _kth_largest(logits, vocabulary, temperature, top_k, BLOCK)
    if TOP_P:
        least = _nucleus(logits, vocabulary, temperature, top, least, top_p, BLOCK)
    return _draw(logits, vocabulary, temperature, top, least, uniform, BLOCK)


@triton.jit
def _advance(
    logits, uniform, tokens, drawn, positions, count, limit, finished, ids, maxima, kept, kept_tokens, places,
    vocabulary, longest, end, temperature, top_k, top_p, bits,
    SAMPLE: tl.constexpr, TOP_K: tl.constexpr, TOP_P: tl.constexpr, BLOCK: tl.constexpr,
    GROUPS: tl.constexpr, SIZE: tl.constexpr, TURN: tl.constexpr, ROOM: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    begin(EARLY)
    row = tl.program_id(0)
    logits += row.to(tl.int64) * vocabulary
    written = tl.load(count + row)
    place = row.to(tl.int64) * longest + tl.minimum(written, longest - 1)
    if SAMPLE:
        number = tl.load(uniform + place)
        if GROUPS > 0:
            kept += row * ROOM
            kept_tokens += row * ROOM
            left = _gather(
                logits, maxima + row * GROUPS, kept, kept_tokens, places + row * GROUPS, vocabulary, top_k, bits,
                GROUPS, SIZE, TURN, ROOM,
            )  # fmt: skip
            if left <= ROOM:
                token = _sample_few(kept, kept_tokens, number, left, temperature, top_k, top_p, TOP_P, ROOM)
            else:
                token = _sample(logits, number, vocabulary, temperature, top_k, top_p, TOP_K, TOP_P, BLOCK)
        else:
            token = _sample(logits, number, vocabulary, temperature, top_k, top_p, TOP_K, TOP_P, BLOCK)
    elif GROUPS > 0:
        token = _likeliest_of_groups(logits, maxima + row * GROUPS, vocabulary, GROUPS, SIZE)
    else:
        token, _ = _likeliest(logits, vocabulary, temperature, BLOCK)
    writing = (tl.load(finished + row) == 0) & (token != end)
    tl.store(drawn + row, token)
    tl.store(tokens + row, token, mask=writing)
    tl.store(ids + place, token, mask=writing)
    written += writing.to(written.dtype)
    tl.store(count + row, written)
    tl.store(positions + row, tl.load(positions + row) + writing.to(written.dtype))
    tl.store(finished + row, ((writing == 0) | (written >= tl.load(limit + row))).to(tl.int8))


def why_not(warpers: Collection[str], dtype: torch.dtype) -> str | None:
    """What keeps the kernel from these settings, or None: the names of the `WARPERS` that they ask for."""
    if unknown := sorted(set(warpers) - KNOWN):
        return f"{', '.join(unknown)} has no kernel"
    if dtype == torch.float64:
        return "the logits are float64"
    return None


def advance(logits: Tensor, slots: Any, settings: Any, end: int) -> None:
    """`shared.generation.sampling.advance`, for `logits` [N, V] in float32."""
    count, vocabulary = logits.shape
    block = min(8192, triton.next_power_of_2(vocabulary))
    groups, size, room = 0, 0, ROOM
    maxima = kept = kept_tokens = places = None
    if vocabulary > FEW and (not settings.do_sample or 0 < settings.top_k <= 128):
        groups = 4 * GROUPS if settings.do_sample else GROUPS
        size = triton.next_power_of_2(triton.cdiv(vocabulary, groups))
        maxima = torch.empty(count, groups, device=logits.device)
        per = groups // 128 if count == 1 else groups // 32
        _maxima[(count, groups // per)](
            logits, maxima, vocabulary, GROUPS=groups, SIZE=size, PER=per, num_warps=4, **early(count, logits.device)
        )
        if settings.do_sample:
            room = max(ROOM, triton.next_power_of_2(settings.top_k + settings.top_k // 2))
            kept = torch.empty(count, room, device=logits.device)
            kept_tokens = torch.empty(count, room, dtype=torch.int32, device=logits.device)
            places = torch.empty(count, groups, dtype=torch.int32, device=logits.device)
    _advance[(count,)](
        logits, slots.uniform, slots.tokens, slots.drawn, slots.positions, slots.count, slots.limit,
        slots.finished.view(torch.int8), slots.ids, maxima, kept, kept_tokens, places,
        vocabulary, slots.ids.shape[1], end, settings.temperature, min(settings.top_k, vocabulary),
        settings.top_p, BITS,
        SAMPLE=settings.do_sample, TOP_K=0 < settings.top_k < vocabulary, TOP_P=settings.top_p < 1,
        BLOCK=block, GROUPS=groups, SIZE=size, TURN=64, ROOM=room,
        num_warps=8 if vocabulary > FEW else 4, **early(count, logits.device),
    )  # fmt: skip
