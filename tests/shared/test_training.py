import errno

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import HfArgumentParser, TrainerCallback

from shared.decoder import Decoder
from shared.errors import UserError
from shared.packing import collate
from shared.runs import checkpoint_to_resume
from shared.speed import matmul_peak
from shared.training import TrainingArguments, collate_counted


def weights(trainer):
    return {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}


def whole_batch(trainer):
    dataset = trainer.train_dataset
    return collate([dataset[index] for index in range(len(dataset))])


def test_training_lowers_the_loss(new_trainer):
    trainer = new_trainer(max_steps=20)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < before / 2


def test_a_batch_of_8_rows_trains_as_8_accumulated_rows(new_trainer):
    options = {"max_steps": 3, "optim": "sgd", "learning_rate": 1.0, "warmup_steps": 0, "logging_steps": 1}
    together = new_trainer("together", per_device_train_batch_size=8, **options)
    one_by_one = new_trainer("one", per_device_train_batch_size=1, gradient_accumulation_steps=8, **options)
    learned = {int((row["labels"] >= 0).sum()) for row in together.train_dataset}
    assert len(learned) > 1  # rows of equal weight would hide a wrong mean
    before = weights(together)
    together.train()
    one_by_one.train()
    after = weights(together)
    for name, weight in weights(one_by_one).items():
        torch.testing.assert_close(weight, after[name], atol=1e-5, rtol=0)
    assert max((after[name] - before[name]).abs().max() for name in before) > 0.01
    losses = [
        [entry["loss"] for entry in trainer.state.log_history if "loss" in entry] for trainer in (together, one_by_one)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=2e-4)


def test_gradient_checkpointing_changes_nothing_but_memory(new_trainer):
    options = {"max_steps": 2, "dropout": 0.2}
    plain = new_trainer("plain", **options)
    plain.train()
    thrifty = new_trainer("thrifty", gradient_checkpointing=True, **options)  # after it, so that both draw alike
    thrifty.train()
    assert thrifty.model.is_gradient_checkpointing
    after = weights(plain)
    for name, weight in weights(thrifty).items():
        torch.testing.assert_close(weight, after[name], atol=1e-6, rtol=0)


def test_the_logged_loss_is_that_of_a_learned_token(new_trainer):
    trainer = new_trainer(max_steps=1, logging_steps=1, per_device_train_batch_size=64, learning_rate=1e-9)
    with torch.no_grad():
        expected = trainer.model(**whole_batch(trainer)).loss.item()
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(expected, abs=2e-4)


@pytest.fixture
def one_second_a_step(monkeypatch):
    """A clock for a trainer: a step takes a second, scoring a hundred, saving a thousand."""
    now = [0.0]
    monkeypatch.setattr("shared.throughput.perf_counter", lambda: now[0])

    def wait(seconds, then):
        def waited(*args, **kwargs):
            now[0] += seconds
            return then(*args, **kwargs)

        return waited

    def install(trainer):
        monkeypatch.setattr(trainer, "score", wait(100, trainer.score))
        monkeypatch.setattr(trainer, "_save_optimizer_and_scheduler", wait(1000, trainer._save_optimizer_and_scheduler))
        trainer.add_callback(type("Step", (TrainerCallback,), {"on_step_end": wait(1, lambda *_, **__: None)}))
        return trainer

    return install


