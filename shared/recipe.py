"""The life of a training run, from flags to scores; a recipe names its task and starts it."""

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from accelerate import PartialState
from datasets import Dataset, concatenate_datasets
from transformers import IntervalStrategy, set_seed

from shared.cli import Parser
from shared.decoder import SIZES, Decoder, change_vocabulary, load_decoder, new_decoder
from shared.errors import ExclusiveSettingsError, UserError
from shared.evaluation import encode
from shared.files import written_whole
from shared.generation import GenerationArguments
from shared.model_card import model_card
from shared.packing import PackedDataset
from shared.positions import extend_positions
from shared.reranking import check_candidates
from shared.runs import SAMPLES, add_metrics, checkpoint_to_resume, clear, save_settings, vocabulary_folder
from shared.subwords import bpe_dropout
from shared.task import DataArguments, Task
from shared.training import Trainer, TrainingArguments

REPOSITORY = Path(__file__).parent.parent


@dataclass
class ModelArguments:
    """Which decoder to train, and on which form of the line."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Start from this: a hub name such as gpt2, a folder holding it, an earlier run."},
    )
    from_scratch: bool = field(
        default=False,
        metadata={"help": "With --model_name_or_path: its shape and vocabulary, but new weights."},
    )
    size: str = field(
        default="mini", metadata={"help": f"Else start from new weights of this size: {', '.join(SIZES)}."}
    )
    config_overrides: str | None = field(
        default=None, metadata={"help": "Change a size's config, as in n_layer=10,n_head=8 (new weights only)."}
    )
    vocab_size: int = field(default=8192, metadata={"help": "Tokens of a newly trained text vocabulary, at most."})
    max_length: int = field(default=256, metadata={"help": "Tokens in a line: source, separator, target and end."})
    extend_positions: Literal["interpolate", "tile"] | None = field(
        default=None,
        metadata={"help": "How a pre-trained decoder gets positions for a longer --max_length than it has."},
    )
    row_length: int | None = field(
        default=None,
        metadata={"help": "Tokens in a packed row, shared by several lines (default, and at least: max_length)."},
    )
    dropout: float = field(default=0.1, metadata={"help": "Dropout of embeddings and residuals."})
    attention_dropout: float = field(
        default=0.0, metadata={"help": "Dropout of attention weights (on a GPU, packed rows are slower with it)."}
    )
    relative_attention: int = field(
        default=0,
        metadata={
            "help": "Distances with embeddings of their own in relative attention (Huang et al. 2018); larger ones "
            "share the last (0: none, or those of the decoder to start from)."
        },
    )
    bpe_dropout: float = field(
        default=0.0,
        metadata={"help": "Leave out merges of the training texts' tokens with this probability, such as 0.1."},
    )
    bpe_samples: int = field(
        default=8, metadata={"help": "With --bpe_dropout: how many times each training row is cut into tokens anew."}
    )
    mask: Literal["causal", "prefix"] = field(
        default="causal", metadata={"help": "How the source sees itself: causal, or prefix (both ways)."}
    )
    loss_on: Literal["target", "line"] = field(
        default="target", metadata={"help": "What is learned: the target, or the whole line."}
    )


def parse(
    kind: type[Task], arguments: list[str]
) -> tuple[DataArguments, ModelArguments, GenerationArguments, TrainingArguments]:
    """The settings of one training; UserError for what is unknown or cannot be meant."""
    base = {"output_dir": f"outputs/{kind.name}", **kind.generation_defaults}
    task_arguments, model, generation, training, _ = Parser(
        kind.Arguments, ModelArguments, GenerationArguments, TrainingArguments
    ).parse(arguments, base, lambda parsed: sample_config(kind, parsed[0]))
    generation.check()
    check_candidates(kind, generation)
    if model.mask == "prefix" and model.loss_on == "line":
        raise ExclusiveSettingsError(
            "--mask prefix lets the source see what --loss_on line asks of it: give --loss_on target"
        )
    if not kind.needs_input and (model.mask, model.loss_on) != ("causal", "target"):
        raise ExclusiveSettingsError(
            f"{kind.name} has no source: leave out --mask {model.mask} --loss_on {model.loss_on}"
        )
    if model.config_overrides and model.model_name_or_path:
        raise UserError("--config_overrides is for new weights: leave it out with --model_name_or_path")
    if training.rdrop_alpha and not model.dropout:
        raise UserError("--rdrop_alpha compares two passes under different dropout: give --dropout more than 0")
    if not 0 <= model.bpe_dropout < 1:
        raise UserError(f"--bpe_dropout is {model.bpe_dropout}: give 0 (none) or a probability below 1")
    if model.bpe_dropout and task_arguments.preprocessing_num_workers:
        raise UserError("--bpe_dropout draws in the rows' order: leave out --preprocessing_num_workers")
    if model.bpe_samples < 1:
        raise UserError(f"--bpe_samples is {model.bpe_samples}: give 1 or more")
    if model.from_scratch and not model.model_name_or_path:
        raise UserError("--from_scratch needs --model_name_or_path, for its shape and vocabulary; --size is new anyway")
    if not 0 < task_arguments.train_share <= 1:
        raise UserError(f"--train_share {task_arguments.train_share}: give a share above 0 and up to 1")
    return task_arguments, model, generation, training


def train(kind: type[Task], arguments: list[str]) -> None:
    """Train, score and save one task's decoder, as the flags in `arguments` say."""
    task_arguments, model, generation, training = parse(kind, arguments)
    settings = {name: asdict(value) for name, value in {"model": model, "generation": generation}.items()}
    settings["training"] = training.to_sanitized_dict()
    folder = Path(training.output_dir)
    set_seed(training.seed)

    task = kind(task_arguments)
    with training.main_process_first():
        resume = checkpoint_to_resume(folder, training.resume_from_checkpoint, training.overwrite_output_dir)
        rows = task.read_rows()
        if "train" in rows:
            rows["train"] = share_of(rows["train"], task_arguments.train_share, training.seed)
        limits = {
            "train": task_arguments.max_train_samples,
            "validation": task_arguments.max_eval_samples,
            "test": task_arguments.max_predict_samples,
        }
        rows = {split: first_rows(part, limits[split]) for split, part in rows.items()}
        if training.do_train and "train" not in rows:
            raise UserError("nothing to learn from: give --train_file, or --do_train false to score only")
        decoder = start(task, rows.get("train"), model, training.seed)
        settings["model"]["relative_attention"] = decoder.config.relative_attention  # which may come with the weights
        packed = pack_splits(task, rows, model, training.seed)
        if "train" in packed:
            packed["train"].augment_with(task.augment, training.seed)

    if "validation" not in packed:
        training.do_eval, training.eval_strategy = False, IntervalStrategy.NO
    trainer = Trainer(
        decoder,
        task,
        training,
        generation,
        model.max_length,
        train_dataset=packed.get("train"),
        eval_dataset=packed.get("validation"),
        eval_rows=rows.get("validation"),
    )
    PartialState().wait_for_everyone()  # all have read what they start from, which may be the run that goes now
    if training.should_save:
        clear(folder, resume)
        save_settings(folder, task, settings)
    metrics: dict[str, Any] = {"parameters": decoder.num_parameters()}
    if training.do_train:
        result = trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        measured = {name: round(value, 6) for name, value in result.metrics.items()}
        metrics["train"] = {"rows": len(rows["train"]), **measured}
        save(trainer, folder)
    for split, wanted in {"validation": training.do_eval, "test": training.do_predict}.items():
        if wanted and split in rows:
            samples = folder / SAMPLES if split == "test" else None
            metrics[split] = trainer.score(rows[split], packed[split], generate=split == "test", samples=samples)
    if training.should_save:
        add_metrics(folder, metrics)
        with written_whole(folder) as staging:
            (staging / "README.md").write_text(model_card(task, settings, metrics), encoding="utf-8")
        print_metrics(folder, metrics)


