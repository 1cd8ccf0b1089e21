"""What a training may do with the folder that it is given: begin, go on, replace what is there, or leave it alone."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers.trainer import TRAINER_STATE_NAME

from shared.data.arguments import DataArguments
from shared.errors import UserError
from shared.model.build import OF_THE_WEIGHTS
from shared.runs.folder import CARD, METRICS, SAMPLES, SETTINGS, names_outputs, read_metrics, read_settings
from shared.task import Task
from shared.training.checkpoints import checkpoints, remove, why_not_resumed

OF_A_RUN = (CARD, METRICS, "config.json", "model.safetensors", "tokenizer.json")  # what a training writes in the end


def find_checkpoint(folder: Path, resume: str | None, overwrite: bool) -> Path | None:
    """The checkpoint to resume from, if one is asked for.

    A folder that already holds a run is neither mixed with another nor replaced unasked.

    Raises:
        UserError: if there is no complete one, or a run is in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output_dir {folder} is a file: give a folder")
    checkpoint = None
    if resume and resume.lower() == "true":
        checkpoint = _newest_whole(folder)
    elif resume and resume.lower() != "false":
        checkpoint = Path(resume)
        if reason := why_not_resumed(checkpoint):
            raise UserError(f"--resume_from_checkpoint {resume}: no complete checkpoint there ({reason})")
    if overwrite or _goes_on(folder, checkpoint):
        return checkpoint
    if _holds_a_run(folder):
        whole = any(why_not_resumed(each) is None for each in checkpoints(folder))
        on = "--resume_from_checkpoint true to go on with it, " if whole else ""
        raise UserError(
            f"--output_dir {folder} holds a run already: give {on}--overwrite_output_dir to replace it, or another "
            "--output_dir"
        )
    if foreign := [name for name in OF_A_RUN if (folder / name).exists()]:
        raise UserError(
            f"--output_dir {folder} holds a {foreign[0]} of no run, which a run would replace: give another "
            "--output_dir, or --overwrite_output_dir"
        )
    return checkpoint


# Model settings that decide what a checkpoint's weights mean, as a task's `fixed` arguments do, and --optim its other
# state: all else may change from one launch to the next.
FIXED = ("size", "config_overrides", "max_length", "mask", *OF_THE_WEIGHTS)


def check_resumed(
    checkpoint: Path, kind: type[Task], data: DataArguments, model: Mapping[str, Any], optim: str
) -> None:
    """Refuse to resume another task, or with settings that the checkpoint's weights were not made for.

    Raises:
        UserError: before anything is written.
    """
    path = checkpoint.parent / SETTINGS
    if not path.is_file():
        return
    settings = read_settings(path)
    read_metrics(checkpoint.parent)  # which a broken file would stop only after the training
    if settings["task"] != kind.name:
        raise UserError(f"--resume_from_checkpoint: {checkpoint} is of a {settings['task']} run, not of {kind.name}")
    of_the_task = {name: getattr(data, name) for name in kind.fixed}
    asked = {**of_the_task, **{name: model[name] for name in FIXED}, "optim": optim}
    # A run from before there was a flag has its default.
    usual = {name: getattr(kind.Arguments, name) for name in kind.fixed}
    known = {**usual, **settings["task_arguments"], **settings["model"]}
    known["optim"] = settings["training"].get("optim", optim)
    for name, value in asked.items():
        before = known.get(name, value)
        if value != before and not (name in OF_THE_WEIGHTS and not value):
            raise UserError(
                f"--resume_from_checkpoint: {checkpoint} was trained with --{name} {before}, not {value}; give "
                "the same, or start a new run from it by --model_name_or_path"
            )


OUTPUTS = ("outputs.jsonl", "piece-1.*", "scores.md")  # what a folder of scored outputs holds


def clear(folder: Path, checkpoint: Path | None = None) -> None:
    """Remove a run that is being replaced, not one that goes on from its `checkpoint`.

    Whatever else lies in the folder is not ours.
    """
    if _holds_a_run(folder) and not _goes_on(folder, checkpoint):
        for path in checkpoints(folder):
            remove(path)
        for path in _samples(folder):
            shutil.rmtree(path, ignore_errors=True)
        for path in (folder / METRICS, folder / CARD, folder / "config.json", *folder.glob("model*.safetensors*")):
            path.unlink(missing_ok=True)


def _samples(folder: Path) -> list[Path]:
    """The folders of outputs that were scored, each by the name of its scores but the test split's.

    A folder of such a name that holds no outputs is somebody else's.
    """
    try:
        names = read_metrics(folder)
    except UserError:  # the run is being replaced
        names = {}
    places = [folder / SAMPLES, *(folder / name for name in names if names_outputs(name))]
    return [place for place in places if any(any(place.glob(pattern)) for pattern in OUTPUTS)]


def _goes_on(folder: Path, checkpoint: Path | None) -> bool:
    """Whether the run in `folder` is the one that `checkpoint` is of."""
    return checkpoint is not None and checkpoint.parent.resolve() == folder.resolve()


def _holds_a_run(folder: Path) -> bool:
    return (folder / SETTINGS).exists() or any((path / TRAINER_STATE_NAME).is_file() for path in checkpoints(folder))


def _newest_whole(folder: Path) -> Path:
    """The newest checkpoint that can be resumed; newer ones that cannot are named."""
    skipped: dict[Path, str] = {}
    for checkpoint in reversed(checkpoints(folder)):
        reason = why_not_resumed(checkpoint)
        if reason is None:
            for path, why in skipped.items():
                PartialState().print(f"{path} is skipped: {why}; going on from {checkpoint.name}", file=sys.stderr)
            return checkpoint
        skipped[checkpoint] = reason
    found = "; ".join(f"{path.name}: {reason}" for path, reason in skipped.items())
    way = "leave the flag out to start"
    if (folder / SETTINGS).exists():
        way = f"train on by --model_name_or_path {folder} and another --output_dir, or give --overwrite_output_dir"
    raise UserError(f"--resume_from_checkpoint: {folder} holds no complete checkpoint{found and f' ({found})'}; {way}")
