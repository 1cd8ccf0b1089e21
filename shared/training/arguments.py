"""The flags of a training: transformers' own, and a few of ours."""

import math
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, ClassVar

import torch
import transformers
from transformers.training_args import OptimizerNames

from shared.errors import UserError, first_line
from shared.hardware import BF16, GPU
from shared.threads import processors
from shared.training.muon import MUON

# A GPU should find its next batch ready. Where the CPU does the work, processes beside it would only take its cores.
WORKERS = min(4, processors() // torch.cuda.device_count()) if GPU else 0
WITH_GPU: Any = None  # the default of what is a GPU's, and neither a machine's without one nor of --use_cpu
OF_GPU = {"torch_compile": GPU, "cuda_graph": GPU, "bf16": BF16, "dataloader_pin_memory": GPU,
    "dataloader_num_workers": WORKERS}  # fmt: skip

SCORES = "each task has scores of its own, of whole splits"
LIGER = "the loss has a kernel of its own, and Liger has none for GPT-2's blocks"
# transformers' flags that change nothing here, and why.
WITHOUT_EFFECT = {
    **dict.fromkeys(("prediction_loss_only", "eval_do_concat_batches", "eval_use_gather_object"), SCORES),
    **dict.fromkeys(("eval_accumulation_steps", "include_for_metrics", "batch_eval_metrics", "label_names"), SCORES),
    **dict.fromkeys(("bf16_full_eval", "fp16_full_eval"), "splits are scored in the precision of the training"),
    **dict.fromkeys(("use_liger_kernel", "liger_kernel_config"), LIGER),
    "remove_unused_columns": "rows are packed already",
    "length_column_name": "packed rows are all of one length",
    "use_cache": "training keeps no cache of keys and values",
    "dataloader_persistent_workers": "workers stay wherever there are any",
    "local_rank": "the launcher says it",
    "average_tokens_across_devices": "a step's loss is the mean over all its tokens, on whatever devices",
}

LEAST = {
    **dict.fromkeys(("per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps"), 1),
    "early_stopping_patience": 1,
    **dict.fromkeys(("learning_rate", "weight_decay", "max_grad_norm", "num_train_epochs", "warmup_steps", "seed"), 0),
    **dict.fromkeys(("rdrop_alpha", "adam_epsilon", "dataloader_num_workers"), 0),
}
SHARES = ("label_smoothing_factor", "adam_beta1", "adam_beta2", "ema_decay")
LARGEST_SEED = 2**32 - 1  # of NumPy's generators


@dataclass
class TrainingArguments(transformers.TrainingArguments):
    """transformers' own arguments, with the defaults of a decoder's training.

    The learning rate warms up and decays along a cosine; bfloat16 is used where the GPU has it.
    """

    _argument_group_name: ClassVar[str] = "training"

    output_dir: str = field(default="outputs", metadata={"help": "The run's folder."})
    dataloader_pin_memory: bool = field(
        default=WITH_GPU, metadata={"help": "Pin batches in memory (default: with a GPU)."}
    )
    dataloader_num_workers: int = field(
        default=WITH_GPU,
        metadata={"help": "Number of processes that prepare batches (default: up to 4 for each GPU, otherwise none)."},
    )
    accelerator_config: dict | str | None = field(
        default_factory=lambda: {"non_blocking": GPU},
        metadata={"help": "Accelerate's settings, as JSON (default: non-blocking copies to a GPU)."},
    )
    ddp_find_unused_parameters: bool = field(
        default=False, metadata={"help": "Leave this false: all weights are used."}
    )
    overwrite_output_dir: bool = field(default=False, metadata={"help": "Replace the run that --output_dir holds."})
    resume_from_checkpoint: str | None = field(
        default=None,
        metadata={"help": "true: go on from the last checkpoint in --output_dir; or a checkpoint's folder."},
    )
    num_train_epochs: float = field(default=3.0, metadata={"help": "How often to go through the training rows."})
    max_steps: int = field(default=-1, metadata={"help": "Train so many steps, whatever --num_train_epochs says."})
    gradient_accumulation_steps: int = field(
        default=1, metadata={"help": "Batches of each device that are added up to one step."}
    )
    label_smoothing_factor: float = field(
        default=0.0, metadata={"help": "Of a target's probability, the share that goes to all tokens alike (0: none)."}
    )
    load_best_model_at_end: bool = field(
        default=False, metadata={"help": "Keep the weights of the best evaluation, not the last ones."}
    )
    metric_for_best_model: str | None = field(
        default=None, metadata={"help": "What is best: a score as metrics.json names it (default: loss)."}
    )
    seed: int = field(default=42, metadata={"help": "Where the random numbers start."})
    do_train: bool = field(default=True, metadata={"help": "Whether to train."})
    do_eval: bool = field(default=True, metadata={"help": "Whether to score the validation split after training."})
    do_predict: bool = field(default=True, metadata={"help": "Whether to score the test split after training."})
    predict_with_generate: bool = field(
        default=False, metadata={"help": "Generate and score outputs in every evaluation during training."}
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={"help": "Stop after this many evaluations without a better --metric_for_best_model (default: loss)."},
    )
    rdrop_alpha: float = field(
        default=0.0,
        metadata={
            "help": "R-Drop: the weight of the agreement between two passes of each row with dropout (0: one pass)."
        },
    )
    ema_decay: float = field(
        default=0.0,
        metadata={"help": "Evaluate and save an exponential moving average of the weights, such as 0.999 (0: none)."},
    )
    restore_callback_states_from_checkpoint: bool = field(
        default=True, metadata={"help": "After a resume, continue to count towards --early_stopping_patience."}
    )
    per_device_train_batch_size: int = field(
        default=16, metadata={"help": "Number of packed rows per step and device."}
    )
    per_device_eval_batch_size: int = field(
        default=16, metadata={"help": "Number of packed rows per step and device in evaluation."}
    )
    learning_rate: float = field(default=5e-4, metadata={"help": "The peak learning rate."})
    lr_scheduler_type: str = field(default="cosine", metadata={"help": "The learning rate schedule."})
    warmup_steps: float = field(
        default=0.05, metadata={"help": "Number of warm-up steps; below 1, a share of all steps."}
    )
    optim: str = field(
        default="adamw_torch_fused",
        metadata={"help": "The optimizer: one of transformers' own, or muon (see shared/training/muon.py)."},
    )
    optim_args: str | None = field(
        default=None,
        metadata={
            "help": "More of the optimizer's settings; muon's are momentum=0.95,adamw_rate=1 (by which the learning "
            "rate is multiplied for all but the layers' matrices)."
        },
    )
    weight_decay: float = field(default=0.1, metadata={"help": "The optimizer's weight decay."})
    adam_beta2: float = field(default=0.98, metadata={"help": "AdamW's second beta."})
    torch_compile: bool = field(
        default=WITH_GPU, metadata={"help": "Compile the decoder's body (default: with a GPU)."}
    )
    cuda_graph: bool = field(
        default=WITH_GPU,
        metadata={"help": "Record a whole step as a CUDA graph and replay it (default: with a GPU)."},
    )
    bf16: bool = field(default=WITH_GPU, metadata={"help": "bfloat16 mixed precision (default: where the GPU has it)."})
    logging_steps: float = field(default=50, metadata={"help": "Number of steps between two lines of the log."})
    logging_nan_inf_filter: bool = field(
        default=False,
        metadata={"help": "Leave NaN and infinite losses out of the log (this waits for the GPU in each step)."},
    )
    eval_strategy: str = field(default="epoch", metadata={"help": "When to evaluate: no, steps or epoch."})
    save_strategy: str = field(
        default="epoch", metadata={"help": "When to save a checkpoint: no, steps, epoch or best."}
    )
    save_total_limit: int | None = field(
        default=2, metadata={"help": "Number of checkpoints to keep; older ones are deleted."}
    )
    report_to: str = field(default="none", metadata={"help": "Trackers: tensorboard, wandb, …"})
    hub_strategy: str = field(default="end", metadata={"help": "When --push_to_hub pushes: end (the finished run)."})
    remove_unused_columns: bool = False

    def __post_init__(self) -> None:
        for name, value in OF_GPU.items():
            if getattr(self, name) is None:
                setattr(self, name, type(value)() if self.use_cpu else value)  # False, or no workers
        if not self.output_dir.strip():
            raise UserError("--output_dir is empty: give a folder")
        self._check_numbers()
        if self.hub_strategy != "end":
            raise UserError(f"--hub_strategy {self.hub_strategy}: only a finished run is pushed; give end")
        if self.early_stopping_patience or self.save_strategy == "best":
            self.metric_for_best_model = self.metric_for_best_model or "loss"
        if self.torch_compile_backend or self.torch_compile_mode:
            self.torch_compile = True
        backend = self.torch_compile_backend
        if backend and backend not in torch.compiler.list_backends(exclude_tags=()):
            known = ", ".join(torch.compiler.list_backends())
            raise UserError(f"--torch_compile_backend {backend}: give one of {known}")
        if self.auto_find_batch_size and self.torch_compile:
            raise UserError(
                "--auto_find_batch_size: what is compiled is compiled for one size; give --torch_compile false"
            )
        self._check_trackers()
        self._check_optimizer()
        # What transformers' own class would change: it compiles the whole model, evaluates wherever training does, and
        # guesses by a metric's name which way is better. The Trainer here does each in its own way.
        kept = ("torch_compile", "torch_compile_backend", "torch_compile_mode", "greater_is_better", "optim", "do_eval")
        values = {name: getattr(self, name) for name in kept}
        self.torch_compile, self.torch_compile_backend, self.torch_compile_mode = False, None, None
        if self.optim == MUON:
            self.optim = "adamw_torch_fused"  # transformers does not know ours
        try:
            super().__post_init__()
        except TypeError as error:  # a key that accelerate does not know
            raise UserError(f"--accelerator_config {self.accelerator_config}: {first_line(error)}") from error
        self._check_parsed()
        for name, value in values.items():
            setattr(self, name, value)
        # Otherwise every epoch would start its workers anew.
        self.dataloader_persistent_workers = self.dataloader_num_workers > 0

    def _check_parsed(self) -> None:
        """UserError for what is wrong in settings that come as JSON, which are objects by now."""
        accelerator: Any = self.accelerator_config
        schedule: Any = self.lr_scheduler_kwargs or {}
        if accelerator.dispatch_batches:
            raise UserError(
                "--accelerator_config dispatch_batches divides batches row by row, and packed ones hold lists of "
                "places: leave it out"
            )
        if not isinstance(schedule, dict):
            raise UserError(f"--lr_scheduler_kwargs {schedule}: give the schedule's settings as JSON")
        name = getattr(self.lr_scheduler_type, "value", self.lr_scheduler_type)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
        try:
            transformers.get_scheduler(name, optimizer, 1, 10, scheduler_specific_kwargs=schedule)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"--lr_scheduler_type {name}: {first_line(error)}; its settings are --lr_scheduler_kwargs, as JSON"
            ) from error

    def _check_optimizer(self) -> None:
        """UserError for one that there is not, or that does not go with float16."""
        known = [MUON, *(each.value for each in OptimizerNames)]
        if self.optim not in known:
            longer = [name for name in known if name.startswith(self.optim)]
            near, *_ = *longer, *get_close_matches(self.optim, known, n=1), MUON
            raise UserError(f"--optim {self.optim}: there is none of this name; did you mean {near}?")
        if self.optim == MUON and self.fp16:
            raise UserError("--optim muon does not skip steps that overflow in float16: give --bf16 or no --fp16")

    def _check_numbers(self) -> None:
        """UserError for one that is out of its range, or no number."""
        for name, least in LEAST.items():
            if (value := getattr(self, name)) is not None and not least <= value < math.inf:
                raise UserError(f"--{name} is {value}: give {least} or more")
        if self.max_steps == 0 or self.max_steps < -1:
            raise UserError(f"--max_steps is {self.max_steps}: give 1 or more, or -1 for --num_train_epochs")
        for name in SHARES:
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}: give 0 or a share below 1")
        if self.seed > LARGEST_SEED:
            raise UserError(f"--seed is {self.seed}: give 0 to {LARGEST_SEED}")

    def _check_trackers(self) -> None:
        """UserError for a tracker that there is not; transformers would say so once the data are read."""
        asked = [self.report_to] if isinstance(self.report_to, str) else self.report_to or []
        if asked in ([], ["none"], ["all"]):
            return
        from transformers.integrations import integration_utils  # noqa: PLC0415 (rarely needed)

        known, installed = (
            integration_utils.INTEGRATION_TO_CALLBACK,
            integration_utils.get_available_reporting_integrations(),
        )
        for name in asked:
            if name not in known:
                raise UserError(f"--report_to {name}: give none, all, or some of {', '.join(sorted(known))}")
            if name not in installed:
                raise UserError(
                    f"--report_to {name}: the package is not installed: pip install {name.replace('_', '-')}"
                )
