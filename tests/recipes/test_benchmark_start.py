"""How long a recipe takes to start, measured."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from recipes.benchmarks import start
from shared.errors import UserError

CPU = torch.device("cpu")


def test_a_start_is_measured_twice_with_the_same_caches(monkeypatch):
    launched = []

    def launch(command, env, **_):
        caches = {env[name] for name in start.CACHES}
        launched.append((command, caches, any(Path(cache).exists() for cache in caches)))
        for cache in caches:
            Path(cache).mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(start.subprocess, "run", launch)
    notes = [result["note"] for result in start.start_results(start.StartCases(), CPU)]
    assert notes == ["nothing cached", "the second time"]
    (command, caches, filled), (again, same, refilled) = launched
    assert command == again and caches == same and (filled, refilled) == (False, True)
    next(start.start_results(start.StartCases(start_by="accelerate"), CPU))
    assert launched[-1][0][1:3] == ["-m", "accelerate.commands.launch"] and command[1] in launched[-1][0]
    with pytest.raises(UserError, match=r"--start_by mpirun: choose one of python, accelerate"):
        start.StartCases(start_by="mpirun").check()
    failed = SimpleNamespace(returncode=2, stderr="a\nerror: no disk\n")
    monkeypatch.setattr(start.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError, match=r"translation\.py did not start: error: no disk"):
        next(start.start_results(start.StartCases(), CPU))
