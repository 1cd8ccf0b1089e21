"""The life of a training run, from flags to scores; a recipe names its task and starts it."""

import copy
import shutil
import signal
import socket
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from datasets import Dataset, concatenate_datasets
from transformers import IntervalStrategy, set_seed

from shared.data.arguments import DataArguments
from shared.data.bpe_dropout import DropoutVocabulary
from shared.data.encoding import first_rows, pack_split, share_of
from shared.data.packing import PackedDataset
from shared.data.vocabulary import Vocabulary
from shared.errors import Interrupted, UserError
from shared.files import STAGING, atomic_directory, reserved
from shared.generation.arguments import GenerationArguments
from shared.model.arguments import ModelArguments
from shared.model.build import OF_THE_WEIGHTS
from shared.model.decoder import Decoder
from shared.model.start import build_decoder
from shared.runs.flags import parse
from shared.runs.folder import SAMPLES, add_metrics, read_metrics, save_settings
from shared.runs.launch import resuming_command
from shared.runs.model_card import model_card, score_table, write_card
from shared.runs.resuming import check_resumed, clear, find_checkpoint
from shared.task import Task
from shared.training.arguments import TrainingArguments
from shared.training.checkpoints import checkpoints, tidy
from shared.training.compiler import compiler_beside
from shared.training.hub import push
from shared.training.sharded import whole
from shared.training.trainer import Trainer

VOCABULARY = "vocabulary"
LIMITS = {"train": "max_train_samples", "validation": "max_eval_samples", "test": "max_predict_samples"}


@dataclass
class Prepared:
    """What a training begins with; `packed` are the `rows` of each split, and it may go on from a `checkpoint`."""

    task: Task
    decoder: Decoder
    rows: dict[str, Dataset]
    packed: dict[str, PackedDataset]
    checkpoint: Path | None


def train(kind: type[Task], arguments: list[str], settings: Mapping[str, Any] | None = None) -> Path:
    """Train, score and save one task's decoder, as the flags in `arguments` say; returns the run's folder.

    `settings` are what a caller in Python gives in the flags' place, see `shared.runs.cli.Parser.parse`.

    Raises:
        UserError: in one line, for what a person can mend; a run that is finished is then as it was.
        Interrupted: after SIGTERM or SIGINT, with the command that goes on.
    """
    data, model, generation, training = parse(kind, arguments, settings)
    folder = Path(training.output_dir)
    set_seed(training.seed)
    with reserved(folder) if training.should_save else nullcontext():
        if training.should_save:
            tidy(folder)
        # What forks must not do so beside a thread.
        with nullcontext() if data.preprocessing_num_workers else compiler_beside(training):
            start = prepare(kind, folder, data, model, training)
        used = {"model": asdict(model), "generation": asdict(generation), "training": training.to_sanitized_dict()}
        for name in OF_THE_WEIGHTS:
            used["model"][name] = getattr(start.decoder.config, name)
        trainer = new_trainer(start, training, generation, model.max_length)
        PartialState().wait_for_everyone()  # all have read what they start from, which may be the run that goes now
        if training.should_save:
            clear(folder, start.checkpoint)
            save_settings(folder, start.task, used)
        metrics = train_and_score(trainer, start, folder)
        if training.should_save:
            add_metrics(folder, metrics)
            write_card(folder, model_card(start.task, used, read_metrics(folder)))
            print_metrics(folder, metrics)
        if trainer.hub_model_id is not None:  # so on the one process that pushes
            push(folder, trainer.hub_model_id, training)
    return folder


def prepare(
    kind: type[Task], folder: Path, data: DataArguments, model: ModelArguments, training: TrainingArguments
) -> Prepared:
    """Rows, vocabulary, decoder and packed rows of a training, or what a checkpoint in `folder` has of them.

    Raises:
        UserError: if they cannot be had, or do not fit together.
    """
    with prepared_once(folder) as shared:
        checkpoint = find_checkpoint(folder, training.resume_from_checkpoint, training.overwrite_output_dir)
        rows = load_splits(kind, data, training.seed)
        if training.do_train and "train" not in rows:
            raise UserError("nothing to learn from: give --train_file, or --do_train false to score only")
        known = None
        if checkpoint:
            check_resumed(checkpoint, kind, data, asdict(model), training.to_sanitized_dict()["optim"])
            known = kind.build_vocabulary(data, kind.load_vocabulary(str(checkpoint)), None, 0)
        known = vocabulary_of_all(kind, data, known, shared)
        decoder, vocabulary = build_decoder(kind, data, rows.get("train"), model, training.seed, known)
        if shared and not (shared / VOCABULARY).is_dir():
            (shared / VOCABULARY).mkdir()
            vocabulary.save(shared / VOCABULARY)
        task = kind(data, vocabulary)
        packed = {
            split: pack(task, part, model, split, split == "train", training.seed, shared)
            for split, part in rows.items()
        }
    if "train" in packed:
        packed["train"].augment_with(task.augment, training.seed)
    return Prepared(task, decoder, rows, packed, checkpoint)


def new_trainer(
    start: Prepared, training: TrainingArguments, generation: GenerationArguments, max_length: int
) -> Trainer:
    """The Trainer of what is prepared; without a validation split it evaluates nothing."""
    if "validation" not in start.packed:
        training.do_eval, training.eval_strategy = False, IntervalStrategy.NO
    return Trainer(
        start.decoder,
        start.task,
        training,
        generation,
        max_length,
        train_dataset=start.packed.get("train"),
        eval_dataset=start.packed.get("validation"),
        eval_rows=start.rows.get("validation"),
        training_rows=start.rows.get("train"),
    )


