"""The list of tasks. A new one is a folder here, a line in TASKS and a recipe."""

from shared.task import Task
from tasks.chorales import Chorales
from tasks.language_modeling import LanguageModeling
from tasks.music import Music
from tasks.summarization import Summarization
from tasks.translation import Translation

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Translation, Summarization, Music, Chorales, LanguageModeling)
}