def sample_config(kind: type[Task], data: Any) -> Path | None:
    """Without data of the user's, the embedded sample is meant, and the settings that fit it."""
    if not data.sample:
        return None
    path = REPOSITORY / "recipes" / "configs" / kind.name / "sample.yaml"
    print(f"no data given: the embedded sample, with {path.relative_to(REPOSITORY)}", file=sys.stderr)
    return path


def start(task: Task, rows: Dataset | None, model: ModelArguments, seed: int) -> Decoder:
    """The decoder to train, new or pre-trained, with the task's vocabulary (which `task` is given)."""
    if model.model_name_or_path:
        decoder = load_decoder(model.model_name_or_path, model.dropout, model.attention_dropout)
        if model.from_scratch:
            decoder = Decoder(decoder.config)
        distances = decoder.config.relative_attention
        if model.relative_attention and not distances:
            decoder.add_relative_attention(model.relative_attention)
        elif model.relative_attention not in {0, distances}:
            raise UserError(
                f"--relative_attention {model.relative_attention}: {model.model_name_or_path} has {distances} distances"
            )
        decoder.config.mask = model.mask
        old = task.load_vocabulary(vocabulary_folder(model.model_name_or_path))
        task.vocabulary = task.make_vocabulary(old, rows, model.vocab_size)
        change_vocabulary(decoder, old, task.vocabulary)
        if model.max_length > decoder.context:
            if not model.extend_positions:
                raise UserError(
                    f"--max_length {model.max_length}: {model.model_name_or_path} has positions for {decoder.context} "
                    "only; give --extend_positions tile (or interpolate) to add some"
                )
            extend_positions(decoder, model.max_length, model.extend_positions)
    else:
        if model.size not in SIZES:
            raise UserError(f"--size {model.size}: choose one of {', '.join(SIZES)}")
        if rows is None:
            raise UserError("a new decoder needs training data: give --train_file or --model_name_or_path")
        task.vocabulary = task.make_vocabulary(None, rows, model.vocab_size)
        decoder = new_decoder(
            model.size,
            task.vocabulary,
            model.max_length,
            model.dropout,
            model.attention_dropout,
            model.mask,
            model.relative_attention,
            seed,
            model.config_overrides,
        )
    name = ("the shape of " if model.from_scratch else "") + (model.model_name_or_path or model.size)
    tokens = len(task.vocabulary.tokens)
    PartialState().print(f"{name}: {decoder.num_parameters():,} parameters, {tokens:,} tokens", file=sys.stderr)
    return decoder


