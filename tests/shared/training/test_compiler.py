"""The compiler is loaded beside the data, and random numbers stay as they are."""

import random
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

from shared.training import compiler
from shared.training.compiler import compiler_beside


def training(compiles, device="cuda"):
    return SimpleNamespace(torch_compile=compiles, device=torch.device(device))


def test_it_is_there_at_the_end_and_drew_nothing(monkeypatch):
    monkeypatch.setenv("TORCH_WARM_POOL", "0")  # no processes for a test
    before = torch.random.get_rng_state(), random.getstate()
    with compiler_beside(training(True)):
        pass
    assert "torch._inductor.compile_fx" in sys.modules
    assert (torch.random.get_rng_state() == before[0]).all() and random.getstate() == before[1]


def test_without_compilation_nothing_is_loaded_and_an_error_within_is_the_only_one(monkeypatch, capfd):
    monkeypatch.setattr(compiler, "import_module", pytest.fail)
    for idle in (training(False), training(True, "cpu")):
        with compiler_beside(idle):
            pass
    broken = threading.Event()

    def fail(name):
        broken.set()
        raise ImportError(name)

    monkeypatch.setattr(compiler, "import_module", fail)
    with pytest.raises(KeyError, match="data"), compiler_beside(training(True)):
        raise KeyError("data")
    assert broken.is_set() and capfd.readouterr().err == ""
