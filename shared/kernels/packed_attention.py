"""Causal attention over packed rows on a CPU that skips what no query sees, as C++ compiled for the processor.

Of rows of 128 tokens that hold lines of twenty, a twelfth of all scores is seen. PyTorch's own attention takes a mask
for the others and computes them all. It runs where there is no compiler, and where nearly half of the scores are seen:
those it computes faster.
"""

import ctypes
import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from shared.kernels.cpp import NUMBER, POINTER, WIDEST, NotCompiledError, library

SOURCE = Path(__file__).with_suffix(".cpp")
MOST = 0.4  # of a row's scores


class _Heads(ctypes.Structure):
    _fields_ = [
        *((name, POINTER) for name in ("query", "key", "value")),
        *((name, NUMBER) for name in ("row", "head", "place")),
        ("first", POINTER),
        *((name, NUMBER) for name in ("rows", "heads", "length")),
        ("scaling", ctypes.c_float),
    ]


def why_not(
    position_ids: Tensor, device: torch.device, dtype: torch.dtype, width: int, dropout: float, compiled: bool
) -> str | None:
    """Why this form does not apply to rows [B, T] whose positions restart with every sequence, or None if it does."""
    if device.type != "cpu":
        return "it is for a CPU"
    reasons = {
        "it computes in float32": dtype != torch.float32 or torch.is_autocast_enabled("cpu"),
        "dropout of attention weights": dropout > 0,
        "torch.compile, which does not see into it": compiled,
        f"heads {width} wide, no multiple of {WIDEST}": width % WIDEST > 0,
        "rows of long sequences": (position_ids + 1).sum() > MOST * position_ids.numel() * position_ids.shape[1],
    }
    if reason := next((reason for reason, met in reasons.items() if met), None):
        return reason
    made = _compiled(width)
    return made if isinstance(made, str) else None


@functools.cache
def _compiled(width: int) -> ctypes.CDLL | str:
    """The library for heads so wide, or why there is none."""
    try:
        made = library(SOURCE, HEAD_WIDTH=width)
    except NotCompiledError as error:
        return str(error)
    made.attend.argtypes, made.attend.restype = (POINTER, NUMBER, POINTER, POINTER), None
    made.attend_backward.argtypes, made.attend_backward.restype = (POINTER, NUMBER, *(POINTER,) * 4), None
    return made


def attention(query: Tensor, key: Tensor, value: Tensor, first: Tensor, scaling: float) -> Tensor:
    """Attention of `query` [B, H, T, W] over `key` and `value` [B, H, T, W] as [B, T, H, W].

    A query sees the places from its `first`, int32 [B, T], to itself.
    """
    return _PackedAttention.apply(query, key, value, first, scaling)


class _PackedAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, first: Tensor, scaling: float) -> Tensor:
        rows, heads, length, width = query.shape
        if len({tensor.stride() for tensor in (query, key, value)}) > 1 or query.stride(3) != 1:
            query, key, value = (tensor.contiguous() for tensor in (query, key, value))
        first = first.contiguous()
        mixed = query.new_empty(rows, length, heads, width)
        logs = query.new_empty(rows, heads, length)
        ctx.scaling, ctx.threads = scaling, min(torch.get_num_threads(), rows * heads)
        ctx.save_for_backward(query, key, value, first, mixed, logs)
        _library(width).attend(
            _heads(query, key, value, first, scaling), ctx.threads, mixed.data_ptr(), logs.data_ptr()
        )
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, first, mixed, logs = ctx.saved_tensors
        rows, heads, length, width = query.shape
        grads = query.new_empty(rows, length, 3, heads, width)
        given = mixed, logs, grad.contiguous(), grads
        _library(width).attend_backward(
            _heads(query, key, value, first, ctx.scaling), ctx.threads, *(tensor.data_ptr() for tensor in given)
        )
        return *grads.permute(2, 0, 3, 1, 4).unbind(), None, None


def _library(width: int) -> ctypes.CDLL:
    made = _compiled(width)
    assert not isinstance(made, str), made
    return made


def _heads(query: Tensor, key: Tensor, value: Tensor, first: Tensor, scaling: float) -> Any:
    rows, heads, length, _ = query.shape
    row, head, place, _ = query.stride()
    pointers = [tensor.data_ptr() for tensor in (query, key, value)]
    return ctypes.byref(_Heads(*pointers, row, head, place, first.data_ptr(), rows, heads, length, scaling))
