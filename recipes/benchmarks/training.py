"""Training: our Trainer on packed rows, transformers' on the same tokens with the same optimizer and precision.

Plain text is rows of equal length, where nothing is to be gained by packing. Translation pairs are packed for ours and
padded to the longest of the batch for transformers; both see the same pairs in the same step, and their tokens are what
is counted, not the padding.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from datasets import Dataset as ArrowDataset
from transformers import PrinterCallback, default_data_collator

from recipes.benchmarks.measuring import (
    COMPILED,
    OURS,
    Result,
    Stopwatch,
    check_counts,
    check_sizes,
    clean,
    compared,
    numbered,
    peak_memory,
    plain_gpt2,
    random_rows,
)
from recipes.benchmarks.rows import PaddingCollator, PlainRows, UnpackedRows
from shared.data.encoding import encode
from shared.data.packing import PackedDataset
from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.hardware import matmul_peak
from shared.model.build import new_decoder
from shared.model.flops import mean_context, training_flops_per_token
from shared.task import Task
from shared.training.arguments import TrainingArguments
from shared.training.trainer import Trainer
from tasks.language_modeling.task import LanguageModeling, LanguageModelingArguments
from tasks.translation.task import Translation, TranslationArguments

GPT2_VOCABULARY = 50257
# What transformers' Trainer is given as ours has it; the rest stays as it comes.
COMMON = [
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "adam_beta2", "bf16", "use_cpu"),
    *("max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "remove_unused_columns"),
    *("dataloader_num_workers", "dataloader_persistent_workers", "dataloader_pin_memory", "dataloader_drop_last"),
    *("output_dir", "logging_strategy", "save_strategy", "report_to", "disable_tqdm"),
]


@dataclass
class TrainingCases:
    """What to train, and for how long."""

    size: str | None = field(
        default=None, metadata={"help": "Train a decoder of this size on text (default: gpt2 on a GPU, else none)."}
    )
    batch_size: int = field(default=32, metadata={"help": "Rows of text in a step."})
    length: int = field(default=1024, metadata={"help": "Tokens in a row of text."})
    steps: int = field(default=20, metadata={"help": "Training steps that are measured."})
    warmup_steps: int = field(default=5, metadata={"help": "Training steps before them."})
    pairs: list[str] | None = field(
        default=None, metadata={"help": "File(s) of translations, fields en and de (default: the embedded sample)."}
    )
    pairs_size: str = field(default="tiny", metadata={"help": "Train a decoder of this size on translation pairs."})
    pairs_vocab_size: int = field(default=2000, metadata={"help": "Tokens of the pairs' vocabulary, at most."})
    pairs_length: int = field(default=64, metadata={"help": "Tokens in the line of a pair, at most."})
    pairs_row_length: int = field(default=128, metadata={"help": "Tokens in a packed row of pairs."})
    pairs_batch_size: int = field(default=8, metadata={"help": "Packed rows of pairs in a step."})

    def check(self) -> None:
        """Refuse numbers and sizes that measure nothing.

        Raises:
            UserError: that names the flag.
        """
        check_counts(self, ["batch_size", "length", "steps", "warmup_steps", "pairs_batch_size"])
        check_sizes(self, ["size", "pairs_size"])


@dataclass
class Training:
    """One case: a new decoder of `size`, trained on `rows` by our Trainer and on `their_rows` by transformers'."""

    name: str
    size: str
    task: Task
    rows: PackedDataset
    their_rows: PlainRows
    their_collator: Callable
    batch_size: int
    steps: int
    warmup_steps: int

    def trainer(self, system: str, arguments: TrainingArguments) -> transformers.Trainer:
        """Ours, or transformers' with a model of the same weights."""
        decoder = new_decoder(self.size, self.task.vocabulary, self.rows.pack_length)
        if system == OURS:
            return Trainer(decoder, self.task, arguments, GenerationArguments(), self.rows.pack_length, self.rows)
        common = {name: getattr(arguments, name) for name in COMMON}
        return transformers.Trainer(
            plain_gpt2(decoder),
            transformers.TrainingArguments(**common, torch_compile=system == COMPILED),
            data_collator=self.their_collator,
            train_dataset=self.their_rows,
        )

    def arguments(self, folder: str, device: torch.device, accumulated: int) -> TrainingArguments:
        """As a recipe trains, with nothing beside it. On a CPU, without what is meant for a GPU."""
        on_cpu: dict[str, Any] = {
            **{"use_cpu": True, "bf16": False, "torch_compile": False, "cuda_graph": False},
            **{"dataloader_pin_memory": False, "dataloader_num_workers": 0, "accelerator_config": None},
        }
        return TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=self.batch_size // accumulated,
            gradient_accumulation_steps=accumulated,
            max_steps=self.warmup_steps + self.steps,
            dataloader_drop_last=True,  # all steps are of one size
            logging_strategy="no",
            eval_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            **(on_cpu if device.type == "cpu" else {}),
        )

    def results(self, systems: tuple[str, ...], device: torch.device) -> Iterator[Result]:
        for system in systems:
            yield self.result(system, device)

    def result(self, system: str, device: torch.device) -> Result:
        """One line of the table. A batch that does not fit into memory is halved, and accumulated to the same step."""
        accumulated, fits = 1, False
        while not fits:
            clean(device)
            try:
                stopwatch = self.train(system, device, accumulated)
                fits = True
            except torch.OutOfMemoryError:
                if accumulated * 2 > self.batch_size:
                    raise
                accumulated *= 2
        decoder = new_decoder(self.size, self.task.vocabulary, self.rows.pack_length)
        flops = training_flops_per_token(decoder, mean_context(self.rows.lengths))
        per_step = self.rows.tokens / len(self.rows) * self.batch_size
        rate = per_step * self.steps / stopwatch.seconds
        halved = {"note": f"{accumulated} × {self.batch_size // accumulated} rows a step"} if accumulated > 1 else {}
        return {
            "case": self.name,
            "system": system,
            "tokens_per_second": rate,
            "mfu": rate * flops / matmul_peak(device),
            **peak_memory(device),
            "first_call_s": stopwatch.first,
            **halved,
        }

    def train(self, system: str, device: torch.device, accumulated: int) -> Stopwatch:
        with tempfile.TemporaryDirectory() as folder:
            trainer = self.trainer(system, self.arguments(folder, device, accumulated))
            trainer.remove_callback(PrinterCallback)
            stopwatch = Stopwatch(self.warmup_steps, device)
            trainer.add_callback(stopwatch)
            trainer.train()
        return stopwatch


