"""Training and scoring as functions: the recipes, called from Python."""

from pathlib import Path
from typing import Any

from onedecoder.core import TASKS, UserError
from onedecoder.decoder import LoadedDecoder, load


def train(task: str, **settings: Any) -> LoadedDecoder:
    """Train a decoder for a task of `tasks.TASKS`, as `accelerate launch recipes/TASK.py` does, and load it.

    `settings` are the recipe's flags: `train("translation", max_steps=300, output_dir="outputs/en-de")`. None is no
    value, as null in a --config, and refused where there must be one: `save_total_limit=None` keeps every checkpoint.
    Without data it learns the embedded sample.

    Raises:
        UserError: an unknown task or setting, or data that cannot be read.
    """
    if task not in TASKS:
        raise UserError(f"unknown task '{task}': give one of {', '.join(TASKS)}")
    from shared.runs.recipe import recipe  # noqa: PLC0415 (takes seconds to import)

    return load(recipe(TASKS[task], [], settings))


def evaluate(run: str | Path, **settings: Any) -> dict[str, Any]:
    """Score a run as `recipes/evaluate.py` does, with its flags as `settings`; the scores, also in its metrics.json.

    Raises:
        UserError: there is no such run or split.
    """
    from recipes.evaluate import main  # noqa: PLC0415 (as above)

    return main([str(run)], settings)
