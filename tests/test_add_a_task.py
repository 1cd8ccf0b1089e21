"""A task is added by a folder, a line and a configuration, as docs/architecture.md says; nothing else is changed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
ROOMS = ("onedecoder", "shared", "tasks", "recipes", "tests")

FOLDER = {
    "__init__.py": "from tasks.reversal.task import Reversal as Reversal\n",
    "task.py": '''
"""Words in reverse order: `one two three <|reverse|> three two one <|endoftext|>`."""

from itertools import permutations
from random import Random

from shared.data.arguments import TextDataArguments
from shared.data.loading import clean_text, convert_rows, load_text_rows
from shared.text_task import TextTask

WORDS = ("one", "two", "three", "four", "five")


class Reversal(TextTask):
    """Some words in, the same words from the last to the first out; rows hold them in a column `words`."""

    name = "reversal"
    Arguments = TextDataArguments
    separator = "<|reverse|>"
    separator_words = "in reverse:"
    line = "words … <|reverse|> words … <|endoftext|>"
    output_metrics = ("exact",)

    @classmethod
    def load_rows(cls, arguments):
        return load_text_rows(arguments, cls._sample, lambda rows: convert_rows(rows, cls._row, ["words"]))

    @staticmethod
    def _sample():
        rows = [{"words": " ".join(words)} for words in permutations(WORDS)]
        Random(0).shuffle(rows)
        return {"train": rows[:100], "test": rows[100:]}

    @staticmethod
    def _row(row):
        if "words" not in row:
            raise ValueError(f"there is no column 'words'; found: {', '.join(row)}")
        words = clean_text(row["words"], "words")
        return words and {"words": words}

    @classmethod
    def texts(cls, row, arguments):
        return row["words"], " ".join(reversed(row["words"].split()))

    def request(self, given):
        return {"words": given.strip()}

    def score(self, outputs, rows, training_rows):
        right = [output == self.texts(row, self.arguments)[1] for row, output in zip(rows, outputs, strict=True)]
        return {"exact": 100 * sum(right) / len(right)}
''',
}
LINE = '        "reversal": "tasks.reversal:Reversal",\n'
BEFORE = '        "translation": '
CONFIG = """# onedecoder train reversal
size: tiny
config_overrides: n_layer=2,n_embd=64,n_head=2
vocab_size: 300
max_length: 64
dropout: 0.0
max_steps: 3
eval_strategy: "no"
save_strategy: "no"
max_new_tokens: 8
use_cpu: true
"""
USED = """
import sys

import pytest

import onedecoder
from onedecoder.commands import command

command(["train", "reversal"])
onedecoder.evaluate("outputs/reversal", name="again")
assert isinstance(onedecoder.load("outputs/reversal")("one two"), str)
print("trained and used")
tests = ["tests/test_contract.py", "tests/recipes/test_configs.py"]
sys.exit(pytest.main(["-n", "0", "-p", "no:cacheprovider", "-k", "reversal", *tests]))
"""


@pytest.fixture
def extended(tmp_path):
    """A copy of the program, and of its tests, with the new task."""
    for room in ROOMS:
        shutil.copytree(REPOSITORY / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (tmp_path / "tasks" / "reversal").mkdir()
    for name, text in FOLDER.items():
        (tmp_path / "tasks" / "reversal" / name).write_text(text.lstrip(), encoding="utf-8")
    tasks = tmp_path / "tasks" / "__init__.py"
    text = tasks.read_text(encoding="utf-8")
    assert text.count(BEFORE) == 1
    tasks.write_text(text.replace(BEFORE, LINE + BEFORE))
    config = tmp_path / "recipes" / "configs" / "reversal" / "sample.yaml"
    config.parent.mkdir()
    config.write_text(CONFIG)
    return tmp_path


def test_a_folder_a_line_and_a_configuration_are_a_task(extended):
    (extended / "use.py").write_text(USED)
    done = subprocess.run(
        [sys.executable, "use.py"],
        cwd=extended, env=os.environ | {"PYTHONPATH": str(extended)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "95 rows as 95 sequences" in done.stderr  # five of the hundred validate
    folder = extended / "outputs" / "reversal"
    assert "reversal" in (folder / "README.md").read_text()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test"]["exact"] == metrics["again"]["exact"] and 0 < metrics["test"]["loss"] < 9
    tests = done.stdout.partition("trained and used")[2]
    assert "passed" in tests and "failed" not in tests
