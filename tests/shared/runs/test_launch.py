"""A process knows how it was launched, and ends with its launcher."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.runs import launch

REPOSITORY = Path(__file__).parents[3]
TRAINING = """
import signal, sys, time
from shared.runs.launch import follow_launcher, resuming_command
def stop(*_):
    print("stopped", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, stop)
follow_launcher()
print(resuming_command(), flush=True)
time.sleep(60)
"""
LAUNCHER = "import subprocess, sys; subprocess.Popen([sys.executable, *sys.argv[1:]]).wait()"


@pytest.fixture
def launched(tmp_path):
    """Starts a launcher of a script that waits; returns it and the script's first line."""
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    launchers = []

    def launched(**environment):
        command = [sys.executable, "-c", LAUNCHER, str(script), "--train_file", "my rows.jsonl"]
        path = {"PYTHONPATH": str(REPOSITORY)}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ACCELERATE", "TORCH"))}
        launchers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean | path | environment))
        return launchers[-1], launchers[-1].stdout.readline().strip()

    yield launched
    for launcher in launchers:
        launcher.kill()
        launcher.stdout.close()
        launcher.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_training_stops_when_its_launcher_ends(launched, number):
    launcher, _ = launched(ACCELERATE_MIXED_PRECISION="no")
    launcher.send_signal(number)
    assert launcher.stdout.readline() == "stopped\n"  # and not at its own end, without a word


def test_the_command_that_goes_on_is_the_launchers(launched, tmp_path):
    _, command = launched(ACCELERATE_MIXED_PRECISION="no")
    words = shlex.split(command)
    assert words[1] == "-c" and words[3:] == [
        str(tmp_path / "training.py"), "--train_file", "my rows.jsonl", "--resume_from_checkpoint", "true",
    ]  # fmt: skip
    assert Path(words[0]).name.startswith("python")


def test_the_command_that_goes_on_is_ones_own_without_a_launcher(launched, tmp_path):
    _, command = launched()
    words = shlex.split(command)
    assert words[1:] == [
        str(tmp_path / "training.py"), "--train_file", "my rows.jsonl", "--resume_from_checkpoint", "true",
    ]  # fmt: skip


def test_commands_are_short(tmp_path, monkeypatch):
    for name in ("python", "accelerate"):
        (tmp_path / name).touch(mode=0o755)
    accelerate = [str(tmp_path / "python"), str(tmp_path / "accelerate"), "launch", "recipes/music.py"]
    monkeypatch.setattr(launch, "_command_line", lambda: accelerate)
    assert launch.resuming_command().startswith(f"{tmp_path / 'accelerate'} launch recipes/music.py --resume_from")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch.resuming_command() == "accelerate launch recipes/music.py --resume_from_checkpoint true"
    monkeypatch.setattr(launch, "_command_line", lambda: [*accelerate, "--resume_from_checkpoint", "true"])
    assert launch.resuming_command() == "accelerate launch recipes/music.py --resume_from_checkpoint true"


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, False),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, False),
        ({"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1"}, True),
        ({"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"}, False),
        ({"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "PMI_SIZE": "2"}, False),
        ({"MASTER_ADDR": "127.0.0.1"}, False),
    ],
    ids=str,
)
def test_it_is_told_where_one_process_runs_in_the_place_of_several(monkeypatch, environment, told):
    for name in ("ACCELERATE_MIXED_PRECISION", "MASTER_ADDR", *launch.WORLD):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["recipes/music.py", "--size", "tiny"])
    warning = launch.missing_processes()
    assert (warning is not None) == told
    if told:
        assert warning.endswith("torchrun --nproc_per_node 2 recipes/music.py --size tiny")