def text_training(cases: TrainingCases, size: str) -> Training:
    """Random tokens of GPT-2's vocabulary, a row of them one sequence."""
    task = LanguageModeling(LanguageModelingArguments(), numbered(GPT2_VOCABULARY))
    rows = cases.batch_size * (cases.warmup_steps + cases.steps)
    ids = random_rows(rows, cases.length, GPT2_VOCABULARY)
    lines = ArrowDataset.from_dict({"input_ids": ids, "context": [1] * rows, "length": [cases.length] * rows})
    packed = PackedDataset(lines, cases.length, task.vocabulary.padding)
    return Training(
        f"train {size} on text, {cases.batch_size} rows of {cases.length:,}",
        size,
        task,
        packed,
        PlainRows(packed),
        default_data_collator,
        cases.batch_size,
        cases.steps,
        cases.warmup_steps,
    )


def pairs_training(cases: TrainingCases) -> Training:
    """Translations, packed by us and padded by transformers.

    Raises:
        UserError: if the pairs cannot be read, or do not fill a batch.
    """
    arguments = TranslationArguments(train_file=cases.pairs)
    rows = Translation.load_rows(arguments)["train"]
    task = Translation(arguments, Translation.build_vocabulary(arguments, None, rows, cases.pairs_vocab_size))
    lines, _ = encode(rows, lambda row: task.sequences(row, cases.pairs_length, True), "train")
    packed = PackedDataset(lines, max(cases.pairs_row_length, cases.pairs_length), task.vocabulary.padding)
    if len(packed) < cases.pairs_batch_size:
        raise UserError(f"--pairs_batch_size {cases.pairs_batch_size}: the pairs fill {len(packed)} rows only")
    return Training(
        f"train {cases.pairs_size} on pairs, {cases.pairs_batch_size} rows of {packed.pack_length:,}",
        cases.pairs_size,
        task,
        packed,
        UnpackedRows(packed),
        PaddingCollator(task.vocabulary.tokenizer),
        cases.pairs_batch_size,
        cases.steps,
        cases.warmup_steps,
    )


def training_results(cases: TrainingCases, systems: tuple[str, ...], device: torch.device) -> Iterator[Result]:
    """The lines of the table, one by one."""
    if cases.size:
        yield from compared(text_training(cases, cases.size).results(systems, device))
    yield from compared(pairs_training(cases).results(systems, device))
