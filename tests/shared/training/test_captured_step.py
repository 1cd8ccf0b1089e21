import gc
import weakref

import pytest
import torch
from transformers import TrainerCallback

from shared.data.packing import collate, collate_counted
from shared.errors import UserError
from shared.kernels.support import warn_once
from shared.model import copying
from shared.model.loss import Criterion
from shared.training import captured_step
from shared.training.captured_step import WARM_UPS, CudaGraph

SETTINGS = {
    **{"max_steps": 12, "logging_steps": 1, "per_device_train_batch_size": 4, "optim": "muon", "dropout": 0.2},
    "dataloader_drop_last": True,  # a batch that is filled up draws other dropout
}


class Repeated:
    """A graph that calls what a CUDA graph would have recorded: the work on the very tensors it was recorded with."""

    made: list["Repeated"]

    def __init__(self):
        self.work, self.replays = None, 0
        self.made.append(self)

    def warm_up(self, work):
        assert self.work is None
        work()

    def record(self, work):
        self.work = work

    def replay(self):
        self.replays += 1
        self.work()


@pytest.fixture
def graphs(monkeypatch):
    """Steps recorded on a CPU; the graphs that were made."""
    monkeypatch.setattr(Repeated, "made", [], raising=False)
    monkeypatch.setattr("shared.training.trainer.cuda_graphs", lambda: Repeated)
    monkeypatch.setattr("shared.training.captured_step.why_not", lambda trainer: None)
    return Repeated.made


def weights(trainer):
    return [weight.detach().clone() for weight in trainer.model.parameters()]


def logged(trainer, name):
    return [entry[name] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_accumulation_steps": 3, "per_device_train_batch_size": 1},
        {"ema_decay": 0.9},
        {"rdrop_alpha": 2.0, "label_smoothing_factor": 0.1},
        {"optim": "adamw_torch_fused", "max_grad_norm": 0.5},
        {"max_grad_norm": 0.0},
        {"copy_attention": 8},
        {"copy_attention": 8, "gradient_accumulation_steps": 2},
    ],
    ids=lambda changes: "-".join(changes) or "plain",
)
def test_losses_norms_and_weights_are_those_of_plain_steps(new_trainer, graphs, monkeypatch, changes):
    monkeypatch.setattr(copying, "CHUNK", dict.fromkeys(copying.CHUNK, 2**9))  # which are computed anew
    plain = new_trainer("plain", **SETTINGS | changes)
    plain.train()
    assert not graphs
    captured = new_trainer("captured", **SETTINGS | changes, cuda_graph=True)
    captured.train()
    assert sum(graph.replays for graph in graphs) > 0
    for name in ("loss", "grad_norm", "learning_rate"):
        assert logged(captured, name) == pytest.approx(logged(plain, name), rel=1e-4, abs=1e-6), name
    assert len(set(logged(plain, "learning_rate"))) > WARM_UPS + 1  # a rate that a graph had kept would be seen
    for weight, other in zip(weights(captured), weights(plain), strict=True):
        torch.testing.assert_close(weight, other, atol=1e-5, rtol=1e-4)


def test_a_shape_is_recorded_once_and_then_only_replayed(new_trainer, graphs):
    new_trainer(**SETTINGS, cuda_graph=True).train()
    assert [graph.replays for graph in graphs] == [12 - WARM_UPS]


def test_with_accumulation_a_steps_last_batch_is_a_graph_of_its_own(new_trainer, graphs):
    settings = SETTINGS | {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 2}
    trainer = new_trainer(**settings, cuda_graph=True)
    trainer.train()
    first, last = graphs
    assert last.replays == 12 - WARM_UPS
    assert 0 < first.replays <= last.replays  # a step at an epoch's end may have but one batch


def test_the_trainer_finds_no_gradients(new_trainer, graphs):
    found = []

    class Look(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model, **_):
            found.extend(weight.grad for weight in model.parameters())

    trainer = new_trainer(**SETTINGS, cuda_graph=True)
    trainer.add_callback(Look())
    trainer.train()
    assert found
    assert all(gradient is None for gradient in found)


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_resumed_training_ends_where_an_unbroken_one_does(new_trainer, graphs, tmp_path, ema_decay):
    settings = SETTINGS | {"save_strategy": "steps", "save_steps": 5, "ema_decay": ema_decay, "cuda_graph": True}
    unbroken = new_trainer("unbroken", **settings, save_total_limit=9)
    unbroken.train()
    broken = new_trainer("broken", **settings)
    broken.train(resume_from_checkpoint=str(tmp_path / "unbroken" / "checkpoint-5"))
    assert len(graphs) == 2
    for weight, other in zip(weights(broken), weights(unbroken), strict=True):
        torch.testing.assert_close(weight, other, atol=1e-6, rtol=0)


def test_evaluations_within_change_nothing(new_trainer, graphs):
    settings = SETTINGS | {"ema_decay": 0.9, "cuda_graph": True, "dropout": 0.0}
    alone = new_trainer("alone", **settings)
    alone.train()
    evaluated = new_trainer("evaluated", **settings, eval_strategy="steps", eval_steps=2)
    evaluated.train()
    for weight, other in zip(weights(evaluated), weights(alone), strict=True):
        assert torch.equal(weight, other)


def test_a_training_leaves_no_graph_behind(new_trainer, graphs):
    trainer = new_trainer(**SETTINGS, cuda_graph=True)
    trainer.train()
    left = [weakref.ref(graph) for graph in graphs]
    graphs.clear()
    gc.collect()
    assert [reference() for reference in left] == [None]
    trainer.train()  # once more, with another optimizer
    assert graphs