def share_of(rows: Dataset, share: float, seed: int) -> Dataset:
    """A random share of the rows, at least one; a smaller share is part of a larger one of the same seed."""
    if share == 1:
        return rows
    count = max(1, round(share * len(rows)))
    return rows.select(np.random.default_rng(seed).permutation(len(rows))[:count])


def first_rows(rows: Dataset, limit: int | None) -> Dataset:
    """The first `limit` rows, or all where there is no limit or there are no more."""
    if limit is not None and limit < 1:
        raise UserError(f"the first {limit} rows are none: give --max_…_samples 1 or more")
    return rows.select(range(min(limit or len(rows), len(rows))))


def pack_splits(task: Task, rows: dict[str, Dataset], model: ModelArguments, seed: int) -> dict[str, PackedDataset]:
    """Every split as packed lines; with `bpe_dropout` the training rows several times, each time cut anew."""
    packed = {}
    for split, part in rows.items():
        if split == "train" and model.bpe_dropout:
            with bpe_dropout(task.vocabulary, model.bpe_dropout, seed):
                packed[split] = pack_split(task, concatenate_datasets([part] * model.bpe_samples), model, split)
        else:
            packed[split] = pack_split(task, part, model, split)
    return packed


def pack_split(task: Task, rows: Dataset, model: ModelArguments, split: str) -> PackedDataset:
    """A split as packed rows; what was dropped or cut is said aloud."""
    lines, counts = encode(task, rows, model.max_length, split == "train", split)
    row_length = max(model.row_length or model.max_length, model.max_length)
    learn = model.loss_on if split == "train" else "target"
    packed = PackedDataset(lines, row_length, task.vocabulary.padding, learn)
    PartialState().print(
        f"{split}: {len(rows):,} rows as {len(lines):,} lines, {packed.tokens:,} tokens in {len(packed):,} rows; "
        f"{counts['dropped']:,} dropped (target longer than --max_length {model.max_length}), "
        f"{counts['cut']:,} sources cut",
        file=sys.stderr,
    )
    return packed


def save(trainer: Trainer, folder: Path) -> None:
    """The trained decoder, whole or not at all."""
    state = trainer.accelerator.get_state_dict(trainer.model)
    if trainer.args.should_save:
        with written_whole(folder) as staging:
            trainer.accelerator.unwrap_model(trainer.model).save_pretrained(staging, state_dict=state)


def print_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """The scores of each split, one a line."""
    print(f"\n{folder}")
    for split, scores in metrics.items():
        for name, value in scores.items() if isinstance(scores, dict) and split != "train" else ():
            if isinstance(value, int | float):
                print(f"  {split:<10}  {name:<28} {value:>10,.3f}")
