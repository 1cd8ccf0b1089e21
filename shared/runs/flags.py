"""A recipe's flags: which there are, which of them --help shows first, and which cannot be meant together."""

import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from shared.data.arguments import DataArguments, TextDataArguments, WritingArguments
from shared.errors import ExclusiveSettingsError, UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.candidates import check_writing
from shared.model.arguments import ModelArguments
from shared.runs.cli import Parser, names_of
from shared.runs.usage import Usage
from shared.task import Task
from shared.training.arguments import WITHOUT_EFFECT, TrainingArguments

REPOSITORY = Path(__file__).parents[2]

# What most runs set; a task's own flags are shown as well.
COMMON = (
    *("train_file", "validation_file", "test_file", "dataset_name", "max_train_samples"),
    *("model_name_or_path", "size", "max_length", "dropout", "relative_attention"),
    *("num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps"),
    *("learning_rate", "warmup_steps", "optim", "label_smoothing_factor", "ema_decay"),
    *("load_best_model_at_end", "metric_for_best_model", "predict_with_generate", "early_stopping_patience"),
    *("max_new_tokens", "num_beams", "do_sample", "temperature", "top_p"),
    *("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "seed", "report_to", "config"),
)
# Of transformers' flags, those that do not change what is learned begin so.
OF_THE_RUN = (
    *("output_dir", "overwrite", "do_", "resume", "seed", "config", "help", "log", "disable_tqdm", "report_to"),
    *("run_name", "project", "trackio", "eval", "save", "push", "hub", "restore", "enable_jit", "load_best"),
    *("metric_for", "greater", "predict_with", "early", "use_cpu", "accelerator", "parallelism", "dataloader"),
    *("ddp", "fsdp", "deepspeed", "debug", "skip_memory", "include_num", "per_device_eval"),
)


def parse(
    kind: type[Task], arguments: list[str], settings: Mapping[str, Any] | None = None
) -> tuple[DataArguments, ModelArguments, GenerationArguments, TrainingArguments]:
    """The settings of one training: of flags, or the `settings` that a caller in Python gives in their place.

    Raises:
        UserError: for what is unknown or cannot be meant.
        ExclusiveSettingsError: if each could be meant, but not both.
    """
    base = {"output_dir": f"outputs/{kind.name}", **kind.generation_defaults}
    data, model, generation, training, _ = Parser(
        kind.Arguments,
        ModelArguments,
        GenerationArguments,
        TrainingArguments,
        usage=Usage({*COMMON, *_own(kind)}, _moved),
        without_effect=WITHOUT_EFFECT,
    ).parse(arguments, base, lambda parsed: sample_config(kind, parsed[0]), settings)
    generation.check([*names_of(arguments), *(settings or ())])
    check_writing(kind, data, generation)
    if not training.do_train:
        for flag in ("resume_from_checkpoint", "overwrite_output_dir"):
            if getattr(training, flag):
                raise UserError(
                    f"--{flag} is for a training: leave it out with --do_train false; evaluate.py scores runs"
                )
    model.check(has_source=kind.has_source(data))
    if model.mask == "prefix" and not kind.needs_input:
        raise ExclusiveSettingsError(
            f"--mask prefix: {kind.name} also goes on from what is written already, which that mask would read both "
            "ways; leave it out"
        )
    if training.rdrop_alpha and not model.dropout:
        raise UserError("--rdrop_alpha compares two passes under different dropout: give --dropout more than 0")
    if model.copy_attention and (training.label_smoothing_factor or training.rdrop_alpha):
        raise ExclusiveSettingsError(
            "--copy_attention has a loss of its own: leave out --label_smoothing_factor and --rdrop_alpha, or give "
            "--copy_attention 0"
        )
    if model.bpe_dropout and data.preprocessing_num_workers:
        raise UserError("--bpe_dropout draws in the rows' order: leave out --preprocessing_num_workers")
    return data, model, generation, training


def _own(kind: type[Task]) -> set[str]:
    """The flags that a task has for itself."""
    shared = {field.name for arguments in (TextDataArguments, WritingArguments) for field in fields(arguments)}
    return {field.name for field in fields(kind.Arguments)} - shared


def _moved(group: str, name: str) -> str:
    return "run" if group in {"training", "options"} and name.startswith(OF_THE_RUN) else group


def sample_config(kind: type[Task], data: DataArguments) -> Path | None:
    """Without data of the user's, the embedded sample is meant, and the settings that fit it."""
    if not data.sample:
        return None
    path = REPOSITORY / "recipes" / "configs" / kind.name / "sample.yaml"
    print(f"no data given: the embedded sample, with {path.relative_to(REPOSITORY)}", file=sys.stderr)
    return path
