"""Outputs that are there already: written elsewhere, or by another run for the same rows."""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset

from shared.errors import UserError, first_line
from shared.task import Task
from shared.text_task import TextTask


def read_outputs(path: Path) -> list[str]:
    """The outputs of a file, one a line or, where it is called `.jsonl`, each line's `output`.

    Raises:
        UserError: if they cannot be read.
    """
    if path.suffix == ".jsonl":
        return [row["output"] for row in _read_rows(path)]
    return _lines(path)


def score_given(
    task: Task, path: Path, rows: Dataset, training_rows: Dataset | None
) -> tuple[list[str], dict[str, Any]]:
    """The outputs of a file, one for each of `rows`, and their scores.

    Raises:
        UserError: if the task has no such scores, or the file not so many outputs.
    """
    if not isinstance(task, TextTask) or not task.output_metrics:
        raise UserError(f"--outputs {path}: what a {task.name} run writes has no reference to be scored by")
    outputs = read_outputs(path)
    if len(outputs) != len(rows):
        raise UserError(f"--outputs {path}: {len(outputs)} outputs for {len(rows)} rows; give one for each, in order")
    return outputs, task.score(outputs, rows, training_rows)


def compare_saved(task: Task, rows: Dataset, folder: Path, other: Path) -> dict[str, dict[str, float]]:
    """What `Task.compare` says of the outputs that two runs have saved for the same `rows`.

    Raises:
        UserError: if one of them has not written for these rows.
    """
    found = []
    for path in (folder / "outputs.jsonl", other / "outputs.jsonl"):
        if not path.exists():
            raise UserError(f"--compare_to: there is no {path}: score that run with the same settings or --name first")
        saved = _read_rows(path)
        references = [task.record(row, "").get("reference") for row in rows] if isinstance(task, TextTask) else []
        if [row.get("reference") for row in saved] != references:
            raise UserError(f"--compare_to: {path} is of other rows; score both runs on the same ones")
        found.append([row["output"] for row in saved])
    ours, theirs = found
    return task.compare(ours, theirs, rows)


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        rows = [json.loads(line) for line in _lines(path)]
        if not all(isinstance(row["output"], str) for row in rows):
            raise ValueError("no text")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: each line needs a text 'output', as in a run's samples/outputs.jsonl") from error
    return rows


def _lines(path: Path) -> list[str]:
    try:
        # A file's lines end at line feeds alone, a text's at all that Unicode names.
        with path.open(encoding="utf-8-sig") as file:
            return [line.rstrip("\n") for line in file]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {first_line(error)}; give a text file in UTF-8") from error
