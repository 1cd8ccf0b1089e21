"""Relative attention's forward pass, and what its backward pass shares with it: Triton kernels.

See `shared.kernels.relative_attention`. Scores are in base 2: `scale` is the scaling times log2(e).
"""

import triton
import triton.language as tl

UNALIGNED = ("length", "heads", "distances", "columns")  # by which no access is aligned: one kernel serves all of them


@triton.jit
def load_tile(place, at, length, stride, D: tl.constexpr):
    """Tokens `at` [N] of one head [length, D], zeros after the last."""
    return tl.load(place + at[:, None] * stride + tl.arange(0, D), mask=at[:, None] < length, other=0.0)


@triton.jit
def distance_of(q_at, k_at):
    """From queries [M] back to keys [N], as [M, N]; to later keys it is larger than any."""
    return (q_at[:, None] - k_at[None, :]).to(tl.uint32, bitcast=True)


@triton.jit
def added_by_distance(by_distance, skew, last, k_at, near, FAR: tl.constexpr):
    """What distances add to the products [M, N]; FAR: none are `near`, and `last` [M] says it all."""
    if FAR:
        added = last[:, None]
    else:
        # Of another shape than any tile, lest it be laid out as one, eight numbers to a thread: here none are aligned.
        place = by_distance + (skew[:, None] + k_at[None, :])[None]
        added = tl.load(place, mask=near[None], other=tl.broadcast_to(last[:, None], near.shape)[None])
        added = tl.reshape(added, near.shape)
    return added


@triton.jit
def _forward_block(
    mean, top, mass, q, keys, values, by_distance, skew, last, q_at, reach, start, length, key_stride, value_stride,
    distances, scale, FAR: tl.constexpr, D: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    k_at = start + tl.arange(0, N)
    k = load_tile(keys, k_at, length, key_stride, D)
    v = load_tile(values, k_at, length, value_stride, D)
    distance = distance_of(q_at, k_at)
    added = added_by_distance(by_distance, skew, last, k_at, distance < distances - 1, FAR).to(tl.float32)
    scores = (tl.dot(q, tl.trans(k), input_precision="ieee") + added) * scale
    scores = tl.where(distance <= reach[:, None], scores, -float("inf"))
    highest = tl.maximum(top, tl.max(scores, 1))
    shrink = tl.exp2(top - highest)
    weights = tl.exp2(scores - highest[:, None])
    mass = mass * shrink + tl.sum(weights, 1)
    mean = tl.dot(weights.to(v.dtype), v, mean * shrink[:, None], input_precision="ieee")
    return mean, highest, mass


@triton.jit
def row_and_head(heads):
    """Of this program, and how many rows there are."""
    row, head = (tl.program_id(0) // heads).to(tl.int64), (tl.program_id(0) % heads).to(tl.int64)
    return row, head, tl.num_programs(0) // heads


@triton.jit
def own_queries(length, M: tl.constexpr):
    """This program's M queries: the first, all, which are in the row, and all with -1 past its end."""
    begin_m = (tl.num_programs(1) - 1 - tl.program_id(1)) * M  # those that see most come first
    at = begin_m + tl.arange(0, M)
    inside = at < length
    return begin_m, at, inside, tl.where(inside, at, -1)  # what is past the end sees nothing


@triton.jit
def seen_by(by_distance, first, begin_m, at, inside, distances, columns, M: tl.constexpr, N: tl.constexpr):
    """What M queries see: by the last distance, where their scores are, how far back, from which key on, near ones."""
    m = tl.arange(0, M)
    last = tl.load(by_distance + m * columns, mask=inside, other=0.0)
    skew = m * (columns - 1) + distances - 1 - begin_m  # with the key added: where query and key have their score
    begin = tl.load(first + at, mask=inside, other=2**30)
    reach = tl.maximum(at - begin, 0).to(tl.uint32)
    lowest = tl.min(begin, 0) // N * N
    near = tl.maximum(lowest, tl.maximum(begin_m - distances + 2, 0) // N * N)
    return last, skew, reach, lowest, near, tl.cast(distances, tl.uint32)


@triton.jit(do_not_specialize=UNALIGNED)
def forward(
    queries, keys, values, by_distance, first, mixed, normaliser, length, heads, distances, columns, scale,
    query_row, query_head, query_stride, key_row, key_head, key_stride, value_row, value_head, value_stride,
    D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    row, head, count = row_and_head(heads)
    begin_m, at, inside, q_at = own_queries(length, M)
    q = load_tile(queries + row * query_row + head * query_head, at, length, query_stride, D)
    keys += row * key_row + head * key_head
    values += row * value_row + head * value_head
    by_distance += ((head * count + row) * length + begin_m) * columns
    last, skew, reach, lowest, near, table_distances = seen_by(
        by_distance, first + row * length, begin_m, at, inside, distances, columns, M, N
    )
    mean = tl.zeros([M, D], tl.float32)
    top = tl.full([M], -1e30, tl.float32)  # finite: a block may hold nothing that a query sees
    mass = tl.zeros([M], tl.float32)
    for start in range(lowest, near, N):
        mean, top, mass = _forward_block(
            mean, top, mass, q, keys, values, by_distance, skew, last, q_at, reach, start, length, key_stride,
            value_stride, table_distances, scale, True, D, N,
        )  # fmt: skip
    for start in range(near, tl.minimum(begin_m + M, length), N):
        mean, top, mass = _forward_block(
            mean, top, mass, q, keys, values, by_distance, skew, last, q_at, reach, start, length, key_stride,
            value_stride, table_distances, scale, False, D, N,
        )  # fmt: skip
    place = mixed + (((row * length + at) * heads + head) * D)[:, None] + tl.arange(0, D)
    tl.store(place, (mean / mass[:, None]).to(mixed.dtype.element_ty), mask=inside[:, None])
    tl.store(normaliser + (row * heads + head) * length + at, top + tl.log2(mass), mask=inside)