def rates(trainer, name="tokens_per_second"):
    return [entry[name] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize(("rows", "accumulated"), [(4, 1), (1, 4), (2, 3)])
def test_the_log_counts_every_token_but_padding(new_trainer, one_second_a_step, rows, accumulated):
    options = {"num_train_epochs": 1, "logging_steps": 1, "gradient_accumulation_steps": accumulated}
    trainer = one_second_a_step(new_trainer(per_device_train_batch_size=rows, **options))
    trainer.train()
    dataset = trainer.train_dataset
    assert dataset.tokens < len(dataset) * dataset.row_length  # some padding is there to be left out
    assert sum(rates(trainer)) == dataset.tokens
    assert len(rates(trainer)) == -(-len(dataset) // (rows * accumulated)) > 2


def test_the_log_leaves_out_the_time_of_scoring_and_saving(new_trainer, one_second_a_step):
    options = {"num_train_epochs": 1, "logging_steps": 2, "eval_strategy": "steps", "save_strategy": "steps"}
    trainer = new_trainer(per_device_train_batch_size=4, eval_steps=1, save_steps=1, **options)
    trainer = one_second_a_step(trainer)
    trainer.train()
    assert trainer.state.max_steps % 2 == 0  # the last step of an odd number would have no line
    assert 2 * sum(rates(trainer)) == trainer.train_dataset.tokens


def test_mfu_is_the_share_of_the_products_that_the_processor_can_do(new_trainer):
    trainer = new_trainer(max_steps=2, logging_steps=1)
    trainer.train()
    flops = trainer.throughput.flops_per_token
    assert flops > 6 * trainer.model.parameters_without_positions
    assert rates(trainer, "mfu") == pytest.approx(
        [rate * flops / matmul_peak(torch.device("cpu")) for rate in rates(trainer)]
    )
    assert min(rates(trainer, "mfu")) > 0


def test_a_resumed_training_counts_its_own_tokens(new_trainer, one_second_a_step, tmp_path):
    options = {"max_steps": 6, "per_device_train_batch_size": 2, "logging_steps": 1}
    unbroken = one_second_a_step(new_trainer("unbroken", save_strategy="steps", save_steps=4, **options))
    unbroken.train()
    broken = one_second_a_step(new_trainer("broken", **options))
    broken.train(resume_from_checkpoint=str(tmp_path / "unbroken" / "checkpoint-4"))
    assert len(set(rates(unbroken))) > 1
    assert rates(broken) == rates(unbroken)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU is waited for")
def test_no_step_waits_for_the_gpu(new_trainer):
    class Watch(TrainerCallback):
        def on_step_begin(self, args, state, control, **_):
            torch.cuda.set_sync_debug_mode("error" if state.global_step >= 2 else "default")

        def on_step_end(self, args, state, control, **_):
            if state.global_step == state.max_steps:
                torch.cuda.set_sync_debug_mode("default")

    trainer = new_trainer(max_steps=6, per_device_train_batch_size=1, logging_steps=100, use_cpu=False, compile=False)
    trainer.add_callback(Watch())
    try:
        trainer.train()
    finally:
        torch.cuda.set_sync_debug_mode("default")


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
    assert checkpoint_to_resume(tmp_path / "run", "true", overwrite=False) == folder


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
    assert checkpoint_to_resume(tmp_path / "run", "true", overwrite=False) == tmp_path / "run" / "checkpoint-2"


def test_a_fault_of_the_program_is_not_taken_for_a_full_disk(new_trainer, monkeypatch):
    trainer = new_trainer(max_steps=2, save_strategy="steps", save_steps=2)
    monkeypatch.setattr(trainer, "_save_optimizer_and_scheduler", full_disk(RuntimeError("shapes do not match")))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        trainer.train()


def test_label_smoothing_changes_the_training_loss_but_not_the_evaluations(new_trainer):
    plain, smooth = new_trainer("plain"), new_trainer("smooth", label_smoothing_factor=0.2)
    assert smooth.evaluate()["eval_loss"] == plain.evaluate()["eval_loss"]
    batch = whole_batch(smooth)
    with torch.no_grad():
        loss = smooth.model.train()(**batch).loss
        hidden = smooth.model.hidden_states(**smooth.model.inputs(**batch))
        learned = batch["labels"][:, 1:] >= 0
        logits, labels = smooth.model.lm_head(hidden[:, :-1][learned]), batch["labels"][:, 1:][learned]
        torch.testing.assert_close(loss, F.cross_entropy(logits, labels, label_smoothing=0.2), atol=1e-5, rtol=0)
        assert abs(loss - plain.model.train()(**batch).loss) > 1e-3


def test_smoothed_losses_are_what_the_trainer_steps_on(new_trainer):
    options = {"max_steps": 1, "logging_steps": 1, "per_device_train_batch_size": 64}
    trainer = new_trainer(label_smoothing_factor=0.5, **options)
    with torch.no_grad():
        expected = trainer.model.train()(**whole_batch(trainer)).loss.item()
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(expected, abs=2e-4)


def test_evaluation_in_training_writes_only_where_that_is_wanted(new_trainer):
    assert "eval_exact" not in new_trainer("without").evaluate()
    metrics = new_trainer("with", predict_with_generate=True).evaluate()
    assert metrics["eval_exact"] == 0.0
    assert metrics["eval_loss"] == pytest.approx(metrics["eval_loss"])


def test_the_best_checkpoint_is_loaded_at_the_end(new_trainer):
    trainer = new_trainer(
        max_steps=6,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="perplexity",
        greater_is_better=True,  # so that the first is the best, which would not be loaded by chance
    )
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == 3
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[0], abs=1e-5)


LAST_POSITION = 31  # of a whole row


def test_a_batch_is_filled_up_with_rows_that_count_for_nothing(new_trainer):
    """Rows longer than the decoder's positions hold several lines: those of padding must not ask for more."""
    trainer = new_trainer()
    rows = [trainer.train_dataset[index] for index in range(3)]
    decoder, losses = trainer.model.eval(), []
    for size in (0, 8):
        batch = collate_counted(rows, padding=trainer.task.vocabulary.padding, size=size)
        assert batch["input_ids"].shape == (size or 3, trainer.train_dataset.row_length)
        assert batch["position_ids"].max() == max(row["position_ids"].max() for row in rows) < LAST_POSITION
        losses.append((batch.pop("tokens"), decoder(**batch).loss.item()))
    assert losses[1] == pytest.approx(losses[0])


def test_training_without_a_gpu_is_in_full_precision():
    assert TrainingArguments(output_dir="unused").bf16 is torch.cuda.is_available()


def test_what_is_asked_for_is_not_changed_behind_ones_back(tmp_path):
    arguments = TrainingArguments(output_dir=str(tmp_path), do_eval=False, eval_strategy="epoch")
    assert arguments.do_eval is False
    best = TrainingArguments(output_dir=str(tmp_path), save_strategy="best", eval_strategy="epoch")
    assert best.metric_for_best_model == "loss"


def test_what_is_learned_by_heart_is_written(new_trainer, task):
    rows = task.read_rows()["train"].select(range(8))
    trainer = new_trainer(max_steps=100, predict_with_generate=True, rows={"train": rows, "validation": rows})
    trainer.train()
    assert trainer.evaluate()["eval_exact"] == 1.0


def test_the_defaults_keep_a_gpu_from_waiting_and_leave_a_cpu_its_cores(tmp_path):
    (arguments,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses([f"--output_dir={tmp_path}"])
    gpu = torch.cuda.is_available()
    assert arguments.logging_nan_inf_filter is False
    assert arguments.accelerator_config.non_blocking is arguments.dataloader_pin_memory is gpu
    assert (arguments.dataloader_num_workers > 0) is arguments.dataloader_persistent_workers is gpu


def test_workers_prepare_the_rows_of_every_epoch(new_trainer):
    trainer = new_trainer(num_train_epochs=2, logging_steps=1, dataloader_num_workers=1)
    assert trainer.args.dataloader_persistent_workers
    alone = new_trainer("alone", num_train_epochs=2, logging_steps=1)
    for each in (trainer, alone):
        each.train()
    assert rates(trainer, "loss") == rates(alone, "loss")
