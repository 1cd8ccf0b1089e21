"""A run's folder: all that is needed to use a trained decoder again.

config.json model.safetensors generation_config.json    transformers' own, for AutoModelForCausalLM
tokenizer.json …                                        the tokenizer's own, for AutoTokenizer or MidiTok
run.yaml                                                the task and every setting
metrics.json  samples/  README.md                       scores, outputs to look at, a model card
checkpoint-N/                                           to resume from
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from transformers.trainer import TRAINER_STATE_NAME

from shared.data.arguments import DataArguments
from shared.data.vocabulary import vocabulary_folder
from shared.errors import UserError
from shared.files import atomic_directory
from shared.task import RequestArguments, Task

SETTINGS = "run.yaml"
METRICS = "metrics.json"
SAMPLES = "samples"


def find_checkpoint(folder: Path, resume: str | None, overwrite: bool) -> Path | None:
    """The checkpoint to resume from, if one is asked for; UserError where there is none, or where a run is in the way.

    A folder that already holds a run is neither mixed with another nor replaced unasked.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output_dir {folder} is a file: give a folder")
    checkpoint = None
    if resume and resume.lower() == "true":
        complete = _complete_checkpoints(folder)
        if not complete:
            raise UserError(
                f"--resume_from_checkpoint: {folder} holds no complete checkpoint; leave the flag out to start"
            )
        checkpoint = complete[-1]
    elif resume and resume.lower() != "false":
        checkpoint = Path(resume)
        if not (checkpoint / TRAINER_STATE_NAME).is_file():
            raise UserError(
                f"--resume_from_checkpoint {resume}: no complete checkpoint there ({TRAINER_STATE_NAME} is missing)"
            )
    # From weights alone the Trainer would go on with a new optimizer.
    if checkpoint and not any(checkpoint.glob("rng_state*.pth")):
        raise UserError(
            f"--resume_from_checkpoint: {checkpoint} holds weights alone (--save_only_model); start a new run from it "
            f"by --model_name_or_path {checkpoint}"
        )
    if _holds_another_run(folder, checkpoint) and not overwrite:
        raise UserError(
            f"--output_dir {folder} holds a run already: give --resume_from_checkpoint true to go on with it, "
            "--overwrite_output_dir to replace it, or another --output_dir"
        )
    return checkpoint


# Model settings that decide what a checkpoint's weights mean: others may change from one launch to the next.
FIXED = ("size", "config_overrides", "max_length", "mask", "relative_attention")


def check_resumed(checkpoint: Path, task: str, model: Mapping[str, Any]) -> None:
    """Refuse to resume another task, or with settings that the checkpoint's weights were not made for.

    Raises:
        UserError: before anything is written.
    """
    path = checkpoint.parent / SETTINGS
    if not path.is_file():
        return
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    if settings["task"] != task:
        raise UserError(f"--resume_from_checkpoint: {checkpoint} is of a {settings['task']} run, not of {task}")
    for name in FIXED:
        before = settings["model"].get(name, model[name])
        # 0 distances stand for those that come with the weights.
        if model[name] != before and not (name == "relative_attention" and not model[name]):
            raise UserError(
                f"--resume_from_checkpoint: {checkpoint} was trained with --{name} {before}, not {model[name]}; give "
                "the same, or start a new run from it by --model_name_or_path"
            )


def clear(folder: Path, checkpoint: Path | None = None) -> None:
    """Remove a run that is being replaced, not one that goes on from its `checkpoint`.

    Whatever else lies in the folder is not ours.
    """
    if _holds_another_run(folder, checkpoint):
        for path in (*folder.glob("checkpoint-*"), folder / SAMPLES):
            shutil.rmtree(path, ignore_errors=True)
        for path in (folder / METRICS, folder / "config.json", *folder.glob("model*.safetensors*")):
            path.unlink(missing_ok=True)


def _holds_another_run(folder: Path, checkpoint: Path | None) -> bool:
    """Whether there is a run in `folder`, and another one than `checkpoint` is of."""
    if checkpoint and checkpoint.parent.resolve() == folder.resolve():
        return False
    return (folder / SETTINGS).exists() or bool(_complete_checkpoints(folder))


def _complete_checkpoints(folder: Path) -> list[Path]:
    """In the order of their steps. The trainer's state is the last file written: without it, one was cut off."""
    found = (path.parent for path in folder.glob(f"checkpoint-*/{TRAINER_STATE_NAME}"))
    return sorted((path for path in found if path.name[11:].isdigit()), key=lambda path: int(path.name[11:]))


def save_settings(folder: Path, task: Task, settings: Mapping[str, Any]) -> None:
    """Write what is known before training, and what a checkpoint needs to be used: run.yaml and the vocabulary.

    run.yaml holds the task's name and arguments and, by group, everything else that was set.
    """
    content = {"task": task.name, "task_arguments": asdict(task.arguments), **settings}
    with atomic_directory(folder) as staging:
        (staging / SETTINGS).write_text(yaml.safe_dump(json.loads(json.dumps(content, default=str)), sort_keys=False))
        task.vocabulary.save(staging)


@dataclass
class Run:
    """A run read back: `folder` holds the model, `settings` is run.yaml."""

    folder: Path
    settings: dict[str, Any]

    @classmethod
    def open(cls, name: str) -> "Run":
        """UserError where there is none. A checkpoint's folder counts too: its settings stand in its parent."""
        folder = Path(name)
        if not folder.is_dir():
            raise UserError(
                f"there is no run in {folder}: give the --output_dir of a training, such as outputs/translation"
            )
        place = next((place for place in (folder, folder.parent) if (place / SETTINGS).is_file()), None)
        if place is None or not (folder / "config.json").is_file():
            missing = SETTINGS if place is None else "config.json"
            raise UserError(f"{folder} is not a finished run: {missing} is missing")
        return cls(folder, _renamed(yaml.safe_load((place / SETTINGS).read_text())))

    def task(
        self,
        tasks: Mapping[str, type[Task]],
        arguments: DataArguments | None = None,
        request_arguments: RequestArguments | None = None,
    ) -> Task:
        """The run's task with its vocabulary, and with other `arguments` than it was trained with if given."""
        kind = tasks[self.settings["task"]]
        arguments = arguments or kind.Arguments(**self.settings["task_arguments"])
        old = kind.load_vocabulary(vocabulary_folder(str(self.folder)))
        return kind(arguments, kind.build_vocabulary(arguments, old, None, 0), request_arguments)


# What settings were called in runs of earlier versions.
FORMER_NAMES = {"row_length": "pack_length", "keep": "truncation", "compile": "torch_compile"}


def _renamed(settings: dict[str, Any]) -> dict[str, Any]:
    """`run.yaml` of any version, under today's names."""
    groups = {
        group: {FORMER_NAMES.get(name, name): value for name, value in values.items()}
        if isinstance(values, dict)
        else values
        for group, values in settings.items()
    }
    if groups.get("model", {}).get("loss_on") == "line":
        groups["model"]["loss_on"] = "all"
    return groups


def read_metrics(folder: Path) -> dict[str, Any]:
    """The run's metrics.json; nothing where there is none."""
    path = folder / METRICS
    return json.loads(path.read_text()) if path.is_file() else {}


def add_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Add to (or replace in) the run's metrics.json."""
    with atomic_directory(folder) as staging:
        (staging / METRICS).write_text(json.dumps({**read_metrics(folder), **metrics}, indent=2) + "\n")
