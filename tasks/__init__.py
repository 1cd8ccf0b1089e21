"""The list of tasks. A new one is a folder here, a line in TASKS and a configuration for its sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.task import Task


class Tasks(Mapping[str, "type[Task]"]):
    """Tasks by name. Each brings libraries of its own, and is imported when it is first asked for."""

    def __init__(self, places: Mapping[str, str]):
        """`places` maps a task's name to `module:Class`."""
        self.places = places

    def __getitem__(self, name: str) -> type[Task]:
        module, kind = self.places[name].split(":")
        return getattr(import_module(module), kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


TASKS = Tasks(
    {
        "translation": "tasks.translation:Translation",
        "summarization": "tasks.summarization:Summarization",
        "music": "tasks.music:Music",
        "chorales": "tasks.chorales:Chorales",
        "language_modeling": "tasks.language_modeling:LanguageModeling",
    }
)
