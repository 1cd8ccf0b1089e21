"""What a name stands for, as far as it is known before any weights are read."""

from dataclasses import dataclass
from pathlib import Path

from onedecoder.core import (
    SETTINGS,
    TASKS,
    Decoder,
    GenerationArguments,
    RequestArguments,
    Run,
    Task,
    TextVocabulary,
    load_config,
    load_decoder,
)


@dataclass(frozen=True)
class Source:
    """A run or, with no `run`, a plain GPT-2, which writes on from any text (as the task `language_modeling`).

    `generation` says how it writes unless told otherwise, `max_length` how many tokens a line of its training had.
    """

    name: str
    run: Run | None
    kind: type[Task]
    generation: GenerationArguments
    max_length: int

    @classmethod
    def open(cls, name: str) -> "Source":
        """From a run's folder, a folder in transformers' format, or a name on the hub such as `gpt2`.

        Raises:
            UserError: there is none of these by that name, or it is no GPT-2.
        """
        if _is_run(Path(name)):
            run = Run.open(name)
            return cls(name, run, run.kind(TASKS), run.generation, run.model.max_length)
        kind = TASKS["language_modeling"]
        context = load_config(name).n_positions
        return cls(name, None, kind, GenerationArguments(**kind.generation_defaults), context)

    def task(self, request_arguments: RequestArguments | None = None) -> Task:
        """Its task with its vocabulary.

        Raises:
            UserError: if it has none that can be read.
        """
        if self.run:
            return self.run.task(TASKS, request_arguments=request_arguments)
        return self.kind(self.kind.Arguments(), TextVocabulary.load(self.name), request_arguments)

    def decoder(self, task: Task) -> Decoder:
        """Its decoder.

        Raises:
            UserError: if it cannot be read, or does not fit what is known of the run.
        """
        return self.run.decoder(task) if self.run else load_decoder(self.name)


def _is_run(path: Path) -> bool:
    """Whether a run is meant: a folder that says so or is nothing else, or a path that cannot be a name on the hub.

    A name there has at most one slash. What stands before it is taken for a folder where there is one: a run that is
    mistyped is not looked for on the hub, which takes long where it cannot be reached.
    """
    if not path.is_dir():
        return path.exists() or len(path.parts) > 2 or (len(path.parts) == 2 and path.parent.is_dir())
    said = any((place / SETTINGS).is_file() for place in (path, path.absolute().parent))
    return said or not (path / "config.json").is_file()