def test_what_cannot_be_recorded_ends_in_one_line(new_trainer, graphs, monkeypatch):
    def fail(self, work):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(Repeated, "record", fail)
    with pytest.raises(UserError, match=r"\(operation not permitted when stream is capturing\).*--cuda_graph false$"):
        new_trainer(**SETTINGS, cuda_graph=True).train()


def test_memory_that_runs_out_is_not_taken_for_something_else(new_trainer, graphs, monkeypatch):
    def fail(self, work):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(Repeated, "record", fail)
    with pytest.raises(torch.OutOfMemoryError):  # for which a benchmark halves its batch
        new_trainer(**SETTINGS, cuda_graph=True).train()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({}, "a CPU"), ({"optim": "sgd"}, "--optim sgd"), ({"gradient_checkpointing": True}, "gradient checkpointing")],
)
def test_a_reason_against_it_is_said_once(new_trainer, monkeypatch, recwarn, changes, reason):
    warn_once.cache_clear()
    if changes:  # the reasons after that of the device
        monkeypatch.setattr(captured_step, "ON", "cpu")
    for name in ("first", "second"):
        new_trainer(name, **SETTINGS | changes, cuda_graph=True).train()
    said = [str(warning.message) for warning in recwarn if "not as a CUDA graph" in str(warning.message)]
    assert said == [f"a training step is launched kernel by kernel, not as a CUDA graph: {reason}"]


@pytest.mark.parametrize("criterion", [Criterion(), Criterion(0.1, 1.0)], ids=["plain", "R-Drop"])
def test_filled_up_batches_have_the_losses_of_their_own(new_trainer, criterion):
    trainer = new_trainer()
    rows = [trainer.train_dataset[index] for index in range(3)]
    most = trainer.train_dataset.most_learned(4)
    decoder, losses, gradients = trainer.model.train(), [], []
    for batch in (collate(rows), collate_counted(rows, trainer.task.vocabulary.padding, size=4, most_learned=most)):
        batch.pop("tokens", None)
        loss = decoder(**batch, criterion=criterion).loss
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, list(decoder.parameters())))
        shape = batch["target_positions"].shape
    assert shape == (most,)
    assert most > len(collate(rows)["target_positions"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    for gradient, other in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-6, rtol=1e-5)


def test_no_batch_has_more_learned_places_than_said(new_trainer):
    rows = new_trainer().train_dataset
    counts = sorted(int((row["labels"] >= 0).sum()) for row in rows)
    assert [rows.most_learned(size) for size in (1, 2)] == [counts[-1], sum(counts[-2:])]
    assert rows.most_learned(len(rows) + 1) == sum(counts)


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU records")


@needs_gpu
@pytest.mark.parametrize(
    "changes",
    [{}, {"gradient_accumulation_steps": 2}, {"copy_attention": 8}],
    ids=["whole", "accumulated", "copy attention"],
)
def test_replays_do_what_the_same_steps_do_bit_for_bit(new_trainer, monkeypatch, changes):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(copying, "CHUNK", dict.fromkeys(copying.CHUNK, 2**9))
    torch.use_deterministic_algorithms(True, warn_only=True)
    settings = SETTINGS | changes | {"use_cpu": False, "cuda_graph": True, "max_steps": 200, "ema_decay": 0.9}
    settings |= {"torch_compile": False}  # what is compiled adds up in any order
    recorded = new_trainer("recorded", **settings)
    recorded.train()
    monkeypatch.setattr(captured_step, "WARM_UPS", 10**9)
    launched = new_trainer("launched", **settings)
    launched.train()
    torch.use_deterministic_algorithms(False)
    assert logged(recorded, "loss") == logged(launched, "loss")
    assert all(map(torch.equal, weights(recorded), weights(launched)))


@needs_gpu
@pytest.mark.parametrize(
    "changes",
    [{}, {"rdrop_alpha": 1.0, "label_smoothing_factor": 0.1}, {"copy_attention": 8}, {"dropout": 0.0}],
    ids=["dense mask", "R-Drop", "copy attention", "FlexAttention"],  # the last knows no dropout of attention weights
)
def test_compiled_replays_stay_near_plain_steps(new_trainer, changes):
    settings = SETTINGS | changes | {"use_cpu": False, "max_steps": 200, "learning_rate": 1e-3, "ema_decay": 0.9}
    losses = []
    for captured in (True, False):
        trainer = new_trainer(f"{captured}", **settings, cuda_graph=captured)
        trainer.train()
        losses.append(logged(trainer, "loss"))
    assert losses[0][:3] == pytest.approx(losses[1][:3], rel=1e-3)  # the same dropout
    assert losses[0] == pytest.approx(losses[1], rel=0.03)


@needs_gpu
def test_dropout_draws_anew_in_each_replay(new_trainer):
    settings = SETTINGS | {"dropout": 0.5, "learning_rate": 1e-30, "weight_decay": 0.0, "use_cpu": False}
    trainer = new_trainer(**settings | {"per_device_train_batch_size": 64}, cuda_graph=True)  # every batch the same
    trainer.train()
    losses = logged(trainer, "loss")[WARM_UPS:]
    assert len(set(losses)) == len(losses)


@needs_gpu
def test_a_graph_is_of_its_own_stream():
    stream, pool = torch.cuda.Stream(), torch.cuda.graph_pool_handle()
    graph, x = CudaGraph(stream, pool), torch.zeros((), device="cuda")
    graph.record(lambda: x.add_(1))
    assert x.item() == 0
    graph.replay()
    graph.replay()
    assert x.item() == 2
