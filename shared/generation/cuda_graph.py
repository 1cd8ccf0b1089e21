"""A step that a GPU replays as one CUDA graph."""

from collections.abc import Callable

import torch

SHORT = 32  # steps for which capturing a graph is not worth while


def replayed(step: Callable[[], None], device: torch.device, times: int) -> Callable[[], None]:
    """`step` itself or, on a GPU, a function that captures it in a CUDA graph at its second call and then replays it.

    `step` takes nothing and changes tensors in place. The first call loads and compiles what the graph will hold;
    `times` is how often it will be called, more or less.
    """
    if device.type != "cuda" or times < SHORT:
        return step
    graph, calls = torch.cuda.CUDAGraph(), 0

    def replay() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            step()
            return
        if calls == 2:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # `torch.cuda.graph` would first give back all cached memory
                graph.capture_begin()
                step()
                graph.capture_end()
            torch.cuda.current_stream().wait_stream(stream)
        graph.replay()

    return replay
