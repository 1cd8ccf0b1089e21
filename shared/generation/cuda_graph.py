"""A step that a GPU replays as one CUDA graph."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from threading import Lock
from typing import Any

import torch

SHORT = 32  # steps for which capturing a graph is not worth while
LEFT = 2**30  # bytes that may stay reserved for recordings which are gone

_one_at_a_time = Lock()  # two on one stream would be one
_held: dict[int, int] = {}  # by GPU: bytes that are reserved and free, and cannot be given back: living recordings'


@cache
def _stream(device: int) -> torch.cuda.Stream:
    """Where all recordings are made on a GPU: PyTorch keeps 32 MiB of cuBLAS's for every stream that multiplied."""
    return torch.cuda.Stream(device)


def _give_back(device: int) -> None:
    """Give back what recordings which are gone have reserved, where that is much."""
    free = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    _held[device] = min(free, _held.get(device, 0))
    if free - _held[device] > LEFT:
        torch.cuda.empty_cache()
        _held[device] = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def captured(step: Callable[[], None], pool: Any = None) -> torch.cuda.CUDAGraph:
    """What `step` launches, recorded and not run; its kernels must be loaded, as they are once it has run.

    `pool` is the memory to work in (default: its own). What is recorded on one GPU shares cuBLAS's memory: two
    recordings must not be replayed at once, on two streams.
    """
    graph, device, current = torch.cuda.CUDAGraph(), torch.cuda.current_device(), torch.cuda.current_stream()
    with _one_at_a_time, torch.cuda.stream(stream := _stream(device)):
        stream.wait_stream(current)
        _give_back(device)  # `torch.cuda.graph` would give back all that is free, each time
        # Only this thread is watched: where a training is evaluated, others pin the next batches' memory meanwhile.
        graph.capture_begin(pool, capture_error_mode="thread_local")
        try:
            step()
        except BaseException:
            with suppress(RuntimeError):  # or the stream would go on recording what others launch
                graph.capture_end()
            raise
        graph.capture_end()
        current.wait_stream(stream)
    return graph


def replayed(step: Callable[[], None], device: torch.device, times: int) -> Callable[[], None]:
    """`step` itself or, on a GPU, a function that captures it in a CUDA graph at its second call and then replays it.

    `step` takes nothing and changes tensors in place. The first call loads and compiles what the graph will hold;
    `times` is how often it will be called, more or less.
    """
    if device.type != "cuda" or times < SHORT:
        return step
    graph: torch.cuda.CUDAGraph | None = None
    loaded = False

    def replay() -> None:
        nonlocal graph, loaded
        if not loaded:
            loaded = True
            step()
            return
        if graph is None:
            graph = captured(step)
        graph.replay()

    return replay
