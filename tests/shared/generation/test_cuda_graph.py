"""How a step is recorded, with a GPU that only notes what it is told."""

import contextlib
from types import SimpleNamespace

import pytest
import torch

from shared.generation import cuda_graph
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
    cuda_graph._stream.cache_clear()
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: told.append(f"stream on {device}") or stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    yield told
    cuda_graph._stream.cache_clear()


def test_a_step_runs_once_is_recorded_and_then_replayed(told):
    step = replayed(lambda: told.append("step"), torch.device("cuda"), SHORT)
    for _ in range(4):
        step()
    recording = ["stream on 1", ("begin", None, "thread_local"), "step", "end"]
    assert told == ["step", *recording, "replay", "replay", "replay"]


def test_all_recordings_of_a_gpu_are_made_on_one_stream(told):
    for _ in range(3):
        captured(lambda: None)
    assert told.count("stream on 1") == 1


def test_what_recordings_that_are_gone_have_reserved_is_given_back(told, monkeypatch):
    monkeypatch.setattr(cuda_graph, "LEFT", 10)
    monkeypatch.setattr(cuda_graph, "_held", {})
    living, gone, found = 0, 0, []

    def empty_cache():
        nonlocal gone
        gone = 0
        found.append("given back")

    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 + living + gone)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 3)
    monkeypatch.setattr(torch.cuda, "empty_cache", empty_cache)
    for living, more in [(0, 10), (0, 1), (30, 0), (30, 0), (30, 9), (30, 2), (0, 0), (0, 5), (0, 6)]:
        gone += more
        captured(lambda: None)
        found.append((living, gone))
    assert found == [
        *((0, 10), "given back", (0, 0)),
        *("given back", (30, 0), (30, 0), (30, 9), "given back", (30, 0)),  # what the living hold is asked for once
        *((0, 0), (0, 5), "given back", (0, 0)),
    ]


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
    assert told[1:] == [("begin", "pool", "thread_local"), "end"]
