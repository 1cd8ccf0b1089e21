"""transformers' Trainer, taught packed rows, scores by generation and checkpoints that are whole or absent."""

import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from datasets import Dataset
from safetensors import SafetensorError
from transformers import EarlyStoppingCallback
from transformers.trainer_utils import EvalLoopOutput

from shared.averaging import WeightAverage, load_last_step, save_last_step
from shared.best_checkpoint import settle_metric
from shared.decoder import Decoder
from shared.errors import UserError
from shared.evaluation import BF16, evaluate
from shared.generation import GenerationArguments
from shared.muon import MUON, muon
from shared.packing import PackedDataset, collate
from shared.sequence import IGNORED
from shared.speed import mean_context, training_flops_per_token
from shared.task import Task
from shared.throughput import Throughput

GPU = torch.cuda.is_available()
# A GPU should find its next batch ready. Where the CPU does the work, processes beside it would only take its cores.
WORKERS = min(4, len(os.sched_getaffinity(0)) // torch.cuda.device_count()) if GPU else 0


@dataclass
class TrainingArguments(transformers.TrainingArguments):
    """transformers' own arguments, with the defaults of a decoder's training.

    The learning rate warms up and decays along a cosine; bfloat16 is used where the GPU has it.
    """

    output_dir: str | None = field(default=None, metadata={"help": "The run's folder."})
    dataloader_pin_memory: bool = field(default=GPU, metadata={"help": "Pin batches in memory (default: with a GPU)."})
    dataloader_num_workers: int = field(
        default=WORKERS, metadata={"help": "Processes that prepare batches (default: up to 4 for each GPU, else none)."}
    )
    accelerator_config: dict | str | None = field(
        default_factory=lambda: {"non_blocking": GPU},
        metadata={"help": "Accelerate's settings, as JSON (default: copies to a GPU that nothing waits for)."},
    )
    ddp_find_unused_parameters: bool = field(default=False, metadata={"help": "Leave it false: all weights are used."})
    overwrite_output_dir: bool = field(default=False, metadata={"help": "Replace the run that --output_dir holds."})
    do_train: bool = field(default=True, metadata={"help": "Whether to train."})
    do_eval: bool = field(default=True, metadata={"help": "Whether to score the validation split after training."})
    do_predict: bool = field(default=True, metadata={"help": "Whether to score the test split after training."})
    predict_with_generate: bool = field(
        default=False, metadata={"help": "Also score what the decoder writes whenever it is evaluated in training."}
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={
            "help": "Stop after so many evaluations in a row without a better --metric_for_best_model (default: loss)."
        },
    )
    rdrop_alpha: float = field(
        default=0.0,
        metadata={
            "help": "R-Drop: the weight of agreement between two passes of each row under dropout (0: one pass)."
        },
    )
    ema_decay: float = field(
        default=0.0,
        metadata={"help": "Evaluate and save an exponential moving average of the weights, such as 0.999 (0: none)."},
    )
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "Count on, when resumed, towards --early_stopping_patience."}
    )
    per_device_train_batch_size: int = field(default=16, metadata={"help": "Packed rows in one step of one device."})
    per_device_eval_batch_size: int = field(default=16, metadata={"help": "Packed rows at once when evaluating."})
    learning_rate: float = field(default=5e-4, metadata={"help": "The peak learning rate."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "How the learning rate falls."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Steps of warm-up; below 1, a share of all steps."})
    optim: str = field(
        default="adamw_torch_fused",
        metadata={"help": "The optimizer: one of transformers' own, or muon (see shared.muon)."},
    )
    weight_decay: float = field(default=0.1, metadata={"help": "The optimizer's weight decay."})
    adam_beta2: float = field(default=0.98, metadata={"help": "AdamW's second beta."})
    compile: bool = field(default=GPU, metadata={"help": "Compile the decoder's body (default: with a GPU)."})
    bf16: bool = field(default=BF16, metadata={"help": "bfloat16 mixed precision (default: where the GPU has it)."})
    logging_steps: float = field(default=50, metadata={"help": "Steps between two lines of the log."})
    logging_nan_inf_filter: bool = field(
        default=False,
        metadata={"help": "Leave losses that are no number out of the log, waiting for the GPU each step."},
    )
    eval_strategy: str = field(default="epoch", metadata={"help": "When to evaluate: no, steps or epoch."})
    save_strategy: str = field(
        default="epoch", metadata={"help": "When to save a checkpoint: no, steps, epoch or best."}
    )
    save_total_limit: int | None = field(default=2, metadata={"help": "Checkpoints kept; older ones are deleted."})
    report_to: str = field(default="none", metadata={"help": "Trackers: tensorboard, wandb, …"})
    remove_unused_columns: bool = field(default=False, metadata={"help": "Leave it false: rows are packed already."})

    def __post_init__(self):
        if not 0 <= self.ema_decay < 1:
            raise UserError(f"--ema_decay is {self.ema_decay}: give 0 (no average) or a share below 1")
        if not self.rdrop_alpha >= 0:
            raise UserError(f"--rdrop_alpha is {self.rdrop_alpha}: give 0 or more")
        if self.early_stopping_patience is not None and self.early_stopping_patience < 1:
            raise UserError(f"--early_stopping_patience is {self.early_stopping_patience}: give 1 or more")
        if self.early_stopping_patience or self.save_strategy == "best":
            self.metric_for_best_model = self.metric_for_best_model or "loss"
        if self.auto_find_batch_size and self.compile:
            raise UserError("--auto_find_batch_size: what is compiled is compiled for one size; give --compile false")
        greater_is_better, optim, do_eval = self.greater_is_better, self.optim, self.do_eval
        if optim == MUON:
            if self.fp16:
                raise UserError("--optim muon does not skip steps that overflow in float16: give --bf16 or no --fp16")
            self.optim = "adamw_torch_fused"  # transformers does not know ours
        super().__post_init__()
        self.optim = optim
        self.do_eval = do_eval  # which transformers switches on where evaluations are asked for while training
        self.greater_is_better = greater_is_better  # not guessed by the name here: the task's metrics tell
        # Otherwise every epoch would start its workers anew.
        self.dataloader_persistent_workers = self.dataloader_num_workers > 0


def collate_counted(rows: list[dict[str, np.ndarray]], padding: int, size: int = 0) -> dict[str, Any]:
    """As `collate`, with the number of `tokens` that are not `padding`, known here without asking a GPU.

    With less than `size` rows, as at the end of an epoch, rows of padding are added: what is compiled is compiled for
    one shape.
    """
    tokens = int(sum((row["input_ids"] != padding).sum() for row in rows))
    length = len(rows[0]["input_ids"])
    empty = {
        "input_ids": np.full(length, padding),
        "position_ids": rows[0]["position_ids"],  # as there, so that no other kind of mask is asked for
        "labels": np.full(length, IGNORED),
        "prefix": np.zeros(length, dtype=bool),
    }
    return {**collate(rows + [empty] * (size - len(rows))), "tokens": tokens}


class EpochOfRows(transformers.TrainerCallback):
    """Tells the rows which epoch begins. accelerate does so, too, but not where it skips batches or divides them."""

    def on_epoch_begin(self, args, state, control, train_dataloader, **kwargs) -> None:
        train_dataloader.dataset.set_epoch(int(state.epoch or 0))


class Trainer(transformers.Trainer):
    """Trains a `Decoder` on packed rows and evaluates it on a task's own terms.

    `eval_rows` are the rows behind `eval_dataset`; `generation` is used while training only with
    `--predict_with_generate`.
    """

    def __init__(
        self,
        decoder: Decoder,
        task: Task,
        arguments: TrainingArguments,
        generation: GenerationArguments,
        max_length: int,
        train_dataset: PackedDataset | None = None,
        eval_dataset: PackedDataset | None = None,
        eval_rows: Dataset | None = None,
    ):
        # Smoothed by the decoder, on learned tokens; the Trainer's own way wants all logits.
        decoder.label_smoothing, arguments.label_smoothing_factor = arguments.label_smoothing_factor, 0.0
        decoder.rdrop_alpha = arguments.rdrop_alpha
        settle_metric(arguments, task, eval_rows, arguments.predict_with_generate)
        arguments._n_gpu = min(arguments.n_gpu, 1)  # one process, one GPU: more are for `accelerate launch`
        if arguments.compile:
            decoder.compile()
        super().__init__(
            decoder,
            arguments,
            data_collator=partial(
                collate_counted,
                padding=task.vocabulary.padding,
                size=arguments.per_device_train_batch_size if arguments.compile else 0,
            ),
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
        )
        self.add_callback(EpochOfRows)
        self.task, self.generation, self.max_length = task, generation, max_length
        self.eval_rows = eval_rows
        context = mean_context(train_dataset.lengths) if train_dataset else 0
        self.throughput = Throughput(self.accelerator, training_flops_per_token(decoder, context))
        self.add_callback(self.throughput)
        if arguments.early_stopping_patience:
            self.add_callback(EarlyStoppingCallback(arguments.early_stopping_patience))
        self.average = WeightAverage(decoder, arguments.ema_decay) if arguments.ema_decay else None
        if self.average:
            self.add_callback(self.average)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            for flag, wanted in {"--ema_decay": arguments.ema_decay, "--optim muon": arguments.optim == MUON}.items():
                if wanted:
                    raise UserError(f"{flag} needs whole weights: leave it out where FSDP or DeepSpeed divides them")

    def create_optimizer(self, *args) -> torch.optim.Optimizer:
        if self.optimizer is None and self.args.optim == MUON:
            self.optimizer = muon(
                self.model,
                self.get_decay_parameter_names(self.model),
                lr=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
            )
        return super().create_optimizer(*args)

    def get_batch_samples(self, *args, **kwargs) -> tuple[list, torch.Tensor | int | None]:
        batches, learned = super().get_batch_samples(*args, **kwargs)
        self.throughput.tokens += sum(batch.pop("tokens") for batch in batches)
        return batches, learned

    def floating_point_ops(self, inputs: dict[str, torch.Tensor]) -> float:
        """What the Trainer sums up as `total_flos`; its own way goes through all parameters in every step."""
        return self.throughput.flops_per_token * inputs["input_ids"].numel()

    def log(self, logs: dict[str, float], *args, **kwargs) -> None:
        if "loss" in logs:  # a line of the training, not the scores of an evaluation
            logs |= self.throughput.read()
        super().log(logs, *args, **kwargs)

    def score(
        self, rows: Dataset, packed: PackedDataset, generate: bool, samples: Path | None = None
    ) -> dict[str, Any]:
        """Every metric of a split; with `generate` also those of what the decoder writes, kept in `samples`."""
        with self._averaged():
            return evaluate(
                self.accelerator.unwrap_model(self.model),
                self.task,
                rows,
                packed,
                self.generation if generate else None,
                batch_size=self.args.per_device_eval_batch_size,
                max_length=self.max_length,
                seed=self.args.seed,
                accelerator=self.accelerator,
                samples=samples,
            )

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        with self.throughput.paused():
            return super().evaluate(*args, **kwargs)

    def evaluation_loop(self, dataloader, description, *args, metric_key_prefix="eval", **kwargs) -> EvalLoopOutput:
        metrics = self.score(self.eval_rows, dataloader.dataset, self.args.predict_with_generate)
        numbers = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items() if isinstance(value, float)}
        return EvalLoopOutput(None, None, numbers, num_samples=len(self.eval_rows))

    def _averaged(self) -> AbstractContextManager:
        return self.average.in_place() if self.average else nullcontext()

    def save_model(self, *args, **kwargs) -> None:
        with self._averaged():
            super().save_model(*args, **kwargs)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.average and self.args.should_save:
            save_last_step(self.accelerator.unwrap_model(self.model), Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model=None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.average:
            self.average.start()
        load_last_step(self.model, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        super()._load_best_model()
        if self.average:
            self.average.start()  # what was loaded is an average already

    def _save_checkpoint(self, model, trial) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        try:
            with self.throughput.paused():
                super()._save_checkpoint(model, trial)
        except (OSError, SafetensorError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "write" not in str(error):  # torch.save's word for a full disk
                raise
            shutil.rmtree(folder, ignore_errors=True)
            raise UserError(
                f"checkpoint {folder} could not be written ({' '.join(str(error).split())}) and was removed; free some "
                "space, then go on with --resume_from_checkpoint true"
            ) from error
