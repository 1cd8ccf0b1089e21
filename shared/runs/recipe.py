"""What a recipe does with its command line."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.runs.beside import import_beside
from shared.runs.usage import HELP
from shared.threads import settle_threads

if TYPE_CHECKING:
    from shared.task import Task

# What a training loads in any case, and what waits for none of transformers' files, which are as many again.
BESIDE = ("torch._dynamo", "datasets")


def start(tasks: "Mapping[str, type[Task]]", name: str) -> None:
    """The recipe of the task of that `name`, with the command line of this process."""
    beside = None
    if not HELP & set(sys.argv[1:]):
        settle_threads()  # PyTorch reads how many when it is loaded
        beside = import_beside(*BESIDE)
    from shared.runs.cli import run  # noqa: PLC0415 (which loads transformers, and nothing of PyTorch)

    if beside:
        beside.join()  # two threads that import modules of PyTorch, which import each other, can block each other
    run(partial(recipe, tasks[name]))


def recipe(kind: "type[Task]", arguments: list[str], settings: Mapping[str, Any] | None = None) -> Path:
    """As `shared.runs.pipeline.train`, but --help does without the Trainer.

    Raises:
        UserError: as there.
    """
    if HELP & set(arguments):
        from shared.runs.flags import parse  # noqa: PLC0415 (as below)

        parse(kind, arguments)
    from shared.runs.pipeline import train  # noqa: PLC0415 (the Trainer takes seconds to import)

    return train(kind, arguments, settings)
