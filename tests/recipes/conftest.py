"""Running recipes as a person does, from the repository's root: in a process of their own, or without its start-up."""

import io
import os
import resource
import runpy
import signal
import subprocess
import sys
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from unittest.mock import patch

import datasets
import pytest
import torch

import tasks.articles.sample
import tasks.translation.sample

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


def process(*command):
    """A command in a process of its own, which must succeed and warn of nothing; its output is text."""
    command = [str(word) for word in command]
    finished = subprocess.run(command, check=False, cwd=REPOSITORY, capture_output=True, text=True, timeout=240)
    assert finished.returncode == 0 and "Warning" not in finished.stderr, finished.stderr
    return finished


@pytest.fixture(scope="session")
def launch():
    """`accelerate launch recipes/NAME.py …`, which must succeed: two processes that take seconds to start."""
    accelerate = [Path(sys.executable).parent / "accelerate", "launch", "--quiet"]
    config = ["--config_file", "recipes/accelerate/one_process.yaml"]
    return lambda name, *flags: process(*accelerate, *config, f"recipes/{name}.py", *flags)


@pytest.fixture(scope="session")
def start():
    """`python recipes/NAME.py …` in a process of its own, which must succeed."""
    return lambda name, *flags: process(sys.executable, f"recipes/{name}.py", *flags)


@pytest.fixture(scope="session", autouse=True)
def samples():
    """The embedded samples are made once: recipes that run in this process read them again and again."""
    with ExitStack() as stack:
        for module in (tasks.articles.sample, tasks.translation.sample):
            stack.enter_context(patch.object(module, "sample", cache(module.sample)))
        yield


@contextmanager
def largest_file(kib):
    """No file may grow larger: what a full disk looks like to a program."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024 if kib else before, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.fixture(scope="session")
def python():
    """The same script in this process, with the arguments, input, output and exit code that it would have there."""

    def python(name, *flags, input="", limit_kib=None):
        script = REPOSITORY / "recipes" / f"{name}.py"
        command = [str(word) for word in (script, *flags)]
        given = io.TextIOWrapper(io.BytesIO(input.encode()), "utf-8")
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        # What an Accelerator has left in this process's environment would say that a launcher started the script.
        alone = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
        code, threads, on_pipe = 0, torch.get_num_threads(), signal.getsignal(signal.SIGPIPE)
        bars = datasets.is_progress_bar_enabled()
        with ExitStack() as stack:
            for context in (
                chdir(REPOSITORY), patch.object(sys, "argv", command), patch.object(sys, "stdin", given),
                patch.dict(os.environ, alone, clear=True), largest_file(limit_kib),
                redirect_stdout(out), redirect_stderr(err),
            ):  # fmt: skip
                stack.enter_context(context)
            try:
                runpy.run_path(str(script), run_name="__main__")
            except SystemExit as end:
                code = end.code or 0
            finally:
                torch.set_num_threads(threads)
                (datasets.enable_progress_bars if bars else datasets.disable_progress_bars)()
                signal.signal(signal.SIGPIPE, on_pipe)
        printed = [stream.buffer.getvalue().decode() for stream in (out, err)]
        return subprocess.CompletedProcess(command, code, *printed)

    return python
