"""What a recipe does with its command line."""

from collections.abc import Callable

from shared.runs.flags import parse
from shared.task import Task


def recipe(kind: type[Task]) -> Callable[[list[str]], None]:
    """Trains, scores and saves a decoder for a task; --help does not wait for the Trainer."""

    def main(arguments: list[str]) -> None:
        if {"-h", "--help", "--help_all", "--help-all"} & set(arguments):
            parse(kind, arguments)
        from shared.runs.pipeline import train  # noqa: PLC0415 (the Trainer takes seconds to import)

        train(kind, arguments)

    return main
