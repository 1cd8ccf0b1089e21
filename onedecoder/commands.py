"""The recipes as commands, from any folder: `onedecoder train translation`, `onedecoder generate outputs/en-de …`."""

import sys
from importlib import import_module

from shared.errors import UserError
from shared.runs.cli import run
from tasks import TASKS

RECIPES = {
    "train": "train a decoder for a task: onedecoder train translation --train_file …",
    "generate": "let a decoder write; with --interactive line by line",
    "evaluate": "score a run",
    "look": "pictures of what a decoder does with one line",
    "explore": "the same live, in a browser",
    "listen": "compare runs of music by ear: a page of blind pairs",
    "play": "play along: a decoder that answers what comes from a MIDI port",
}
USAGE = "\n".join(
    [
        "usage: onedecoder COMMAND …          (onedecoder COMMAND --help lists its flags)",
        *(f"    {name:<10} {what}" for name, what in RECIPES.items()),
    ]
)


def main() -> None:
    """The console command `onedecoder`."""
    run(command)


def command(arguments: list[str]) -> None:
    """Run what the first word names.

    Raises:
        UserError: if it names nothing.
    """
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(USAGE)
        return
    name, *rest = arguments
    if name not in RECIPES:
        raise UserError(f"unknown command '{name}': give one of {', '.join(RECIPES)}")
    sys.argv[0] = f"onedecoder {name}"  # as --help shows it
    if name != "train":
        import_module(f"recipes.{name}").main(rest)
        return
    if not rest or rest[0] not in TASKS:
        raise UserError(f"onedecoder train {' '.join(rest[:1])}: give one of {', '.join(TASKS)}, then its flags")
    sys.argv[0] += f" {rest[0]}"
    from shared.runs.recipe import recipe  # noqa: PLC0415 (the Trainer takes seconds to import)

    recipe(TASKS[rest[0]], rest[1:])
