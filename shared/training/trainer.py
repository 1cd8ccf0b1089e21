"""transformers' Trainer, taught packed rows and scores by generation."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from accelerate.data_loader import BatchSamplerShard
from datasets import Dataset
from torch import nn
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from shared.data.packing import PackedDataset, collate_counted
from shared.errors import UserError, first_line
from shared.evaluation import evaluate
from shared.generation.arguments import GenerationArguments
from shared.generation.recorded import forget
from shared.model.decoder import Decoder
from shared.model.flops import mean_context, training_flops_per_token
from shared.model.loss import Criterion
from shared.task import Task
from shared.training.arguments import TrainingArguments
from shared.training.batches import EpochOfRows, FilledSampler, batch_shape, end_workers
from shared.training.best_checkpoint import resolve_best_metric
from shared.training.captured_step import CapturedStep, cuda_graphs, silenced, why_launched
from shared.training.ema import ExponentialMovingAverage, load_last_step, save_last_step
from shared.training.hub import new_repository
from shared.training.muon import MUON, muon_of, muon_settings
from shared.training.resumable import ResumableTrainer
from shared.training.sharded import check_shards, is_sharded, save_whole, whole
from shared.training.throughput import Throughput


class Trainer(ResumableTrainer):
    """Trains a `Decoder` on packed rows and evaluates it on a task's own terms.

    `eval_rows` are the rows behind `eval_dataset`, `training_rows` those behind `train_dataset`; `generation` is used
    while training only with `--predict_with_generate`.
    """

    model: Decoder
    hub_model_id: str | None  # type: ignore[assignment]  # where to push the run; transformers' first value is None

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
        training_rows: Dataset | None = None,
    ):
        resolve_best_metric(arguments, task, has_validation=eval_rows is not None)
        arguments._n_gpu = min(arguments.n_gpu, 1)  # one process, one GPU: more are for `accelerate launch`
        if arguments.torch_compile:
            decoder.compile_body(
                backend=arguments.torch_compile_backend or "inductor", mode=arguments.torch_compile_mode
            )
        super().__init__(
            decoder,
            arguments,
            data_collator=partial(
                collate_counted,
                padding=task.vocabulary.padding,
                **batch_shape(arguments, train_dataset),
            ),
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
        )
        if arguments.do_train:
            self._check_optimizer()
        self.add_callback(EpochOfRows)
        self.task, self.generation, self.max_length = task, generation, max_length
        self.eval_rows, self.training_rows = eval_rows, training_rows
        self.criterion = Criterion(arguments.label_smoothing_factor, arguments.rdrop_alpha)
        if decoder.copying is not None and self.criterion != Criterion():
            raise UserError(
                "a decoder with copy attention has a loss of its own: leave out --label_smoothing_factor and "
                "--rdrop_alpha"
            )
        context = mean_context(train_dataset.lengths) if train_dataset else 0
        passes = 2 if self.criterion.rdrop_alpha else 1
        self.throughput = Throughput(self.accelerator, passes * training_flops_per_token(decoder, context))
        self.add_callback(self.throughput)
        if arguments.early_stopping_patience:
            self.add_callback(EarlyStoppingCallback(arguments.early_stopping_patience))
        self.step: Callable[..., torch.Tensor] | None = None  # a training's: its own, or the same as a CUDA graph
        self.average = ExponentialMovingAverage(decoder, arguments.ema_decay) if arguments.ema_decay else None
        if self.average:
            self.add_callback(self.average)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            check_shards(arguments, self.accelerator.state.fsdp_plugin if self.is_fsdp_enabled else None)

    def init_hf_repo(self, *args: Any, **kwargs: Any) -> None:
        if self.is_world_process_zero():
            self.hub_model_id = new_repository(self.args)

    def _check_optimizer(self) -> None:
        """UserError for an optimizer whose package is missing, before anything is written."""
        if self.args.optim == MUON:
            muon_settings(self.args.optim_args)
            return
        try:
            self.get_optimizer_cls_and_kwargs(self.args, self.model)
        except (ImportError, ValueError) as error:
            raise UserError(f"--optim {self.args.optim}: {first_line(error)}") from error

    def create_optimizer(self, *args: Any) -> torch.optim.Optimizer:
        if self.optimizer is None and self.args.optim == MUON:
            self.optimizer = muon_of(self.args, self.model, self.get_decay_parameter_names(self.model))
        return super().create_optimizer(*args)

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        with ExitStack() as self.until_trained:
            try:
                return super().train(*args, **kwargs)
            finally:
                self.step = None  # and with it the memory of a graph
                if self.callback_handler.train_dataloader is not None:  # training has begun
                    end_workers(self.callback_handler.train_dataloader)

    def get_train_dataloader(self) -> DataLoader:
        loader = super().get_train_dataloader()
        shard = loader.batch_sampler
        if isinstance(shard, BatchSamplerShard) and not shard.drop_last:
            inner = shard.batch_sampler
            processes = 1 if shard.split_batches else shard.num_processes
            inner.sampler = FilledSampler(inner.sampler, inner.batch_size * processes)
        if not len(loader):
            raise UserError(
                "--dataloader_drop_last leaves no batch to learn from: give a smaller batch, or leave it out"
            )
        return loader

    def training_step(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        if self.step is None:
            self.step = self._captured_step(model) or super().training_step
            if self.average:
                self.average.within_step = isinstance(self.step, CapturedStep)
        if not isinstance(self.step, CapturedStep):
            return self.step(model, inputs, num_items_in_batch)
        decay = self.average.decay_after(self.state.global_step + 1) if self.average else 0.0
        items = torch.as_tensor(num_items_in_batch)
        return self.step(inputs, items, last=self.accelerator.sync_gradients, decay=decay)

    def _captured_step(self, model: nn.Module) -> CapturedStep | None:
        if not self.args.cuda_graph or why_launched(self) is not None:
            return None
        plain, clip, norm = super().training_step, super()._clip_grad_norm, super()._get_grad_norm
        optimizer: Any = self.optimizer  # accelerate's, around the one that steps
        optimizer.step()  # of no gradients yet: the scheduler warns where it never sees a step
        for owner, name in ((optimizer, "step"), (model, "zero_grad")):  # which find nothing to do, but slowly
            self.until_trained.enter_context(silenced(owner, name))
        return CapturedStep(
            forward_backward=lambda batch, items: plain(model, batch, items),
            clip=lambda: clip(model) if self.args.max_grad_norm > 0 else norm(model),
            optimizer=optimizer.optimizer,
            average=self.average,
            parameters=[weight for weight in model.parameters() if weight.requires_grad],
            accumulates=self.args.gradient_accumulation_steps > 1,
            new_graph=cuda_graphs(),
        )

    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor:
        return self.step.norm if isinstance(self.step, CapturedStep) else super()._clip_grad_norm(model)

    def _get_grad_norm(self, model: nn.Module, grad_norm: torch.Tensor | None = None) -> torch.Tensor:
        return self.step.norm if isinstance(self.step, CapturedStep) else super()._get_grad_norm(model, grad_norm)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list, torch.Tensor | int | None]:
        batches, learned = super().get_batch_samples(*args, **kwargs)
        self.throughput.tokens += sum(batch.pop("tokens") for batch in batches)
        return batches, learned

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """The decoder's own loss, on learned tokens; the Trainer's way to smooth labels wants all logits."""
        outputs = model(**inputs, criterion=self.criterion, num_items_in_batch=num_items_in_batch)
        if num_items_in_batch is not None:
            # Counted over all processes, whose gradients are averaged: what is wanted is their sum.
            outputs.loss = outputs.loss * self.accelerator.num_processes
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """What the Trainer sums up as `total_flos`; its own way goes through all parameters in every step."""
        return round(self.throughput.flops_per_token * inputs["input_ids"].numel())

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs:  # a line of the training, not the scores of an evaluation
            if not math.isfinite(logs["loss"]):
                self._stop_at_nan(f"the loss is {logs['loss']}")
            logs |= self.throughput.read()
        super().log(logs, *args, **kwargs)

    def _stop_at_nan(self, what: str) -> NoReturn:
        raise UserError(
            f"{what} at step {self.state.global_step}: the training stops, and the checkpoints before it are kept; "
            "give a lower --learning_rate, more --warmup_steps or a lower --max_grad_norm, and go on from one of them"
        )

    def score(
        self, rows: Dataset, packed: PackedDataset, generate: bool, samples: Path | None = None
    ) -> dict[str, Any]:
        """Every metric of a split; with `generate` also those of what the decoder writes, kept in `samples`."""
        with self._averaged():
            decoder = whole(self.accelerator.unwrap_model(self.model))
            metrics = evaluate(
                decoder,
                self.task,
                rows,
                packed,
                self.generation if generate else None,
                training_rows=self.training_rows,
                batch_size=self.args.per_device_eval_batch_size,
                max_length=self.max_length,
                seed=self.args.seed,
                accelerator=self.accelerator,
                samples=samples,
            )
        forget(decoder)
        return metrics

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        with self.throughput.paused():
            return super().evaluate(*args, **kwargs)

    def evaluation_loop(
        self, dataloader: DataLoader, description: str, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any
    ) -> EvalLoopOutput:
        rows, packed = self.eval_rows, dataloader.dataset
        assert rows is not None and isinstance(packed, PackedDataset), "what is evaluated comes as rows and packed"
        metrics = self.score(rows, packed, self.args.predict_with_generate)
        numbers = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items() if isinstance(value, float)}
        return EvalLoopOutput(np.empty(0), None, numbers, num_samples=len(rows))

    def _averaged(self) -> AbstractContextManager:
        return self.average.in_place() if self.average else nullcontext()

    def save_model(self, output_dir: str | None = None, *args: Any, **kwargs: Any) -> None:
        """The weights, averaged where an average is kept, and the vocabulary, so that the folder can be used alone."""
        with self._averaged():
            decoder = self.accelerator.unwrap_model(self.model)
            if is_sharded(decoder):
                save_whole(decoder, output_dir or self.args.output_dir, writes=self.args.should_save)
            else:
                super().save_model(output_dir, *args, **kwargs)
        if output_dir and self.args.should_save:
            self.task.vocabulary.save(Path(output_dir))

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.average and self.args.should_save:
            save_last_step(self.accelerator.unwrap_model(self.model), Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.average:
            self.average.start()
        load_last_step(self.model, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        super()._load_best_model()
        if self.average:
            self.average.start()  # what was loaded is an average already

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        if not all(weight.isfinite().all() for weight in self.model.parameters()):
            self._stop_at_nan("weights are not finite")
        with self.throughput.paused():
            super()._save_checkpoint(model, trial)
