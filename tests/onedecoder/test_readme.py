"""What the README says of the package, its commands and the page is run as it stands there, on small decoders."""

import ast
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from onedecoder.commands import command
from recipes import explore, look

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    re.sub("^    ", "", block, flags=re.MULTILINE) for block in re.findall(r"(?:^    .*\n)+", README, re.MULTILINE)
]
LINES = [line for block in BLOCKS for line in block.splitlines()]
NAMES = re.compile(r"outputs/[\w/]+|\bgpt2\b")


@pytest.fixture
def here(run_folders, plain_gpt2, tmp_path, monkeypatch):
    """The text with small decoders in the place of those it names, to be run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    folders = {f"outputs/demo/{name}": folder for name, folder in run_folders.items()}
    folders |= {"gpt2": plain_gpt2, "outputs/music_absolute": run_folders["music"]}

    def replaced(text):
        return NAMES.sub(lambda name: str(folders[name[0]]), text)

    return replaced


def test_the_python_does_what_its_comments_say(here, tmp_path):
    (block,) = [block for block in BLOCKS if block.startswith("from onedecoder import")]
    names, values = {}, []
    for statement in ast.parse(here(block)).body:
        source = ast.unparse(statement)
        if isinstance(statement, ast.Expr):
            values.append(eval(source, names))
        else:
            exec(source, names)
    text, texts, weights, piece = values
    assert isinstance(text, str)
    assert [type(each) for each in texts] == [str, str]
    heads, queries, keys = weights.shape
    assert heads == names["decoder"].model.config.n_head and queries == keys
    assert piece == Path("piece.mid") and (tmp_path / "piece.mid").read_bytes()[:4] == b"MThd"


def test_its_commands_run(here, monkeypatch, capsys):
    lines = [line for line in LINES if line.startswith("onedecoder ")]
    assert len(lines) >= 2
    for line in lines:
        monkeypatch.setattr(sys, "stdin", io.StringIO("A dog.\n"))
        command(shlex.split(here(line), comments=True)[1:])
        assert len(capsys.readouterr().out.strip()) > 0


def test_its_pages_and_pictures_are_made(here, tmp_path, monkeypatch):
    server = pytest.importorskip("onedecoder.server", reason="the server needs Starlette: pip install -e .[explore]")
    served = []
    monkeypatch.setattr(server, "serve", lambda decoders, inputs, port: served.append(decoders))
    pages = [line for line in LINES if line.startswith("python recipes/explore.py")]
    assert len(pages) >= 4
    for line in pages:
        explore.main(shlex.split(here(line), comments=True)[2:])
    assert (tmp_path / "page.html").is_file()
    assert len(served) == sum("--export" not in line for line in pages)
    (line,) = [line for line in LINES if line.startswith("python recipes/look.py")]
    flags = shlex.split(here(line).replace("--layer 3", "--layer 2"), comments=True)[2:]
    look.main([*flags, "--max_new_tokens=3"])
    assert [*tmp_path.glob("pictures/*.svg")]


def test_it_shows_a_picture_of_the_page_for_each_task_of_the_demo_and_says_how_to_open_it():
    for task in ("translation", "summarization", "music"):
        assert f"outputs/demo/{task}/page.html" in README
    pictures = re.findall(r"!\[[^\]]+\]\((outputs/gallery/explore-[\w-]+\.png)\)", README)
    assert len({*pictures}) >= 3
