"""How a step is recorded, with a GPU that only notes what it is told."""

import contextlib
from types import SimpleNamespace

import pytest
import torch

from shared.generation.cuda_graph import SHORT, captured, replayed


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """What a graph was told, in order."""
    told = []

    class Graph:
        def capture_begin(self, pool, capture_error_mode):
            told.append(("begin", pool, capture_error_mode))

        def capture_end(self):
            told.append("end")

        def replay(self):
            told.append("replay")

    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    return told


def test_a_step_runs_once_is_recorded_and_then_replayed(told):
    step = replayed(lambda: told.append("step"), torch.device("cuda"), SHORT)
    for _ in range(4):
        step()
    assert told == ["step", ("begin", None, "thread_local"), "step", "end", "replay", "replay", "replay"]


@pytest.mark.parametrize(("device", "times"), [("cpu", SHORT), ("cuda", SHORT - 1)])
def test_what_is_not_worth_recording_just_runs(told, device, times):
    step = replayed(lambda: told.append("step"), torch.device(device), times)
    step()
    step()
    step()
    assert told == ["step"] * 3


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), KeyboardInterrupt()], ids=repr)
def test_a_step_that_fails_ends_its_recording(told, error):
    def step():
        raise error

    with pytest.raises(type(error)):
        captured(step, "pool")
    assert told == [("begin", "pool", "thread_local"), "end"]
