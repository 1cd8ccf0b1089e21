"""Texts of one language in, pairs of two out: what back-translation and dictionaries have in common."""

import json
from collections.abc import Iterable
from pathlib import Path

from shared.data.loading import FORMATS, format_suffix, load_files
from shared.errors import UserError
from shared.files import atomic_directory, check_writable


def load_texts(paths: list[str], language: str) -> list[str]:
    """The texts of one language: the column of its name where a file has columns, else every line of plain text.

    Raises:
        UserError: if a file is missing or broken, or has columns of other names.
    """
    found: list[str] = []
    for path in paths:
        rows = load_files([path], "train", suffix=None if format_suffix(path).lower() in FORMATS else ".txt")
        column = "text" if rows.column_names == ["text"] else language
        if column not in rows.column_names:
            raise UserError(f"{path} has no field '{language}'; found: {', '.join(rows.column_names)}")
        found += [text for text in (" ".join(str(each or "").split()) for each in rows[column]) if text]
    return found


def pairs_file(name: str | None, inputs: Iterable[str]) -> Path:
    """Where --output_file says that the pairs go to, before they are made from the files that are `inputs`.

    Raises:
        UserError: if it is missing, there already, no JSON lines by its name, or nothing can be written there.
    """
    if not name:
        raise UserError("--output_file is missing: name the file that the pairs go to")
    if Path(name).resolve() in {Path(path).resolve() for path in inputs}:
        raise UserError(f"--output_file {name} is what is read: name another")
    if Path(name).is_dir():
        raise UserError(f"--output_file {name} is a folder: name a file in it")
    if Path(name).exists():
        raise UserError(f"--output_file {name} is there already: name another")
    if Path(name).suffix != ".jsonl":
        raise UserError(f"--output_file {name}: pairs are written as JSON lines; give a name that ends in .jsonl")
    check_writable(Path(name).parent)
    return Path(name)


def write_pairs(pairs: Iterable[dict[str, str]], path: Path) -> None:
    """Rows {language: text, other language: text} as JSON lines, whole or not at all.

    Raises:
        UserError: if there are none.
    """
    pairs = [*pairs]
    if not pairs:
        raise UserError(f"there are no pairs: {path} is not written")
    with atomic_directory(path.parent) as staging, (staging / path.name).open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(pair, ensure_ascii=False) + "\n" for pair in pairs)
