"""A step that a GPU replays as one CUDA graph."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch

SHORT = 32  # steps for which capturing a graph is not worth while


def captured(step: Callable[[], None], pool: Any = None) -> torch.cuda.CUDAGraph:
    """What `step` launches, recorded and not run; its kernels must be loaded, as they are once it has run.

    `pool` is the memory to work in (default: its own).
    """
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # `torch.cuda.graph` would first give back all cached memory
        # Only this thread is watched: where a training is evaluated, others pin the next batches' memory meanwhile.
        graph.capture_begin(pool, capture_error_mode="thread_local")
        try:
            step()
        except BaseException:
            with suppress(RuntimeError):  # or the stream would go on recording what others launch
                graph.capture_end()
            raise
        graph.capture_end()
    torch.cuda.current_stream().wait_stream(stream)
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
