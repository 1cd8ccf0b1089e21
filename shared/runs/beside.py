"""Imports in a thread, beside what the program does meanwhile.

An import mostly waits for files. Before its first step a training opens some 6,000, one after the other, and where each
takes two milliseconds, as on a file system in a network, so they take a quarter of a minute.
"""

from contextlib import suppress
from importlib import import_module
from threading import Thread


def import_beside(*names: str) -> Thread:
    """Import the modules of these `names`, one after the other, in a thread that is to be joined.

    What is imported meanwhile must have nothing in common with them: modules that import each other, begun in two
    threads from two ends, wait for each other until Python gives one of them up.

    One that fails, and those after it, are left to the place that needs them, where the error is raised anew.
    """
    thread = Thread(target=_import, args=(names,), daemon=True)
    thread.start()
    return thread


def _import(names: tuple[str, ...]) -> None:
    with suppress(Exception):
        for name in names:
            import_module(name)
