"""A command loads what it uses: names of modules, since seconds differ from machine to machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasks import TASKS
from tests.onedecoder.conftest import new_run

REPOSITORY = Path(__file__).parent.parent
# A command line in its first words; then the modules of these packages that it leaves loaded.
LOADED = """
import runpy, sys
script, sought, *sys.argv = sys.argv[1], sys.argv[2].split(","), *sys.argv[1:2], *sys.argv[3:]
try:
    runpy.run_path(script, run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print("loaded:", *(name for name in sought if name in sys.modules))
"""


def loaded(sought, script, *arguments):
    """Which of the modules `sought` are loaded once the script has run."""
    command = [sys.executable, "-c", LOADED, script, ",".join(sought), *arguments]
    done = subprocess.run(
        command, cwd=REPOSITORY, env={"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_help_needs_no_torch():
    assert not loaded(["torch", "numpy.testing", "datasets"], "recipes/generate.py", "--help")
    assert not loaded(["torch", "datasets"], "onedecoder/commands.py", "--help")
    assert not loaded(["torch", "datasets"], "recipes/listen.py", "--help")
    assert not loaded(["torch", "datasets"], "recipes/play.py", "--help")


def test_writing_text_needs_nothing_that_trains_reads_data_or_plays_music(tmp_path):
    run = new_run(tmp_path / "run", "translation")
    unused = ["datasets", "evaluate", "matplotlib", "miditok", "nltk", "pandas", "peft"]
    unused += ["rouge_score", "sacrebleu", "sklearn", "symusic", "transformers.trainer", "tasks.music"]
    found = loaded(["torch", *unused], "recipes/generate.py", str(run), "A dog.", "--max_new_tokens", "2")
    assert found == {"torch"}


def test_tasks_go_by_their_own_names():
    assert list(TASKS) == [TASKS[name].name for name in TASKS] and len(TASKS) == 5
    with pytest.raises(KeyError):
        TASKS["dancing"]
