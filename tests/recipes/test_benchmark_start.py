"""How long a recipe takes to start, measured."""

import sys
import time
from pathlib import Path

import pytest
import torch

from recipes.benchmarks import start
from shared.errors import UserError

CPU = torch.device("cpu")
STEP = "import time; print('loading'); print({'loss': '1.5'}, flush=True); time.sleep(0.5)"


@pytest.fixture
def launched(monkeypatch):
    """What was launched, with its caches and whether any was there; and whose `script` runs in its place."""
    found, popen = [], start.subprocess.Popen

    def launch(command, env, **settings):
        caches = {env[name] for name in start.CACHES}
        found.append((command, caches, any(Path(cache).exists() for cache in caches)))
        for cache in caches:
            Path(cache).mkdir(exist_ok=True)
        return popen([sys.executable, "-c", launch.script], env=env, **settings)

    launch.script = STEP
    monkeypatch.setattr(start.subprocess, "Popen", launch)
    return found, launch


def test_a_start_is_measured_twice_with_the_same_caches(launched):
    found, _ = launched
    begun = time.perf_counter()
    results = list(start.start_results(start.StartCases(), CPU))
    elapsed = time.perf_counter() - begun
    assert sum(result["first_call_s"] for result in results) < elapsed - 0.1, "the end does not count"
    assert [result["note"] for result in results] == ["nothing cached", "the second time"]
    (command, caches, filled), (again, same, refilled) = found
    assert command == again and caches == same and (filled, refilled) == (False, True)
    next(start.start_results(start.StartCases(start_by="accelerate"), CPU))
    assert found[-1][0][1:3] == ["-m", "accelerate.commands.launch"] and command[1] in found[-1][0]
    with pytest.raises(UserError, match=r"--start_by mpirun: choose one of python, accelerate"):
        start.StartCases(start_by="mpirun").check()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; print('a', file=sys.stderr); sys.exit('error: no disk')", "error: no disk"),
        ("print('no step')", "no step"),
        ("", "it said nothing"),
    ],
)
def test_a_recipe_that_does_not_start_is_an_error(launched, script, said):
    launched[1].script = script
    with pytest.raises(UserError, match=rf"translation\.py did not start: {said}"):
        next(start.start_results(start.StartCases(), CPU))