def train_and_score(trainer: Trainer, start: Prepared, folder: Path) -> dict[str, Any]:
    """Train, leave the decoder in `folder`, and score the splits that are asked for; returns all metrics.

    Raises:
        Interrupted: after SIGTERM or SIGINT, with the command that goes on.
    """
    training, rows = trainer.args, start.rows
    metrics: dict[str, Any] = {"parameters": start.decoder.num_parameters()}
    with going_on(folder, training.should_save):
        if training.do_train:
            result = trainer.train(resume_from_checkpoint=str(start.checkpoint) if start.checkpoint else None)
            measured = {name: round(value, 6) for name, value in result.metrics.items()}
            if trainer.goes_on.step:  # all of it is of the part since then
                measured["from_step"] = trainer.goes_on.step
            elif start.checkpoint:  # which was of the last step
                measured = read_metrics(folder).get("train", {})
            metrics["train"] = {"rows": len(rows["train"]), **measured}
            save(trainer, folder)
        for split, scored in {"validation": training.do_eval, "test": training.do_predict}.items():
            if scored and split in rows:
                samples = folder / SAMPLES if split == "test" else None
                metrics[split] = trainer.score(rows[split], start.packed[split], split == "test", samples)
    return metrics


@contextmanager
def going_on(folder: Path, says: bool) -> Iterator[None]:
    """Say what stands when a signal ends what is done inside, and how to go on; one process `says` it.

    Raises:
        Interrupted: with that line, for such a signal.
    """
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        stop = error if isinstance(error, Interrupted) else Interrupted(signal.SIGINT, "interrupted")
        saved = checkpoints(folder)
        command = resuming_command() if saved else "the same command with --overwrite_output_dir begins again"
        line = f"{stop}; go on with: {command}" if saved else f"{stop}, without a checkpoint; {command}"
        raise Interrupted(stop.number, line if says else "") from None


def load_splits(kind: type[Task], data: DataArguments, seed: int) -> dict[str, Dataset]:
    """The rows of each split, as many as the flags ask for, which is said: a finished run keeps its flags.

    Raises:
        UserError: if they cannot be read.
    """
    rows = dict(kind.load_rows(data))
    if "train" in rows:
        rows["train"] = share_of(rows["train"], data.train_share, seed)
    for split, part in rows.items():
        rows[split] = first_rows(part, getattr(data, LIMITS[split]))
        if len(rows[split]) < len(part):
            few = f"{split}: the first {len(rows[split]):,} of {len(part):,} rows (--{LIMITS[split]})"
            PartialState().print(few, file=sys.stderr)
    return rows


@contextmanager
def prepared_once(folder: Path) -> Iterator[Path | None]:
    """Enter one by one, the first process of each host before the others, with a folder for what it prepares for them.

    The folder is None where there are no others, and is removed when all have left.
    """
    state = PartialState()
    if state.num_processes == 1:
        yield None
        return
    # A name that no earlier or other program had: what lies in its folder would be taken for these rows.
    (own,) = broadcast_object_list([uuid.uuid4().hex])
    shared = folder / f"{STAGING}prepared-{socket.gethostname()}-{own}"
    try:
        with state.local_main_process_first():
            shared.mkdir(parents=True, exist_ok=True)
            yield shared
        state.wait_for_everyone()
    finally:
        if state.is_local_main_process:
            shutil.rmtree(shared, ignore_errors=True)


def vocabulary_of_all(
    kind: type[Task], data: DataArguments, known: Vocabulary | None, shared: Path | None
) -> Vocabulary | None:
    """The vocabulary that the training goes on with, or that the host's first process has made; None: there is none."""
    place = shared / VOCABULARY if shared else None
    if known or not place or not place.is_dir():
        return known
    return kind.build_vocabulary(data, kind.load_vocabulary(str(place)), None, 0)


def pack(
    task: Task,
    rows: Dataset,
    model: ModelArguments,
    split: str,
    training: bool,
    seed: int,
    shared: Path | None = None,
) -> PackedDataset:
    """A split as packed rows; for training with `bpe_dropout` several times, each time cut into tokens anew.

    Raises:
        UserError: if no row fits, or BPE-dropout does not.
    """
    if training and model.bpe_dropout:
        task = copy.copy(task)
        task.vocabulary = DropoutVocabulary(task.vocabulary, model.bpe_dropout, seed)
        rows = concatenate_datasets([rows] * model.bpe_samples)
    return pack_split(
        rows,
        lambda rows: task.all_sequences(rows, model.max_length, training),
        split,
        max_length=model.max_length,
        pack_length=model.pack_length,
        padding=task.vocabulary.padding,
        loss_on=model.loss_on if training else "target",
        processes=task.arguments.preprocessing_num_workers,
        shared=shared,
    )


def save(trainer: Trainer, folder: Path) -> None:
    """The trained decoder, whole or not at all."""
    decoder = whole(trainer.accelerator.unwrap_model(trainer.model))
    state = trainer.accelerator.get_state_dict(trainer.model) if trainer.is_deepspeed_enabled else None
    if trainer.args.should_save:
        with atomic_directory(folder) as staging:
            decoder.save_pretrained(staging, state_dict=state)


def print_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """The scores of each split, one a line."""
    print(f"\n{folder}\n{score_table(metrics)}")
