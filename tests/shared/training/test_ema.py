import pytest
import torch
from torch import nn
from transformers import TrainerCallback, TrainerState

from shared.errors import UserError
from shared.model.build import load_decoder
from shared.training.arguments import TrainingArguments
from shared.training.ema import ExponentialMovingAverage, load_last_step


class Recorder(TrainerCallback):
    """The weights before the training and after each step."""

    def __init__(self):
        self.steps = []

    def on_train_begin(self, args, state, control, model, **kwargs):
        self.steps.append([weight.detach().clone() for weight in model.parameters()])

    on_step_end = on_train_begin


def average(steps, decay):
    """What an average of the recorded weights comes to, step by step."""
    mean = steps[0]
    for step, weights in enumerate(steps[1:], 1):
        kept = min(decay, (1 + step) / (10 + step))
        mean = [kept * old + (1 - kept) * new for old, new in zip(mean, weights, strict=True)]
    return mean


def weights(trainer):
    return [weight.detach().clone() for weight in trainer.model.parameters()]


def assert_close(some, others):
    for weight, other in zip(some, others, strict=True):
        torch.testing.assert_close(weight, other, atol=1e-6, rtol=0)


def recorded(trainer, **options):
    recorder = Recorder()
    trainer.add_callback(recorder)
    trainer.train(**options)
    return recorder.steps


def test_the_average_forgets_its_beginning_and_is_exponential_later():
    layer = nn.Linear(1, 1, bias=False)
    mean = ExponentialMovingAverage(layer, decay=0.25)
    layer.weight.data.fill_(11.0)
    mean.on_train_begin(None, TrainerState(), None)
    layer.weight.data.fill_(0.0)
    mean.on_step_end(None, TrainerState(global_step=1), None)
    assert mean.weights[0].item() == pytest.approx(2.0)  # (1 + 1) / (10 + 1) of 11 is kept
    layer.weight.data.fill_(4.0)
    mean.on_step_end(None, TrainerState(global_step=2), None)
    assert mean.weights[0].item() == pytest.approx(3.5)  # 0.25 kept of 2, 0.75 of 4
    with mean.in_place():
        assert layer.weight.item() == pytest.approx(3.5)
    assert layer.weight.item() == 4.0
    mean.on_train_end(None, TrainerState(), None)
    assert layer.weight.item() == pytest.approx(3.5)
    with mean.in_place():
        assert layer.weight.item() == pytest.approx(3.5)


@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_training_ends_with_the_average_of_its_steps(new_trainer, accumulated):
    options = {"per_device_train_batch_size": 8 // accumulated, "gradient_accumulation_steps": accumulated}
    trainer = new_trainer(max_steps=5, ema_decay=0.3, **options)
    steps = recorded(trainer)
    assert len(steps) == 6
    assert_close(weights(trainer), average(steps, 0.3))
    assert max((mean - last).abs().max() for mean, last in zip(weights(trainer), steps[-1], strict=True)) > 1e-3


def test_evaluations_and_checkpoints_see_the_average_and_do_not_disturb_the_training(new_trainer, tmp_path):
    alone = recorded(new_trainer("alone", max_steps=4))
    often = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}
    trainer = new_trainer("averaged", max_steps=4, ema_decay=0.3, **often)
    watched = recorded(trainer)
    for step, other in zip(watched, alone, strict=True):
        assert_close(step, other)
    folder = tmp_path / "averaged" / "checkpoint-2"
    checkpoint = load_decoder(str(folder))
    assert_close(checkpoint.parameters(), average(watched[:3], 0.3))
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    trainer.model.load_state_dict(checkpoint.state_dict())
    assert losses[0] == pytest.approx(trainer.evaluate()["eval_loss"], abs=1e-5)
    load_last_step(checkpoint, folder)
    assert_close(checkpoint.parameters(), watched[2])


def test_a_resumed_average_ends_where_an_unbroken_one_does(new_trainer, tmp_path):
    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 4, "dropout": 0.2, "ema_decay": 0.6}
    unbroken = new_trainer("unbroken", **options)
    steps = recorded(unbroken)
    broken = new_trainer("broken", **options)
    resumed = recorded(broken, resume_from_checkpoint=str(tmp_path / "unbroken" / "checkpoint-4"))
    for step, other in zip(resumed, steps[4:], strict=True):
        assert_close(step, other)
    assert_close(weights(broken), weights(unbroken))


def test_a_training_goes_on_from_its_last_step_also_without_the_average(new_trainer, tmp_path):
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    steps = recorded(new_trainer("averaged", ema_decay=0.3, **options))
    plain = new_trainer("plain", **options)
    resumed = recorded(plain, resume_from_checkpoint=str(tmp_path / "averaged" / "checkpoint-2"))
    assert_close(resumed[0], steps[2])
    assert_close(weights(plain), steps[4])


def test_the_best_checkpoints_average_is_what_stays(new_trainer, tmp_path):
    often = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 2}
    best = {"load_best_model_at_end": True, "metric_for_best_model": "perplexity", "greater_is_better": True}
    trainer = new_trainer(max_steps=6, ema_decay=0.5, **often, **best)
    steps = recorded(trainer)
    assert trainer.state.best_global_step == 2
    assert_close(weights(trainer), average(steps[:3], 0.5))


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_is_a_share_below_one(tmp_path, decay):
    with pytest.raises(UserError, match="--ema_decay"):
        TrainingArguments(output_dir=str(tmp_path), ema_decay=decay)
