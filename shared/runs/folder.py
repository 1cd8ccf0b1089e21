"""A run's folder: all that is needed to use a trained decoder again.

config.json model.safetensors generation_config.json    transformers' own, for AutoModelForCausalLM
tokenizer.json …                                        the tokenizer's own, for AutoTokenizer or MidiTok
run.yaml                                                the task and every setting
metrics.json  samples/  README.md                       scores, outputs to look at, a model card
checkpoint-N/                                           to resume from
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from shared.data.arguments import DataArguments, RequestArguments
from shared.errors import UserError, first_line
from shared.files import atomic_directory, in_turn
from shared.generation.arguments import GenerationArguments
from shared.model.arguments import ModelArguments
from shared.model.build import load_decoder
from shared.model.decoder import Decoder
from shared.runs.cli import read_yaml
from shared.runs.typed import settled
from shared.runs.versions import tell_other_versions, versions
from shared.task import Task

SETTINGS = "run.yaml"
METRICS = "metrics.json"
SAMPLES = "samples"
CARD = "README.md"
OF_TRAINING = ("train", "parameters")  # in metrics.json, of no split's outputs


def save_settings(folder: Path, task: Task, settings: Mapping[str, Any]) -> None:
    """Write what is known before training, and what a checkpoint needs to be used: run.yaml and the vocabulary.

    run.yaml holds the task's name and arguments, the versions of what trains and, by group, everything else that was
    set.
    """
    content = {"task": task.name, "versions": versions(), "task_arguments": asdict(task.arguments), **settings}
    with atomic_directory(folder) as staging:
        plain = json.loads(json.dumps(content, default=str))
        text = yaml.safe_dump(plain, sort_keys=False, explicit_start=True, explicit_end=True)
        (staging / SETTINGS).write_text(text)
        task.vocabulary.save(staging)


@dataclass
class Run:
    """A run read back: `folder` holds the decoder, `settings` is run.yaml, with `model` and `generation`."""

    folder: Path
    settings: dict[str, Any]
    model: ModelArguments
    generation: GenerationArguments

    @classmethod
    def open(cls, name: str) -> "Run":
        """A run, or a checkpoint, whose settings stand in its parent; says so where another version trained it.

        Raises:
            UserError: where there is none, or its run.yaml says what cannot be.
        """
        folder = Path(name)
        if not folder.is_dir():
            raise UserError(
                f"there is no run in {folder}: give the --output_dir of a training, such as outputs/translation"
            )
        place = next((place for place in (folder, folder.parent) if (place / SETTINGS).is_file()), None)
        if place is None or not (folder / "config.json").is_file():
            missing = SETTINGS if place is None else "config.json"
            raise UserError(f"{folder} is not a finished run: {missing} is missing")
        path = place / SETTINGS
        settings = read_settings(path)
        tell_other_versions(place, settings)
        model = _settled(ModelArguments, settings["model"], path)
        return cls(folder, settings, model, _settled(GenerationArguments, settings["generation"], path))

    def kind(self, tasks: Mapping[str, type[Task]]) -> type[Task]:
        """The class of the run's task.

        Raises:
            UserError: if there is no such task.
        """
        name = self.settings["task"]
        if name not in tasks:
            raise UserError(f"{self.folder}: its {SETTINGS} names the task '{name}': there are {', '.join(tasks)}")
        return tasks[name]

    def arguments(self, tasks: Mapping[str, type[Task]]) -> DataArguments:
        """The task's arguments that it was trained with.

        Raises:
            UserError: if its run.yaml names no task, or arguments that it does not have.
        """
        return _settled(self.kind(tasks).Arguments, self.settings["task_arguments"], self.folder / SETTINGS)

    @property
    def seed(self) -> int:
        """The training's seed, where its settings name one."""
        return self._of_training("seed", 42)

    @property
    def eval_batch_size(self) -> int:
        """The training's --per_device_eval_batch_size: how many packed rows its GPU had room for at once."""
        return self._of_training("per_device_eval_batch_size", 16)

    def _of_training(self, name: str, default: int) -> int:
        value = self.settings["training"].get(name)
        return value if isinstance(value, int) else default

    def task(
        self,
        tasks: Mapping[str, type[Task]],
        arguments: DataArguments | None = None,
        request_arguments: RequestArguments | None = None,
    ) -> Task:
        """The run's task with its vocabulary, and with other `arguments` than it was trained with if given.

        Raises:
            UserError: if with the other arguments the same tokens would be read otherwise, or they ask for what the run
                has not learned.
        """
        kind, own = self.kind(tasks), self.arguments(tasks)
        old = kind.load_vocabulary(str(self.folder))
        arguments, learned = arguments or own, kind.build_vocabulary(own, old, None, 0)
        for name in kind.learned:
            known = getattr(own, name)
            if new := [each for each in getattr(arguments, name) if each not in known]:
                raise UserError(f"{self.folder} has not learned --{name} {new[0]}; give {' or '.join(known)}")
        vocabulary = kind.build_vocabulary(arguments, old, None, 0)
        if type(vocabulary) is not type(learned) or len(vocabulary.tokens) > len(learned.tokens):
            others = [name for name in kind.fixed if getattr(arguments, name) != getattr(own, name)]
            asked = " ".join(f"--{name} {getattr(arguments, name)}" for name in others)
            raise UserError(
                f"{self.folder}: with {asked} its tokens would mean something else; what it has learned is in its "
                f"{SETTINGS}"
            )
        return kind(arguments, vocabulary, request_arguments)

    def decoder(self, task: Task) -> Decoder:
        """The run's decoder.

        Raises:
            UserError: if it does not load, or fits neither the vocabulary nor the length of the lines.
        """
        decoder = load_decoder(str(self.folder))
        if self.model.max_length > decoder.context:
            raise UserError(
                f"{self.folder}: {SETTINGS} has a max_length of {self.model.max_length}, config.json positions for "
                f"{decoder.context}; one of the two files is of another run"
            )
        tokens = max(task.vocabulary.tokens.values()) + 1
        if tokens > decoder.config.vocab_size:
            raise UserError(
                f"{self.folder}: its vocabulary has {tokens} tokens, its decoder {decoder.config.vocab_size}; one of "
                "the two is of another run"
            )
        return decoder


