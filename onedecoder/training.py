"""Training and scoring as functions: the recipes, called from Python."""

from pathlib import Path
from typing import Any

from onedecoder.core import TASKS, UserError, as_flags
from onedecoder.decoder import LoadedDecoder, load


def train(task: str, **settings: Any) -> LoadedDecoder:
    """Train a decoder for a task of `tasks.TASKS`, as `accelerate launch recipes/TASK.py` does, and load it.

    `settings` are the recipe's flags: `train("translation", max_steps=300, output_dir="outputs/en-de")`. Without data
    it learns the embedded sample.

    Raises:
        UserError: an unknown task or setting, or data that cannot be read.
    """
    if task not in TASKS:
        raise UserError(f"unknown task '{task}': give one of {', '.join(TASKS)}")
    return load(run_recipe(task, as_flags(settings)))


def run_recipe(task: str, flags: list[str]) -> Path:
    """`recipes/TASK.py` with its flags; returns the run's folder."""
    from shared.runs.recipe import recipe  # noqa: PLC0415 (takes seconds to import)

    return recipe(TASKS[task])(flags)


def evaluate(run: str | Path, **settings: Any) -> dict[str, Any]:
    """Score a run as `recipes/evaluate.py` does, with its flags as `settings`; the scores, also in its metrics.json.

    Raises:
        UserError: there is no such run or split.
    """
    from recipes.evaluate import main  # noqa: PLC0415 (as above)

    return main([str(run), *as_flags(settings)])
