"""Threads: the user's number counts, a container's quota holds."""

import os
import sys

import pytest

from shared import threads
from shared.threads import processors, settle_threads


def group(folder, quota):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.max").write_text(quota + "\n")


@pytest.fixture
def cores(monkeypatch):
    """Eight CPUs to run on."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def test_processors_are_those_of_the_least_quota(cores, tmp_path):
    assert processors(tmp_path, "/") == 8  # no control groups
    group(tmp_path / "a" / "b", "max 100000")
    assert processors(tmp_path, "/a/b") == 8
    group(tmp_path / "a", "350000 100000")
    assert processors(tmp_path, "/a/b") == 3
    group(tmp_path / "a" / "b", "50000 100000")
    assert processors(tmp_path, "/a/b") == 1
    assert processors(tmp_path, "/elsewhere") == 8


def test_processes_are_spawned_within_the_quota(cores, monkeypatch):
    made = []
    pool = lambda count, mp_context: made.append((count, mp_context.get_start_method()))  # noqa: E731
    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", pool)
    for allowed in (3, 99):
        monkeypatch.setattr(threads, "processors", lambda allowed=allowed: allowed)
        threads.spawned_pool()
    assert made == [(3, "spawn"), (8, "spawn")]


@pytest.fixture
def set_threads(monkeypatch):
    """The number of threads that is set, or None; said by the environment given, with a quota of two CPUs."""

    def set_threads(environment, by_launcher=False):
        for name in ("OMP_NUM_THREADS", "WORLD_SIZE", "ACCELERATE_MIXED_PRECISION"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        found = []
        monkeypatch.setattr(threads, "processors", lambda: 2)
        monkeypatch.setattr(sys.modules["torch"], "set_num_threads", found.append)
        if by_launcher is not None:
            monkeypatch.setattr(threads, "_set_by_launcher", lambda: by_launcher)
        settle_threads()
        assert os.environ.get("OMP_NUM_THREADS") == (str(found[0]) if found else environment.get("OMP_NUM_THREADS"))
        return found[0] if found else None

    return set_threads


def test_the_users_number_stands(cores, set_threads):
    assert set_threads({"OMP_NUM_THREADS": "1"}) is None
    assert set_threads({"OMP_NUM_THREADS": "1", "WORLD_SIZE": "2"}, by_launcher=True) is None  # ranks share the cores


def test_a_launchers_number_gives_way_to_the_quota(cores, set_threads):
    assert set_threads({"OMP_NUM_THREADS": "1"}, by_launcher=True) == 2
    assert set_threads({}) == 2  # PyTorch itself would take eight


def test_without_a_quota_pytorch_chooses(set_threads, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert set_threads({}) is None


@pytest.mark.parametrize(
    ("command", "environment", "expected"),
    [
        ("accelerate launch recipe.py", "HOME=/", True),
        ("accelerate launch recipe.py", "OMP_NUM_THREADS=1", False),
        ("accelerate launch --num_cpu_threads_per_process 1 recipe.py", "HOME=/", False),
        ("accelerate launch --num-cpu-threads-per-process=1 recipe.py", "HOME=/", False),
    ],
)
def test_whose_number_it_is(command, environment, expected, tmp_path, monkeypatch):
    (tmp_path / "cmdline").write_text(command.replace(" ", "\0"))
    (tmp_path / "environ").write_text(environment)
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert threads._set_by_launcher(tmp_path) is expected
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION")
    assert threads._set_by_launcher(tmp_path) is False
