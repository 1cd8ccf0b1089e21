"""Trainings in processes of their own, forked from this one: no second is lost on imports before a kill.

`make test-faults` does everything as often as it says; `make test` only a few of each.
"""

import os
import signal
import sys
import time
import traceback
from itertools import count
from pathlib import Path

import pytest
import torch

from shared.runs.cli import run
from shared.runs.pipeline import train
from tests.conftest import Copying

NUMBERS = count()
FULL = os.environ.get("FAULTS") == "full"
SETTINGS = {
    "size": "tiny",
    "config_overrides": "n_layer=2,n_embd=32",
    "vocab_size": 290,
    "max_length": 32,
    "dropout": 0.1,
    "learning_rate": 1e-2,
    "max_steps": 12,
    "save_steps": 2,
    "save_strategy": "steps",
    "eval_strategy": "no",
    "ema_decay": 0.9,
    "max_new_tokens": 8,
    "logging_steps": 4,
    "use_cpu": "true",
    "disable_tqdm": "true",
}


def cases(full: int, short: int) -> range:
    """The numbers of the cases to try."""
    return range(full if FULL else short)


class Child:
    """A forked process that does `work`; what it prints goes to a file, and its exit code is a recipe's."""

    def __init__(self, work, output: Path):
        if torch.cuda.is_initialized():
            pytest.skip("a process that has used a GPU cannot fork a training: CUDA_VISIBLE_DEVICES= make test-faults")
        self.output = output
        output.touch()
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            descriptor = os.open(output, os.O_WRONLY)
            for stream in (1, 2):
                os.dup2(descriptor, stream)
            sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
            work()
            code = 0
        except SystemExit as error:
            code = error.code
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def running(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def end(self) -> int:
        """Its exit code, or the negative number of the signal that killed it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def printed(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")


def training(folder: Path, *flags: str, before=lambda: None, log: Path | None = None, **settings) -> Child:
    """A training of the toy task into `folder`; `before` is called in its process, `log` is where it prints to."""
    log = log or folder.parent
    config = log / "config.yaml"
    config.write_text("{}")
    given = [f"--{name}={value}" for name, value in {**SETTINGS, **settings, "output_dir": folder}.items()]

    def work():
        sys.argv = ["recipe.py", f"--config={config}", *given, *flags]
        before()
        run(lambda arguments: train(Copying, arguments))

    return Child(work, log / f"{next(NUMBERS)}.log")


def finish(folder: Path, **settings) -> None:
    """Bring a run to its end as a person does who reads what is printed."""
    child = training(folder, "--resume_from_checkpoint=true", **settings)
    code = child.end()
    if code == 2 and "holds no complete checkpoint" in child.printed():
        child = training(folder, "--overwrite_output_dir", **settings)
        code = child.end()
    assert code == 0, child.printed()
    assert not list(folder.rglob(".*")), "left behind"


def in_one_line(printed: str) -> str:
    """The last line, which says what is wrong; nothing that looks like a traceback stands before it."""
    assert "Traceback" not in printed, printed
    return printed.strip().splitlines()[-1]


def wait_for(condition, seconds: float = 60) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds
        time.sleep(0.01)
