"""Launching recipes as a person does: a process of its own, from the repository's root."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
QUICK = [
    "--size=tiny",
    "--max_steps=3",
    "--max_train_samples=40",
    "--max_eval_samples=4",
    "--max_predict_samples=4",
    "--max_new_tokens=8",
    "--logging_steps=1",
    "--disable_tqdm=true",
]


@pytest.fixture(scope="session")
def run():
    """Run a recipe; returns the finished process, whose output is text."""

    def run(*command, limit_kib=None, **options):
        command = [str(word) for word in command]
        if limit_kib:  # no file may grow larger: what a full disk looks like to a program
            command = ["bash", "-c", f'ulimit -f {limit_kib}; exec "$@"', "bash", *command]
        return subprocess.run(
            command, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, **options
        )

    return run


@pytest.fixture(scope="session")
def python(run):
    """`python recipes/NAME.py …`"""
    return lambda name, *flags, **options: run(sys.executable, f"recipes/{name}.py", *flags, **options)


@pytest.fixture(scope="session")
def launch(run):
    """`accelerate launch recipes/NAME.py …`, which must succeed."""

    def launch(name, *flags):
        accelerate = [Path(sys.executable).parent / "accelerate", "launch", "--quiet"]
        config = ["--config_file", "recipes/accelerate/one_process.yaml"]
        finished = run(*accelerate, *config, f"recipes/{name}.py", *flags)
        assert finished.returncode == 0, finished.stderr
        return finished

    return launch
