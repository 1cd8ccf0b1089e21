import math
import multiprocessing
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from transformers import TrainerCallback

from shared.data.packing import collate, collate_counted
from shared.hardware import matmul_peak


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


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_the_learning_rate_warms_up_over_a_twentieth_and_decays_along_a_cosine(new_trainer):
    trainer = new_trainer(learning_rate=1e-2, optim="muon", optim_args="adamw_rate=2")
    trainer.create_optimizer_and_scheduler(100)
    rates = []
    for _ in range(101):
        rates.append([group["lr"] / (1 if group["parts"] else 2) for group in trainer.optimizer.param_groups])
        trainer.lr_scheduler.step()
    expected = [1e-2 * (step / 5 if step < 5 else (1 + math.cos(math.pi * (step - 5) / 95)) / 2) for step in range(101)]
    assert rates == [pytest.approx([rate] * len(rates[0]), abs=1e-12) for rate in expected]


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
    monkeypatch.setattr("shared.training.throughput.perf_counter", lambda: now[0])

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
    assert dataset.tokens < len(dataset) * dataset.pack_length  # some padding is there to be left out
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

    trainer = new_trainer(
        max_steps=6, per_device_train_batch_size=1, logging_steps=100, use_cpu=False, torch_compile=False
    )
    trainer.add_callback(Watch())
    try:
        trainer.train()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_label_smoothing_changes_the_training_loss_but_not_the_evaluations(new_trainer):
    plain, smooth = new_trainer("plain"), new_trainer("smooth", label_smoothing_factor=0.2)
    assert smooth.evaluate()["eval_loss"] == plain.evaluate()["eval_loss"]
    batch = whole_batch(smooth)
    with torch.no_grad():
        loss = smooth.compute_loss(smooth.model.train(), batch)
        hidden = smooth.model.hidden_states(batch["input_ids"], batch["prefix"], batch["position_ids"])
        learned = batch["labels"][:, 1:] >= 0
        logits, labels = smooth.model.lm_head(hidden[:, :-1][learned]), batch["labels"][:, 1:][learned]
        torch.testing.assert_close(loss, F.cross_entropy(logits, labels, label_smoothing=0.2), atol=1e-5, rtol=0)
        assert abs(loss - plain.compute_loss(plain.model.train(), batch)) > 1e-3


def test_smoothed_losses_are_what_the_trainer_steps_on(new_trainer):
    options = {"max_steps": 1, "logging_steps": 1, "per_device_train_batch_size": 64}
    trainer = new_trainer(label_smoothing_factor=0.5, **options)
    with torch.no_grad():
        expected = trainer.compute_loss(trainer.model.train(), whole_batch(trainer)).item()
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
        assert batch["input_ids"].shape == (size or 3, trainer.train_dataset.pack_length)
        assert batch["position_ids"].max() == max(row["position_ids"].max() for row in rows) < LAST_POSITION
        assert len(batch["target_positions"]) == (batch["labels"] >= 0).sum()
        losses.append((batch.pop("tokens"), decoder(**batch).loss.item()))
    assert losses[1] == pytest.approx(losses[0])


def test_what_is_learned_by_heart_is_written(new_trainer, task):
    rows = task.load_rows(task.arguments)["train"].select(range(8))
    trainer = new_trainer(max_steps=100, predict_with_generate=True, rows={"train": rows, "validation": rows})
    trainer.train()
    assert trainer.evaluate()["eval_exact"] == 1.0


def test_workers_prepare_the_rows_of_every_epoch(new_trainer):
    trainer = new_trainer(num_train_epochs=2, logging_steps=1, dataloader_num_workers=1)
    assert trainer.args.dataloader_persistent_workers
    alone = new_trainer("alone", num_train_epochs=2, logging_steps=1)
    for each in (trainer, alone):
        each.train()
    assert rates(trainer, "loss") == rates(alone, "loss")


class Stops(TrainerCallback):
    def __init__(self, message):
        self.message, self.workers = message, set()

    def on_step_end(self, args, state, control, **kwargs):
        self.workers |= {*multiprocessing.active_children()}
        if self.message:
            raise RuntimeError(self.message)


@pytest.mark.parametrize("error", ["", "no more"])
def test_workers_end_with_their_training(new_trainer, error):
    before = {*multiprocessing.active_children()}
    trainer = new_trainer(max_steps=1, dataloader_num_workers=2)
    stops = Stops(error)
    trainer.add_callback(stops)
    with pytest.raises(RuntimeError, match=error) if error else nullcontext():
        trainer.train()
    assert len(stops.workers - before) == 2 and {*multiprocessing.active_children()} == before
