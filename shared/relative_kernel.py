"""Causal attention with relative positions (Huang et al. 2018), without its scores in memory: Triton kernels.

As FlashAttention-2 (Dao 2023) they go through the keys block by block and keep a running softmax. What distances add
comes out of one product of all queries with the embeddings of all distances: the kernels read it where query and
distance stand, which is the skewing of "Music Transformer", section 3.4.1, and write its gradient there.
"""

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

WIDTHS = (16, 32, 64, 128)  # of heads
SIZES = ("length", "heads", "distances", "columns")  # by which no access is aligned: one kernel serves all of them
LOG2E = 1.4426950408889634


@triton.jit
def _tile(place, at, length, stride, D: tl.constexpr):
    """Tokens `at` [N] of one head [length, D], zeros after the last."""
    return tl.load(place + at[:, None] * stride + tl.arange(0, D), mask=at[:, None] < length, other=0.0)


@triton.jit
def _distance(q_at, k_at):
    """From queries [M] back to keys [N], as [M, N]; to later keys it is larger than any."""
    return (q_at[:, None] - k_at[None, :]).to(tl.uint32, bitcast=True)


@triton.jit
def _added(by_distance, skew, last, k_at, near, FAR: tl.constexpr):
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
    k = _tile(keys, k_at, length, key_stride, D)
    v = _tile(values, k_at, length, value_stride, D)
    distance = _distance(q_at, k_at)
    added = _added(by_distance, skew, last, k_at, distance < distances - 1, FAR).to(tl.float32)
    scores = (tl.dot(q, tl.trans(k), input_precision="ieee") + added) * scale
    scores = tl.where(distance <= reach[:, None], scores, -float("inf"))
    highest = tl.maximum(top, tl.max(scores, 1))
    shrink = tl.exp2(top - highest)
    weights = tl.exp2(scores - highest[:, None])
    mass = mass * shrink + tl.sum(weights, 1)
    mean = tl.dot(weights.to(v.dtype), v, mean * shrink[:, None], input_precision="ieee")
    return mean, highest, mass


