"""What a recipe imports in a thread is there when it is needed, and an error is raised where it belongs."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from shared.runs.beside import import_beside

REPOSITORY = Path(__file__).parents[3]
# The names that are imported beside, and what is loaded by the time that the command line is read.
STARTED = """
import sys
import shared.runs.recipe as recipe
found = []
class Thread:
    def __init__(self, *names):
        found.extend(names)
    def join(self):
        found.append("joined")  # and until then, nothing of PyTorch is imported by two at once
        assert "torch" not in sys.modules
recipe.import_beside = Thread
sys.argv = ["recipe", *sys.argv[1:]]
class Tasks(dict):
    def __getitem__(self, name):
        print(*(name for name in found), "torch" in sys.modules, "transformers" in sys.modules)
        raise SystemExit
recipe.start(Tasks(), "any")
"""


def test_modules_are_imported_one_after_the_other_up_to_one_that_fails(tmp_path, monkeypatch, capfd):
    for name, text in {"beside_a": "", "beside_b": "raise ValueError('broken')", "beside_c": ""}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    import_beside("beside_a", "beside_b", "beside_c").join()
    assert "beside_a" in sys.modules and not {"beside_b", "beside_c"} & set(sys.modules)
    assert capfd.readouterr().err == ""
    with pytest.raises(ValueError, match="broken"):  # for who needs it
        import_module("beside_b")


@pytest.mark.parametrize(
    ("flags", "said"), [((), "torch._dynamo datasets joined False True"), (("--help",), "False True")]
)
def test_a_recipe_loads_beside_transformers_what_help_does_without(flags, said):
    done = subprocess.run(
        [sys.executable, "-c", STARTED, *flags], cwd=REPOSITORY, env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == said.split()