def _settled(kind: type, values: Mapping[str, Any], path: Path) -> Any:
    """An instance of a dataclass from the settings of a file."""
    try:
        return settled(kind, values)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


GROUPS = ("task_arguments", "model", "generation", "training")


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a run.yaml, by group.

    Raises:
        UserError: if it is no YAML, is cut off, or lacks a group of settings.
    """
    settings, text = read_yaml(path, "settings"), path.read_text(encoding="utf-8")
    # One that begins as this program's do ends as they do.
    if text.startswith("---") and not text.endswith("\n...\n"):
        raise UserError(f"{path} is cut off: copy it anew from where it is whole, or train anew")
    if not isinstance(settings.get("task"), str):
        raise UserError(f"{path}: the name of the task is missing; it is not the {SETTINGS} of a run")
    for group in GROUPS:
        if not isinstance(settings.setdefault(group, {}), dict):
            raise UserError(f"{path}: '{group}' holds no settings of the form 'name: value'")
    return settings


def read_metrics(folder: Path) -> dict[str, Any]:
    """The run's metrics.json; nothing where there is none.

    Raises:
        UserError: if it is no JSON object.
    """
    path = folder / METRICS
    if not path.is_file():
        return {}
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(metrics, dict):
            raise ValueError("no object")
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({first_line(error)}): remove it, and score the run again") from error
    return metrics


def names_outputs(name: str) -> bool:
    """Whether scores of this name may have a folder of outputs in the run's own: it is a plain word, and not taken."""
    return name not in OF_TRAINING and re.fullmatch(r"(?!checkpoint-)\w[\w-]*", name) is not None


def add_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Add to (or replace in) the run's metrics.json.

    Raises:
        UserError: if it is damaged, or cannot be written.
    """
    with in_turn(folder), atomic_directory(folder) as staging:
        (staging / METRICS).write_text(json.dumps({**read_metrics(folder), **metrics}, indent=2) + "\n")
