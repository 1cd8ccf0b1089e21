"""A training that stops and goes on ends where an unbroken one does; a checkpoint is whole or absent."""

import errno

import numpy as np
import pytest
import torch
import transformers

from shared.data.vocabulary import TextVocabulary
from shared.errors import UserError
from shared.model.decoder import Decoder
from shared.runs.resuming import find_checkpoint
from tests.shared.training.test_trainer import weights


@pytest.mark.parametrize("optim", ["adamw_torch_fused", "muon"])
def test_a_resumed_training_ends_where_an_unbroken_one_does(new_trainer, tmp_path, optim):
    options = {"max_steps": 6, "save_strategy": "steps", "save_steps": 4, "dropout": 0.2, "optim": optim}
    unbroken = new_trainer("unbroken", **options)
    unbroken.train()
    broken = new_trainer("broken", **options)
    broken.train(resume_from_checkpoint=str(tmp_path / "unbroken" / "checkpoint-4"))
    assert broken.state.global_step == 6
    after = weights(unbroken)
    for name, weight in weights(broken).items():
        torch.testing.assert_close(weight, after[name], atol=1e-6, rtol=0)
    for name, state in unbroken.optimizer.state_dict()["state"].items():
        torch.testing.assert_close(state, broken.optimizer.state_dict()["state"][name], atol=1e-6, rtol=0)


def test_a_resumed_training_draws_the_augmentations_of_an_unbroken_one(new_trainer, tmp_path):
    drawn = []

    def noise(ids, rng):
        drawn.append(rng.integers(1 << 60))
        return np.where(rng.random(len(ids)) < 0.5, ids, ids[0])

    def train(name, stop=None):
        options = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": 9, "per_device_train_batch_size": 4}
        trainer = new_trainer(name, max_steps=10, **options)
        assert len(trainer.get_train_dataloader()) == 4  # a stop at 6 is within an epoch, one at 8 between two
        trainer.train_dataset.augment_with(noise, seed=5)
        drawn.clear()
        trainer.train(resume_from_checkpoint=stop and str(tmp_path / "unbroken" / f"checkpoint-{stop}"))
        return weights(trainer), drawn.copy()

    after, all_drawn = train("unbroken")
    assert len({*all_drawn}) == len(all_drawn) > 2 * 48  # others in every epoch of 48 lines
    for stop in (6, 8):
        resumed, last = train(f"resumed-{stop}", stop)
        assert last == all_drawn[-len(last) :]
        for name, weight in resumed.items():
            torch.testing.assert_close(weight, after[name], atol=1e-6, rtol=0)


def test_a_checkpoint_is_a_plain_gpt2_to_go_on_from(new_trainer, tmp_path):
    trainer = new_trainer(max_steps=2, save_strategy="steps", save_steps=2)
    trainer.train()
    folder = tmp_path / "run" / "checkpoint-2"
    assert (folder / "model.safetensors").is_file()
    assert '"GPT2LMHeadModel"' in (folder / "config.json").read_text()
    assert find_checkpoint(tmp_path / "run", "true", overwrite=False) == folder


def full_disk(kind):
    def fail(*_, **__):
        raise kind

    return fail


@pytest.mark.parametrize("when", ["weights", "optimizer", "state"])
def test_a_checkpoint_that_cannot_be_written_is_removed(new_trainer, tmp_path, monkeypatch, when):
    no_space = full_disk(OSError(errno.ENOSPC, "No space left on device"))
    trainer = new_trainer(max_steps=4, save_strategy="steps", save_steps=2)
    save_pretrained = Decoder.save_pretrained
    if when == "weights":

        def half(self, folder, *args, **kwargs):
            save_pretrained(self, folder, *args, **kwargs)
            no_space()

        monkeypatch.setattr(Decoder, "save_pretrained", half)
    if when == "optimizer":  # torch.save does not say it with an OSError
        full = full_disk(
            RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0: write failed")
        )
        monkeypatch.setattr(trainer, "_save_optimizer_and_scheduler", full)
    if when == "state":
        monkeypatch.setattr(trainer.state, "save_to_json", no_space)
        monkeypatch.setattr(type(trainer.state), "save_to_json", no_space)
    with pytest.raises(UserError, match=r"checkpoint-2 could not be written .*--resume_from_checkpoint true") as caught:
        trainer.train()
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "checkpoint-2").exists()


def test_a_failed_checkpoint_leaves_the_one_before_to_resume_from(new_trainer, tmp_path, monkeypatch):
    trainer = new_trainer(max_steps=4, save_strategy="steps", save_steps=2, save_total_limit=1)
    save = type(trainer)._save_optimizer_and_scheduler

    def second_fails(self, folder):
        if folder.endswith("checkpoint-4"):
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, folder)

    monkeypatch.setattr(type(trainer), "_save_optimizer_and_scheduler", second_fails)
    with pytest.raises(UserError, match="checkpoint-4 could not be written"):
        trainer.train()
    assert find_checkpoint(tmp_path / "run", "true", overwrite=False) == tmp_path / "run" / "checkpoint-2"


def test_a_fault_of_the_program_is_not_taken_for_a_full_disk(new_trainer, monkeypatch):
    trainer = new_trainer(max_steps=2, save_strategy="steps", save_steps=2)
    monkeypatch.setattr(trainer, "_save_optimizer_and_scheduler", full_disk(RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        trainer.train()


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_from_the_last_step_nothing_is_trained_any_more(new_trainer, tmp_path, ema_decay, best):
    options = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "ema_decay": ema_decay}
    options |= {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 2} if best else {}
    whole = new_trainer("whole", **options)
    whole.train()
    again = new_trainer("whole", **options)
    result = again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-4"))
    assert result.global_step == 4
    assert sorted(path.name for path in (tmp_path / "whole").glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]
    for name, weight in weights(again).items():
        assert torch.equal(weight, weights(whole)[name])


@pytest.mark.parametrize(("logging_steps", "found"), [(1, "the loss is nan"), (99, "weights are not finite")])
def test_a_loss_that_is_no_number_stops_the_training_and_keeps_the_checkpoints(
    new_trainer, tmp_path, logging_steps, found
):
    trainer = new_trainer("run", max_steps=6, save_strategy="steps", save_steps=2, logging_steps=logging_steps)

    class Poison(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, model, **kwargs):
            if state.global_step == 3:
                model.transformer.ln_f.weight.data.fill_(float("nan"))

    trainer.add_callback(Poison)
    with pytest.raises(UserError, match=f"{found} at step 4: the training stops") as caught:
        trainer.train()
    assert "\n" not in str(caught.value)
    assert [path.name for path in (tmp_path / "run").glob("checkpoint-*")] == ["checkpoint-2"]
    kept = Decoder.from_pretrained(tmp_path / "run" / "checkpoint-2")
    assert all(weight.isfinite().all() for weight in kept.parameters())


def test_a_checkpoint_can_be_used_alone(new_trainer, tmp_path, task):
    new_trainer("run", max_steps=1, save_strategy="steps", save_steps=1).train()
    assert TextVocabulary.load(str(tmp_path / "run" / "checkpoint-1")).tokens == task.vocabulary.tokens
