"""Training: our Trainer on packed rows, transformers' on the same tokens with the same optimizer and precision.

Plain text is rows of equal length, where nothing is to be gained by packing. Translation pairs are packed for ours and
padded to the longest of the batch for transformers; both see the same pairs in the same step, and their tokens are what
is counted, not the padding.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import PrinterCallback

from recipes.benchmarks.measuring import (
    COMPILED,
    OURS,
    Result,
    Stopwatch,
    clean,
    peak_memory,
    plain_gpt2,
)
from recipes.benchmarks.rows import PlainRows
from shared.data.packing import PackedDataset
from shared.generation.arguments import GenerationArguments
from shared.hardware import data_sheet_peak, matmul_peak
from shared.model.build import new_decoder
from shared.model.decoder import Decoder
from shared.model.flops import mean_context, training_flops_per_token
from shared.task import Task
from shared.training.arguments import TrainingArguments
from shared.training.muon import MUON, muon_of
from shared.training.trainer import Trainer

# What transformers' Trainer is given as ours has it; the rest stays as it comes.
COMMON = [
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "adam_beta2", "bf16", "use_cpu"),
    *("max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "remove_unused_columns"),
    *("dataloader_num_workers", "dataloader_persistent_workers", "dataloader_pin_memory", "dataloader_drop_last"),
    *("output_dir", "logging_strategy", "save_strategy", "report_to", "disable_tqdm"),
]


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
    overrides: str | None = None
    relative_attention: int = 0
    optim: str = "adamw_torch_fused"

    def new_decoder(self) -> Decoder:
        return new_decoder(
            self.size,
            self.task.vocabulary,
            self.rows.pack_length,
            relative_attention=self.relative_attention,
            overrides=self.overrides,
        )

    def trainer(self, system: str, arguments: TrainingArguments) -> transformers.Trainer:
        """Ours, or transformers' with a model of the same weights."""
        decoder = self.new_decoder()
        if system == OURS:
            return Trainer(decoder, self.task, arguments, GenerationArguments(), self.rows.pack_length, self.rows)
        common = {name: getattr(arguments, name) for name in COMMON}
        model = plain_gpt2(decoder)
        trainer = transformers.Trainer(
            model,
            transformers.TrainingArguments(**common, torch_compile=system == COMPILED),
            data_collator=self.their_collator,
            train_dataset=self.their_rows,
        )
        if self.optim == MUON:  # which it steps as its own
            trainer.optimizer = muon_of(arguments, model, trainer.get_decay_parameter_names(model))
        return trainer

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
            optim=self.optim,
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
        decoder = self.new_decoder()
        flops = training_flops_per_token(decoder, mean_context(self.rows.lengths))
        per_step = self.rows.tokens / len(self.rows) * self.batch_size
        rate = per_step * self.steps / stopwatch.seconds
        notes = [f"{accumulated} × {self.batch_size // accumulated} rows a step"] if accumulated > 1 else []
        if self.relative_attention and system != OURS:
            notes.append("without relative attention")
        return {
            "case": self.name,
            "system": system,
            "tokens_per_second": rate,
            "mfu": rate * flops / matmul_peak(device),
            **({"mfu_data_sheet": rate * flops / peak} if (peak := data_sheet_peak(device)) else {}),
            **peak_memory(device),
            "first_call_s": stopwatch.first,
            **({"note": ", ".join(notes)} if notes else {}),
        }

    def train(self, system: str, device: torch.device, accumulated: int) -> Stopwatch:
        with tempfile.TemporaryDirectory() as folder:
            trainer = self.trainer(system, self.arguments(folder, device, accumulated))
            trainer.remove_callback(PrinterCallback)
            stopwatch = Stopwatch(self.warmup_steps, device)
            trainer.add_callback(stopwatch)
            trainer.train()
        return stopwatch
