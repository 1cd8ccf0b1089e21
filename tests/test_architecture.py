"""The shape of the house: each room stands on those below it, files are short, and every task keeps its contract."""

import ast
import graphlib
from pathlib import Path

import pytest

from tasks import TASKS

REPOSITORY = Path(__file__).parent.parent
# From the ground up. An import goes down, never up.
GROUND = ("errors", "files", "hardware", "tables", "threads")
TASK = ("writing", "task", "mbr", "text_task")
ROOMS = (*GROUND, "kernels", "data", *TASK, "model", "generation", "evaluation", "training", "runs")
LONGEST = 300  # lines of a file; word lists and the synthetic grammar are data
DATA = {
    "tasks/translation/lexicon.py",
    "tasks/translation/grammar.py",
    "tasks/translation/patterns.py",
    "tasks/articles/kinds/nature.py",
}
PYTHON = sorted(
    path for name in ("onedecoder", "shared", "tasks", "recipes", "tests") for path in (REPOSITORY / name).rglob("*.py")
)


def imported(path: Path, for_types: bool = True) -> list[str]:
    """The modules that a file imports, wherever in it, or but for those that only types need."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not for_types:
        tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node))]
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def room(module: str) -> str:
    """The room of `shared`, or the folder of `tasks`, that a module is in."""
    return module.split(".")[1]


@pytest.mark.parametrize("path", [path for path in PYTHON if path.parts[len(REPOSITORY.parts)] == "shared"], ids=str)
def test_an_import_goes_down_and_never_up(path):
    here = path.relative_to(REPOSITORY).with_suffix("").parts
    for name in imported(path):
        assert not name.startswith(("tasks.", "recipes.", "tests.")), f"{path} imports {name}"
        if name.startswith("shared."):
            there = room(name)
            assert there in ROOMS, f"{name} is in no room"
            if here[1] != "__init__":
                assert ROOMS.index(there) <= ROOMS.index(here[1]), f"{path} imports {name} from above"


@pytest.mark.parametrize("path", [path for path in PYTHON if path.parts[len(REPOSITORY.parts)] == "tasks"], ids=str)
def test_no_task_imports_another(path):
    """What two of them share has a folder of its own, which imports neither."""
    here = path.relative_to(REPOSITORY).parts[1]
    others = {place.split(":")[0].split(".")[1] for place in TASKS.places.values()} - {here}
    for name in imported(path):
        assert not name.startswith(("recipes.", "onedecoder.", "tests.")), f"{path} imports {name}"
        if here != "__init__.py" and name.startswith("tasks."):
            assert room(name) not in others, f"{path} imports {name}"


def test_no_files_import_each_other_in_a_circle():
    names = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path for path in PYTHON
    }

    def imports(name: str) -> set[str]:
        found = {each for full in imported(names[name], for_types=False) for each in (full, full.rpartition(".")[0])}
        return found & names.keys() - {name, name.rpartition(".")[0]}  # a package brings its own files

    graphlib.TopologicalSorter({name: imports(name) for name in names}).prepare()


def test_the_package_meets_the_rooms_in_few_files():
    """What is imported within a function takes seconds, and is not needed for everything."""
    meeting = {"core.py", "core_music.py", "commands.py"}
    for path in (REPOSITORY / "onedecoder").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if path.name not in meeting and isinstance(node, ast.ImportFrom):
                assert not node.module.startswith(("shared", "tasks")), f"{path.name} imports {node.module}"


def test_every_room_is_known():
    found = {path.stem for path in (REPOSITORY / "shared").iterdir() if not path.name.startswith(("_", "."))}
    assert found == set(ROOMS)


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_are_short(path):
    if str(path.relative_to(REPOSITORY)) not in DATA:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST
