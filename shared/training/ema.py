"""An exponential moving average of the weights, evaluated and saved in place of the last step's.

Each step leaves noise in the weights that their average has not (Polyak & Juditsky 1992); Vaswani et al. 2017 average
the last checkpoints for the same reason. An exponential average needs neither checkpoints nor a choice of which, and it
is there at every evaluation, so that the best checkpoint and early stopping judge the very weights that are kept.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.kernels.support import fast

LAST_STEP = "last_step.safetensors"  # beside a checkpoint's averaged weights


def save_last_step(model: nn.Module, folder: Path) -> None:
    """Add the weights to go on from to a checkpoint that holds averaged ones."""
    save_model(model, str(folder / LAST_STEP))


def load_last_step(model: nn.Module, folder: Path) -> None:
    """Give `model`, which holds a checkpoint's weights, those to go on from, where they are others."""
    if (folder / LAST_STEP).is_file():
        load_model(model, str(folder / LAST_STEP))


class ExponentialMovingAverage(TrainerCallback):
    """The running average of a model's weights, updated after every step of the optimizer.

    The first weights are random and must not weigh on: at step t the average keeps min(`decay`, (1 + t) / (10 + t)) of
    itself, as in TensorFlow's ExponentialMovingAverage. Every process computes the same from the same weights.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay = model, decay
        self.weights: list[Tensor] | None = None  # of all parameters, in their order; None outside a training
        self.fused: Callable[[Tensor], None] | None = None
        self.within_step = False  # whether the step itself updates the average

    def start(self) -> None:
        """Begin with the model's present weights."""
        self.weights = [weight.clone() for weight in self._trained]
        kernel = fast("average", self.weights[0].device, tensors=self._trained)
        self.fused = kernel.MovingAverage(self.weights, self._trained) if kernel else None

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        if self.weights is None:  # else the training is resumed
            self.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not self.within_step:
            self.update(self.decay_after(state.global_step))

    def decay_after(self, steps: int) -> float:
        """The share that the average keeps of itself when it is updated after so many steps."""
        return min(self.decay, (1 + steps) / (10 + steps))

    def update(self, decay: float | Tensor) -> None:
        """Move towards the model's weights; a `decay` in a tensor is read by the device alone."""
        assert self.weights is not None, "there is an average from `start` on"
        if isinstance(decay, Tensor) and self.fused:
            self.fused(decay)
        elif isinstance(decay, Tensor):
            steps = torch._foreach_sub(self._trained, self.weights)
            torch._foreach_mul_(steps, 1 - decay)
            torch._foreach_add_(self.weights, steps)
        else:
            get_ema_multi_avg_fn(decay)(self.weights, self._trained, None)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Leave the average in the model for good."""
        if self.weights is not None:
            torch._foreach_copy_(self._trained, self.weights)
            self.weights = self.fused = None

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the averaged weights for a while, or outside a training with its own."""
        if self.weights is None:
            yield
            return
        # By value: the optimizer keeps its tensors.
        trained = [weight.clone() for weight in self._trained]
        torch._foreach_copy_(self._trained, self.weights)
        try:
            yield
        finally:
            torch._foreach_copy_(self._trained, trained)

    @property
    def _trained(self) -> list[Tensor]:
        return [parameter.data for parameter in self.model.parameters()]
