"""What a user can mend is documented where it is raised: under `Raises:`, in every public function."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
ROOTS = ("onedecoder", "recipes", "shared", "tasks")
FILES = sorted(path for root in ROOTS for path in (REPOSITORY / root).rglob("*.py"))
ERRORS = {"UserError", "ExclusiveSettingsError", "Interrupted"}


def public_functions(body: list[ast.stmt], in_class: bool = False) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """The functions that others may call, each with whether it is a method; a script's `main` is not called."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, in_class=True)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name != "main":
            yield node, in_class


def undocumented(tree: ast.Module) -> Iterator[str]:
    """The functions that raise a user's error and do not say so; a method may leave its docstring to its base class."""
    for function, is_method in public_functions(tree.body):
        raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise)]
        names = {call.func.id for call in raised if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)}
        docstring = ast.get_docstring(function)
        documented = (docstring or "").partition("Raises:\n")[2]
        missing = sorted(name for name in names & ERRORS if f"{name}:" not in documented)
        if missing and (docstring is not None or not is_method):
            yield f"{function.name} raises {', '.join(missing)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_what_a_user_can_mend_is_documented(path):
    text = path.read_text(encoding="utf-8")
    assert not [*undocumented(ast.parse(text))]
    assert "UserError where" not in text and "UserError if" not in text  # the one way is `Raises:`


def test_a_function_that_does_not_say_so_is_found():
    silent = "def read(path):\n    'The rows.'\n    raise UserError('no such file')\n"
    told = "def read(path):\n    '''The rows.\n\n    Raises:\n        UserError: no\n    '''\n    raise UserError('')\n"
    method = "class Reader(Base):\n    def read(self):\n        raise UserError('no such file')\n"
    assert [*undocumented(ast.parse(silent))] == ["read raises UserError"]
    assert not [*undocumented(ast.parse(told))] and not [*undocumented(ast.parse(method))]
