"""Relative attention's backward pass: Triton kernels. See `shared.kernels.relative_attention`."""

import triton
import triton.language as tl

from shared.kernels.relative_forward import (
    UNALIGNED,
    added_by_distance,
    distance_of,
    load_tile,
    own_queries,
    row_and_head,
    seen_by,
)


@triton.jit
def _query_block(
    grad_q, grad_last, q, g, norm, inner, keys, values, by_distance, grad_by_distance, skew, last, q_at, reach, start,
    length, key_stride, value_stride, distances, scale, scaling,
    FAR: tl.constexpr, D: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    k_at = start + tl.arange(0, N)
    k = load_tile(keys, k_at, length, key_stride, D)
    v = load_tile(values, k_at, length, value_stride, D)
    distance = distance_of(q_at, k_at)
    near = distance < distances - 1
    added = added_by_distance(by_distance, skew, last, k_at, near, FAR).to(tl.float32)
    scores = (tl.dot(q, tl.trans(k), input_precision="ieee") + added) * scale
    weights = tl.exp2(tl.where(distance <= reach[:, None], scores - norm[:, None], -float("inf")))
    grad_scores = weights * (tl.dot(g, tl.trans(v), input_precision="ieee") - inner[:, None])
    grad_q = tl.dot(grad_scores.to(k.dtype), k, grad_q, input_precision="ieee")
    if FAR:
        grad_last += tl.sum(grad_scores, 1)
    else:
        grad_last += tl.sum(tl.where(near, 0.0, grad_scores), 1)
        # One key stands at each of these distances: nothing is added up.
        grad_added = (grad_scores * scaling).to(grad_by_distance.dtype.element_ty)
        tl.store(grad_by_distance + (skew[:, None] + k_at[None, :]), grad_added, mask=near)
    return grad_q, grad_last


@triton.jit(do_not_specialize=UNALIGNED)
def backward_queries(
    queries, keys, values, by_distance, first, mixed, normaliser, grad, inners, grad_queries, grad_by_distance,
    length, heads, distances, columns, scale, scaling,
    query_row, query_head, query_stride, key_row, key_head, key_stride, value_row, value_head, value_stride,
    D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    row, head, count = row_and_head(heads)
    begin_m, at, inside, q_at = own_queries(length, M)
    q = load_tile(queries + row * query_row + head * query_head, at, length, query_stride, D)
    keys += row * key_row + head * key_head
    values += row * value_row + head * value_head
    place = (row * length * heads + head) * D
    g = load_tile(grad + place, at, length, heads * D, D)
    out = load_tile(mixed + place, at, length, heads * D, D)
    inner = tl.sum(g.to(tl.float32) * out.to(tl.float32), 1)
    scalars = (row * heads + head) * length + at
    tl.store(inners + scalars, inner, mask=inside)  # for the keys' turn
    norm = tl.load(normaliser + scalars, mask=inside, other=0.0)
    by_distance += ((head * count + row) * length + begin_m) * columns
    grad_by_distance += ((head * count + row) * length + begin_m) * columns
    last, skew, reach, lowest, near, table_distances = seen_by(
        by_distance, first + row * length, begin_m, at, inside, distances, columns, M, N
    )
    grad_q = tl.zeros([M, D], tl.float32)
    grad_last = tl.zeros([M], tl.float32)
    for start in range(lowest, near, N):
        grad_q, grad_last = _query_block(
            grad_q, grad_last, q, g, norm, inner, keys, values, by_distance, grad_by_distance, skew, last, q_at, reach,
            start, length, key_stride, value_stride, table_distances, scale, scaling, True, D, N,
        )  # fmt: skip
    for start in range(near, tl.minimum(begin_m + M, length), N):
        grad_q, grad_last = _query_block(
            grad_q, grad_last, q, g, norm, inner, keys, values, by_distance, grad_by_distance, skew, last, q_at, reach,
            start, length, key_stride, value_stride, table_distances, scale, scaling, False, D, N,
        )  # fmt: skip
    place = grad_queries + place + (at * heads * D)[:, None] + tl.arange(0, D)
    tl.store(place, (grad_q * scaling).to(grad_queries.dtype.element_ty), mask=inside[:, None])
    grad_last = (grad_last * scaling).to(grad_by_distance.dtype.element_ty)
    tl.store(grad_by_distance + tl.arange(0, M) * columns, grad_last, mask=inside)


@triton.jit
def _key_block(
    grad_k, grad_v, k, v, queries, grad, by_distance, normaliser, inners, k_at, reach, start, length, query_stride,
    grad_stride, distances, columns, scale, FAR: tl.constexpr, D: tl.constexpr, M: tl.constexpr,
):  # fmt: skip
    m = tl.arange(0, M)
    at = start + m
    inside = at < length
    q_at = tl.where(inside, at, -1)
    q = load_tile(queries, at, length, query_stride, D)
    g = load_tile(grad, at, length, grad_stride, D)
    norm = tl.load(normaliser + at, mask=inside, other=0.0)
    inner = tl.load(inners + at, mask=inside, other=0.0)
    by_distance += tl.cast(start, tl.int64) * columns
    last = tl.load(by_distance + m * columns, mask=inside, other=0.0)
    skew = m * (columns - 1) + distances - 1 - start
    near = distance_of(q_at, k_at) < tl.cast(distances, tl.uint32) - 1
    # Keys by queries, as the products below want them.
    added = tl.trans(added_by_distance(by_distance, skew, last, k_at, near, FAR)).to(tl.float32)
    scores = (tl.dot(k, tl.trans(q), input_precision="ieee") + added) * scale
    seen = tl.trans(distance_of(q_at, k_at)) <= reach[:, None]
    weights = tl.exp2(tl.where(seen, scores - norm[None, :], -float("inf")))
    grad_v = tl.dot(weights.to(g.dtype), g, grad_v, input_precision="ieee")
    grad_scores = weights * (tl.dot(v, tl.trans(g), input_precision="ieee") - inner[None, :])
    grad_k = tl.dot(grad_scores.to(q.dtype), q, grad_k, input_precision="ieee")
    return grad_k, grad_v


@triton.jit(do_not_specialize=UNALIGNED)
def backward_keys(
    queries, keys, values, by_distance, last, normaliser, grad, inners, grad_keys, grad_values,
    length, heads, distances, columns, scale, scaling,
    query_row, query_head, query_stride, key_row, key_head, key_stride, value_row, value_head, value_stride,
    D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    row, head, count = row_and_head(heads)
    begin_n = tl.program_id(1) * N
    k_at = begin_n + tl.arange(0, N)
    inside = k_at < length
    k = load_tile(keys + row * key_row + head * key_head, k_at, length, key_stride, D)
    v = load_tile(values + row * value_row + head * value_head, k_at, length, value_stride, D)
    queries += row * query_row + head * query_head
    place = (row * length * heads + head) * D
    grad += place
    normaliser += (row * heads + head) * length
    inners += (row * heads + head) * length
    by_distance += (head * count + row) * length * columns
    end = tl.load(last + row * length + k_at, mask=inside, other=-1)
    reach = tl.maximum(end - k_at, 0).to(tl.uint32)
    stop = tl.max(end, 0) + 1
    far = tl.minimum((begin_n + N + distances - 2 + M - 1) // M * M, stop)
    grad_k = tl.zeros([N, D], tl.float32)
    grad_v = tl.zeros([N, D], tl.float32)
    for start in range(begin_n // M * M, far, M):
        grad_k, grad_v = _key_block(
            grad_k, grad_v, k, v, queries, grad, by_distance, normaliser, inners, k_at, reach, start, length,
            query_stride, heads * D, distances, columns, scale, False, D, M,
        )  # fmt: skip
    for start in range(far, stop, M):
        grad_k, grad_v = _key_block(
            grad_k, grad_v, k, v, queries, grad, by_distance, normaliser, inners, k_at, reach, start, length,
            query_stride, heads * D, distances, columns, scale, True, D, M,
        )  # fmt: skip
    place = place + (k_at * heads * D)[:, None] + tl.arange(0, D)
    tl.store(grad_keys + place, (grad_k * scaling).to(grad_keys.dtype.element_ty), mask=inside[:, None])
    tl.store(grad_values + place, grad_v.to(grad_values.dtype.element_ty), mask=inside[:, None])
