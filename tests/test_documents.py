"""The documents' links lead to files, and what the architecture's page names is in the code."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from recipes.demo import DemoArguments

REPOSITORY = Path(__file__).parent.parent
PATTERNS = ("README.md", "docs/*.md", "tasks/*/README.md", "outputs/README.md", "outputs/gallery/README.md")
DOCUMENTS = sorted(path for pattern in PATTERNS for path in REPOSITORY.glob(pattern))
ARCHITECTURE = REPOSITORY / "docs" / "architecture.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"\[`\w+\.([\w.]+)`\]\(\.\./([\w/]+\.py)\)")  # [`module.function`](../path/module.py)
DOTTED = re.compile(r"`(shared(?:\.\w+)+)`")  # `shared.room.module.function`


def defines(path: Path, name: str) -> bool:
    """Whether a file defines `function`, `Class` or `Class.method`."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for part in name.split("."):
        found = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part]
        if not found:
            return False
        body = found[0].body
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_relative_links_lead_to_files(document):
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        path = target.partition("#")[0]
        if path and "://" not in path:
            assert (document.parent / path).exists(), f"{document}: {target}"


def test_the_architecture_names_what_there_is():
    text = ARCHITECTURE.read_text(encoding="utf-8")
    named = NAMED.findall(text)
    assert len(named) > 30
    for name, path in named:
        assert defines(REPOSITORY / path, name), f"{path} has no {name}"
    for path in re.findall(r"\bshared/[\w/]+\.py", text):
        assert (REPOSITORY / path).is_file(), path
    for dotted in DOTTED.findall(text):
        module, _, name = dotted.rpartition(".")
        assert defines(REPOSITORY / (module.replace(".", "/") + ".py"), name), dotted


def test_a_name_that_is_not_there_is_found():
    packing = REPOSITORY / "shared" / "data" / "packing.py"
    assert defines(packing, "PackedDataset.set_epoch")
    assert not defines(packing, "PackedDataset.nothing")


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
def test_the_demo_writes_to_a_folder_of_its_own():
    command = ["make", "--no-print-directory", "--dry-run", "--always-make", "demo"]
    script = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert script.splitlines()[-1].endswith("python recipes/demo.py")
    assert DemoArguments().output_dir == "outputs/demo"


def test_what_the_documents_launch_has_a_configuration():
    """Without one, accelerate prints a warning of six lines."""
    places = ("README.md", "docs/*.md", "tasks/*/README.md", "recipes/*.py", "recipes/**/*.yaml")
    texts = [path.read_text(encoding="utf-8") for place in places for path in REPOSITORY.glob(place)]
    commands = [
        command for text in texts for command in re.findall(r"^[ #]*accelerate launch +(.*)", text, re.MULTILINE)
    ]
    assert len(commands) > 4 and all(command.startswith("--config_file") for command in commands), commands