@triton.jit
def _row_and_head(heads):
    """Of this program, and how many rows there are."""
    row, head = (tl.program_id(0) // heads).to(tl.int64), (tl.program_id(0) % heads).to(tl.int64)
    return row, head, tl.num_programs(0) // heads


@triton.jit
def _queries(length, M: tl.constexpr):
    """This program's M queries: the first, all, which are in the row, and all with -1 past its end."""
    begin_m = (tl.num_programs(1) - 1 - tl.program_id(1)) * M  # those that see most come first
    at = begin_m + tl.arange(0, M)
    inside = at < length
    return begin_m, at, inside, tl.where(inside, at, -1)  # what is past the end sees nothing


@triton.jit
def _seen(by_distance, first, begin_m, at, inside, distances, columns, M: tl.constexpr, N: tl.constexpr):
    """What M queries see: by the last distance, where their scores are, how far back, from which key on, near ones."""
    m = tl.arange(0, M)
    last = tl.load(by_distance + m * columns, mask=inside, other=0.0)
    skew = m * (columns - 1) + distances - 1 - begin_m  # with the key added: where query and key have their score
    begin = tl.load(first + at, mask=inside, other=2**30)
    reach = tl.maximum(at - begin, 0).to(tl.uint32)
    lowest = tl.min(begin, 0) // N * N
    near = tl.maximum(lowest, tl.maximum(begin_m - distances + 2, 0) // N * N)
    return last, skew, reach, lowest, near, tl.cast(distances, tl.uint32)


@triton.jit(do_not_specialize=SIZES)
def _forward(
    queries, keys, values, by_distance, first, mixed, normaliser, length, heads, distances, columns, scale,
    query_row, query_head, query_stride, key_row, key_head, key_stride, value_row, value_head, value_stride,
    D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    row, head, count = _row_and_head(heads)
    begin_m, at, inside, q_at = _queries(length, M)
    q = _tile(queries + row * query_row + head * query_head, at, length, query_stride, D)
    keys += row * key_row + head * key_head
    values += row * value_row + head * value_head
    by_distance += ((head * count + row) * length + begin_m) * columns
    last, skew, reach, lowest, near, table_distances = _seen(
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


@triton.jit
def _query_block(
    grad_q, grad_last, q, g, norm, inner, keys, values, by_distance, grad_by_distance, skew, last, q_at, reach, start,
    length, key_stride, value_stride, distances, scale, scaling,
    FAR: tl.constexpr, D: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    k_at = start + tl.arange(0, N)
    k = _tile(keys, k_at, length, key_stride, D)
    v = _tile(values, k_at, length, value_stride, D)
    distance = _distance(q_at, k_at)
    near = distance < distances - 1
    added = _added(by_distance, skew, last, k_at, near, FAR).to(tl.float32)
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


@triton.jit(do_not_specialize=SIZES)
def _backward_queries(
    queries, keys, values, by_distance, first, mixed, normaliser, grad, inners, grad_queries, grad_by_distance,
    length, heads, distances, columns, scale, scaling,
    query_row, query_head, query_stride, key_row, key_head, key_stride, value_row, value_head, value_stride,
    D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    row, head, count = _row_and_head(heads)
    begin_m, at, inside, q_at = _queries(length, M)
    q = _tile(queries + row * query_row + head * query_head, at, length, query_stride, D)
    keys += row * key_row + head * key_head
    values += row * value_row + head * value_head
    place = (row * length * heads + head) * D
    g = _tile(grad + place, at, length, heads * D, D)
    out = _tile(mixed + place, at, length, heads * D, D)
    inner = tl.sum(g.to(tl.float32) * out.to(tl.float32), 1)
    scalars = (row * heads + head) * length + at
    tl.store(inners + scalars, inner, mask=inside)  # for the keys' turn
    norm = tl.load(normaliser + scalars, mask=inside, other=0.0)
    by_distance += ((head * count + row) * length + begin_m) * columns
    grad_by_distance += ((head * count + row) * length + begin_m) * columns
    last, skew, reach, lowest, near, table_distances = _seen(
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
    q = _tile(queries, at, length, query_stride, D)
    g = _tile(grad, at, length, grad_stride, D)
    norm = tl.load(normaliser + at, mask=inside, other=0.0)
    inner = tl.load(inners + at, mask=inside, other=0.0)
    by_distance += tl.cast(start, tl.int64) * columns
    last = tl.load(by_distance + m * columns, mask=inside, other=0.0)
    skew = m * (columns - 1) + distances - 1 - start
    near = _distance(q_at, k_at) < tl.cast(distances, tl.uint32) - 1
    # Keys by queries, as the products below want them.
    added = tl.trans(_added(by_distance, skew, last, k_at, near, FAR)).to(tl.float32)
    scores = (tl.dot(k, tl.trans(q), input_precision="ieee") + added) * scale
    seen = tl.trans(_distance(q_at, k_at)) <= reach[:, None]
    weights = tl.exp2(tl.where(seen, scores - norm[None, :], -float("inf")))
    grad_v = tl.dot(weights.to(g.dtype), g, grad_v, input_precision="ieee")
    grad_scores = weights * (tl.dot(v, tl.trans(g), input_precision="ieee") - inner[None, :])
    grad_k = tl.dot(grad_scores.to(q.dtype), q, grad_k, input_precision="ieee")
    return grad_k, grad_v


@triton.jit(do_not_specialize=SIZES)
def _backward_keys(
    queries, keys, values, by_distance, last, normaliser, grad, inners, grad_keys, grad_values,
    length, heads, distances, columns, scale, scaling,
    query_row, query_head, query_stride, key_row, key_head, key_stride, value_row, value_head, value_stride,
    D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    row, head, count = _row_and_head(heads)
    begin_n = tl.program_id(1) * N
    k_at = begin_n + tl.arange(0, N)
    inside = k_at < length
    k = _tile(keys + row * key_row + head * key_head, k_at, length, key_stride, D)
    v = _tile(values + row * value_row + head * value_head, k_at, length, value_stride, D)
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


def _blocks(query: Tensor, queries: int, keys: int) -> dict[str, int | None]:
    """A kernel's tiles, of `queries` by `keys`: small, as what is read by distance waits in registers."""
    if query.dtype == torch.float32:
        return {"M": 16, "N": 16, "num_warps": 4, "num_stages": 1}
    wide = query.shape[3] > 64
    return {"M": queries, "N": keys, "num_warps": 8 if wide else 4, "num_stages": 2, "maxnreg": 128 if wide else 168}


def _strides(*tensors: Tensor) -> list[int]:
    return [stride for tensor in tensors for stride in tensor.stride()[:3]]


def _with_rows(*tensors: Tensor) -> list[Tensor]:
    return [tensor if tensor.stride(-1) == 1 else tensor.contiguous() for tensor in tensors]


@torch.library.custom_op("onedecoder::relative_attention", mutates_args=())
def _attention(
    query: Tensor, key: Tensor, value: Tensor, by_distance: Tensor, first: Tensor, last: Tensor, distances: int,
    scaling: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    query, key, value = _with_rows(query, key, value)
    by_distance = by_distance.contiguous()
    rows, heads, length, width = query.shape
    mixed, normaliser = _outputs(query)
    blocks = _blocks(query, 64, 32)
    _forward[(rows * heads, triton.cdiv(length, blocks["M"]))](
        query, key, value, by_distance, first, mixed, normaliser, length, heads, distances, by_distance.shape[2],
        scaling * LOG2E, *_strides(query, key, value), D=width, **blocks,
    )  # fmt: skip
    return mixed, normaliser


@_attention.register_fake
def _(query, key, value, by_distance, first, last, distances, scaling):
    return _outputs(query)


def _outputs(query: Tensor) -> tuple[Tensor, Tensor]:
    """What comes out, [B, T, H, W], and the base-2 logarithms of the softmax's denominators, [B, H, T]."""
    rows, heads, length, width = query.shape
    return query.new_empty(rows, length, heads, width), query.new_empty(rows, heads, length, dtype=torch.float32)


@torch.library.custom_op("onedecoder::relative_attention_backward", mutates_args=())
def _attention_backward(
    query: Tensor, key: Tensor, value: Tensor, by_distance: Tensor, first: Tensor, last: Tensor, mixed: Tensor,
    normaliser: Tensor, grad: Tensor, distances: int, scaling: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    query, key, value = _with_rows(query, key, value)
    by_distance = by_distance.contiguous()
    rows, heads, length, width = query.shape
    grad, columns = grad.contiguous(), by_distance.shape[2]
    grad_query, grad_key, grad_value = (torch.empty_like(mixed) for _ in range(3))
    grad_by_distance, inners = torch.zeros_like(by_distance), torch.empty_like(normaliser)
    numbers = (length, heads, distances, columns, scaling * LOG2E, scaling, *_strides(query, key, value))
    blocks = _blocks(query, 64, 32)
    _backward_queries[(rows * heads, triton.cdiv(length, blocks["M"]))](
        query, key, value, by_distance, first, mixed, normaliser, grad, inners, grad_query, grad_by_distance, *numbers,
        D=width, **blocks,
    )  # fmt: skip
    blocks = _blocks(query, 32, 64)
    _backward_keys[(rows * heads, triton.cdiv(length, blocks["N"]))](
        query, key, value, by_distance, last, normaliser, grad, inners, grad_key, grad_value, *numbers,
        D=width, **blocks,
    )  # fmt: skip
    return grad_query, grad_key, grad_value, grad_by_distance


@_attention_backward.register_fake
def _(query, key, value, by_distance, first, last, mixed, normaliser, grad, distances, scaling):
    return *(torch.empty_like(mixed) for _ in range(3)), torch.empty_like(by_distance)


def _save(ctx, inputs, output) -> None:
    *tensors, ctx.distances, ctx.scaling = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.set_materialize_grads(False)


def _differentiate(ctx, grad, _):
    if grad is None:
        return (None,) * 8
    gradients = _attention_backward(*ctx.saved_tensors, grad, ctx.distances, ctx.scaling)
    return *(gradient.transpose(1, 2) for gradient in gradients[:3]), gradients[3], None, None, None, None


_attention.register_autograd(_differentiate, setup_context=_save)


def relative_attention(
    query: Tensor, key: Tensor, value: Tensor, relative: Tensor, first: Tensor, last: Tensor, scaling: float
) -> Tensor:
    """Causal attention of `query` over `key` and `value`, [B, H, T, W] each, as [B, T, H, W].

    `relative` [H, M, W] are embeddings of distances, the last for all that are larger. A query sees the keys from
    `first` [B, T] to itself; a key is seen by the queries from itself to `last` [B, T].
    """
    distances = min(relative.shape[1], query.shape[2])
    # From the last distance to 0, so that keys stand in their order; padded to 16 bytes, which the matrix units want.
    embeddings = F.pad(relative[:, :distances].flip(1).to(query.dtype), (0, 0, 0, -distances % 8))
    by_distance = query.transpose(0, 1).flatten(1, 2) @ embeddings.transpose(1, 2)  # [H, B * T, M]
    return _attention(query, key, value, by_distance, first, last, distances, scaling)[0]
