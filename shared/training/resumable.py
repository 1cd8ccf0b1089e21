"""transformers' Trainer, whose checkpoints are whole or absent, and which a signal stops with one."""

import shutil
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NoReturn

import transformers
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import EarlyStoppingCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import TrainOutput

from shared.errors import Interrupted, UserError, first_line
from shared.files import STAGING
from shared.training.arguments import TrainingArguments
from shared.training.checkpoints import publish, rotate
from shared.training.sharded import load_whole
from shared.training.stopping import Stop

# AssertionError is PyTorch's, for another optimizer's state where the weights are sharded.
UNFITTING = (OSError, ValueError, KeyError, RuntimeError, TypeError, EOFError, UnpicklingError, AssertionError)
FULL_DISK = ("inline_container", "iostream", "write")  # torch.save's words for it: it raises no OSError


class WithinEpoch(transformers.TrainerCallback):
    """Knows whether an epoch is under way."""

    def __init__(self) -> None:
        self.now = False

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self.now = True

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self.now = False


class GoesOn(transformers.TrainerCallback):
    """From which `checkpoint` a training goes on, and after which `step`.

    The best checkpoint is found beside that one: the run may have been moved.
    """

    def __init__(self) -> None:
        self.checkpoint: Path | None = None
        self.step = 0

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **_: Any) -> None:
        self.step = state.global_step
        if self.checkpoint:
            state.best_model_checkpoint = best_of(state, self.checkpoint)


def best_of(state: TrainerState, checkpoint: Path) -> str | None:
    """The best checkpoint's folder: beside `checkpoint`, or where the training's state says."""
    beside = checkpoint.with_name(f"checkpoint-{state.best_global_step}")
    return str(beside) if state.best_global_step and beside.is_dir() else state.best_model_checkpoint


class ResumableTrainer(transformers.Trainer):
    """A training that can end at any moment, and go on to the weights that it would have had."""

    args: TrainingArguments
    model: nn.Module

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.stop, self.saved_step = Stop(), -1
        self.within_epoch = WithinEpoch()
        self.add_callback(self.within_epoch)
        self.goes_on = GoesOn()
        self.add_callback(self.goes_on)

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> TrainOutput:
        """As transformers' own, but from a checkpoint of the last step nothing is trained any more.

        Raises:
            Interrupted: after SIGTERM or SIGINT, when a checkpoint is written.
            UserError: if the checkpoint does not fit these settings.
        """
        if isinstance(resume_from_checkpoint, str):
            self.goes_on.checkpoint = Path(resume_from_checkpoint)
            if output := self._finished(Path(resume_from_checkpoint)):
                return output
        with self.stop.listening():
            return super().train(resume_from_checkpoint, *args, **kwargs)

    def _finished(self, checkpoint: Path) -> TrainOutput | None:
        """What a training gives whose last step `checkpoint` is of, with its weights loaded; None for any other."""
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        last = self.args.max_steps if self.args.max_steps > 0 else state.max_steps
        epochs_left = self.args.max_steps <= 0 and (state.epoch or 0) < self.args.num_train_epochs
        if (epochs_left or state.global_step < last) and not self._stopped_early(state):
            return None
        self.state = state
        self._load_weights(checkpoint)  # averaged, where an average is kept
        best = best_of(state, checkpoint)
        if self.args.load_best_model_at_end and best:
            # Not as a subclass does, which loads to go on from: the weights of the last step beside an average.
            ResumableTrainer._load_from_checkpoint(self, best)
        return TrainOutput(state.global_step, 0.0, {})

    def _stopped_early(self, state: TrainerState) -> bool:
        states: Any = state.stateful_callbacks  # a dict, other than declared
        saved = states.get(EarlyStoppingCallback.__name__)
        patience = self.args.early_stopping_patience
        return bool(patience and saved) and saved["attributes"]["early_stopping_patience_counter"] >= patience

    def _load_weights(self, checkpoint: Path) -> None:
        if self.is_fsdp_enabled:
            load_whole(self.accelerator.unwrap_model(self.model), checkpoint)
        else:
            super()._load_from_checkpoint(str(checkpoint))

    def _load_best_model(self) -> None:
        if self.is_fsdp_enabled:
            self._load_weights(Path(str(self.state.best_model_checkpoint)))
        else:
            super()._load_best_model()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        try:
            self._load_weights(Path(resume_from_checkpoint))
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            self._refuse_resuming(resume_from_checkpoint, "weights", error)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        try:
            super()._load_optimizer_and_scheduler(checkpoint)
        except UNFITTING as error:
            self._refuse_resuming(checkpoint, "optimizer's state", error)

    def _refuse_resuming(self, checkpoint: str | None, what: str, error: Exception) -> NoReturn:
        raise UserError(
            f"--resume_from_checkpoint: the {what} of {checkpoint} does not fit this training ({first_line(error)}); "
            "give the settings that it was trained with, or start a new run from it by --model_name_or_path"
        ) from error

    def _maybe_log_save_evaluate(
        self, tr_loss: Tensor, grad_norm: Any, model: nn.Module, trial: Any, *args: Any, **kwargs: Any
    ) -> None:
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, model, trial, *args, **kwargs)
        signal = self.stop.agreed()
        # The last step of an epoch is followed by a second call, in which it may be evaluated and saved.
        ends = self.control.should_epoch_stop or self.control.should_training_stop or not (self.state.epoch or 0) % 1
        if not signal or (ends and self.within_epoch.now):
            return
        if self.saved_step != self.state.global_step:
            self._save_checkpoint(model, trial)
            self.control = self.callback_handler.on_save(self.args, self.state, self.control)
        raise Interrupted(signal, f"stopped after step {self.state.global_step} of {self.state.max_steps}, and saved")

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As transformers' own, but written apart and moved to its place when it is whole."""
        folder = Path(self.args.output_dir)
        checkpoint = folder / f"checkpoint-{self.state.global_step}"
        staging = folder / f"{STAGING}{checkpoint.name}"
        if self.args.should_save:
            shutil.rmtree(staging, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        try:
            self._write_checkpoint(staging, checkpoint)
            self.accelerator.wait_for_everyone()  # each has written its part
            if self.args.should_save:
                publish(staging, checkpoint)
        except (OSError, SafetensorError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not any(word in str(error) for word in FULL_DISK):
                raise
            self._refuse_checkpoint(checkpoint, error)
        finally:
            if self.args.should_save:
                shutil.rmtree(staging, ignore_errors=True)
        self.saved_step = self.state.global_step
        if self.args.should_save:
            kept = {checkpoint, Path(self.state.best_model_checkpoint or checkpoint)}
            rotate(folder, self.args.save_total_limit, kept)
        self.accelerator.wait_for_everyone()  # the best may be read by any

    def _write_checkpoint(self, staging: Path, checkpoint: Path) -> None:
        """All files of a checkpoint, whose place will be `checkpoint`."""
        self.store_flos()
        states: Any = self.state.stateful_callbacks  # a dict, other than declared
        self.save_model(str(staging), _internal_call=True)
        if self.state.best_global_step == self.state.global_step:  # it is none yet, but will be
            self.state.best_model_checkpoint = str(checkpoint)
        if not self.args.save_only_model:
            self._save_optimizer_and_scheduler(str(staging))
            self._save_scaler(str(staging))
            self._save_rng_state(str(staging))
        if self.args.should_save:
            for callback in [*self.callback_handler.callbacks, self.control]:
                if isinstance(callback, ExportableState):
                    name = type(callback).__name__
                    if isinstance(states.get(name), list):
                        states[name].append(callback.state())
                    else:
                        states[name] = callback.state()
            self.state.save_to_json(str(staging / TRAINER_STATE_NAME))

    def _refuse_checkpoint(self, checkpoint: Path, error: Exception) -> NoReturn:
        raise UserError(
            f"checkpoint {checkpoint} could not be written ({' '.join(str(error).split())}) and was left out; free "
            "some space, then go on with --resume_from_checkpoint true"
        ) from error
