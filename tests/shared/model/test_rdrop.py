from collections import Counter
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from datasets import Dataset

from shared.data.packing import PackedDataset, collate
from shared.model import loss
from shared.model.loss import Criterion, cross_entropy_sum
from shared.model.rdrop import twice


def naive(first, second, targets, smoothing, alpha):
    """Liang et al.'s equation 4, halved, from the two passes' logits [N, V]."""
    log_p, log_q = first.log_softmax(-1), second.log_softmax(-1)
    learned = sum(
        F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing) for logits in (first, second)
    )
    apart = F.kl_div(log_q, log_p, reduction="sum", log_target=True)
    apart = apart + F.kl_div(log_p, log_q, reduction="sum", log_target=True)
    return learned / 2 + alpha / 4 * apart


def example(pairs=6, width=8, vocabulary=37, dtype=torch.float64):
    torch.manual_seed(0)
    states = torch.randn(2 * pairs, width, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, width, dtype=dtype, requires_grad=True)
    return states, weight, torch.randint(0, vocabulary, (pairs,))


@pytest.fixture
def batch():
    torch.manual_seed(1)
    lines = [torch.randint(1, 24, (length,)).tolist() for length in (9, 4, 7, 12, 2, 5)]
    rows = [{"input_ids": ids, "context": max(1, len(ids) // 2), "length": len(ids)} for ids in lines]
    packed = PackedDataset(Dataset.from_list(rows), 16, 0)
    return collate([packed[index] for index in range(len(packed))])


@pytest.mark.parametrize("chunk", [2, 8, 12])  # of 12 rows
@pytest.mark.parametrize(("smoothing", "alpha"), [(0.0, 1.0), (0.2, 5.0)])
def test_loss_and_gradients_are_those_of_the_papers_formula(monkeypatch, chunk, smoothing, alpha):
    states, weight, targets = example()
    monkeypatch.setattr(loss, "SMALL", chunk * len(weight))
    ours = cross_entropy_sum(states, weight, targets.repeat_interleave(2), smoothing, alpha)
    theirs = naive(states[::2] @ weight.T, states[1::2] @ weight.T, targets, smoothing, alpha)
    torch.testing.assert_close(ours, theirs)
    for our_gradient, gradient in zip(
        torch.autograd.grad(ours / 7, (states, weight)), torch.autograd.grad(theirs / 7, (states, weight)), strict=True
    ):
        torch.testing.assert_close(our_gradient, gradient)


@pytest.mark.parametrize("small", [0, loss.SMALL], ids=["chunks", "at once"])
def test_distributions_without_a_common_token_give_no_nan(monkeypatch, small):
    monkeypatch.setattr(loss, "SMALL", small)
    states, weight, targets = example(dtype=torch.float32)
    total = cross_entropy_sum(1000 * states, weight, targets.repeat_interleave(2), 0.0, 1.0)
    assert total.isfinite()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(total, (states, weight)))


def test_every_row_is_passed_twice_and_a_tokens_places_stand_side_by_side(batch):
    names = ("input_ids", "prefix", "position_ids", "labels", "target_positions")
    doubled = dict(zip(names, twice(**{name: batch[name] for name in names}), strict=True))
    size = batch["labels"].numel()
    for name in names[:-1]:
        assert torch.equal(doubled[name], torch.cat([batch[name], batch[name]]))
    pairs = doubled["target_positions"].view(-1, 2)
    assert torch.equal(pairs[:, 0], batch["target_positions"])
    assert torch.equal(pairs[:, 1], batch["target_positions"] + size)


def gradients(decoder, batch, **changes):
    decoder.zero_grad()
    loss = decoder(**batch, **changes).loss
    loss.backward()
    return loss.item(), [weight.grad.clone() for weight in decoder.parameters()]


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_without_dropout_both_passes_agree_and_nothing_changes(new_decoder, batch, mask):
    decoder = new_decoder(mask=mask, dtype=torch.float64).train()
    plain, plain_gradients = gradients(decoder, batch)
    rdrop = {"criterion": Criterion(rdrop_alpha=3.0)}
    total, total_gradients = gradients(decoder, batch, **rdrop)
    assert total == pytest.approx(plain, rel=1e-9)
    for gradient, wanted in zip(total_gradients, plain_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted)
    items = torch.tensor(4 * len(batch["target_positions"]))
    shared, _ = gradients(decoder, batch, num_items_in_batch=items, **rdrop)
    assert shared == pytest.approx(plain / 4, rel=1e-9)


def test_under_dropout_the_two_passes_of_a_row_are_drawn_apart_and_compared(new_decoder, batch, monkeypatch):
    decoder = new_decoder(resid_pdrop=0.3, embd_pdrop=0.3, dtype=torch.float64).train()
    seen, body = [], decoder.body
    monkeypatch.setattr(decoder, "body", lambda *inputs: seen.append(body(*inputs)) or seen[0])
    total = decoder(**batch, criterion=Criterion(rdrop_alpha=2.0)).loss
    rows = len(batch["labels"])
    first, second = (
        decoder.lm_head(states).flatten(0, 1)[batch["target_positions"] - 1] for states in seen[0].split(rows)
    )
    assert not torch.allclose(first, second)
    targets = batch["labels"].flatten()[batch["target_positions"]]
    torch.testing.assert_close(total, naive(first, second, targets, 0.0, 2.0) / len(targets))


def test_evaluation_passes_every_row_once(new_decoder, batch):
    decoder = new_decoder(resid_pdrop=0.3)
    with torch.no_grad():
        expected = decoder(**batch).loss
        assert decoder(**batch, criterion=Criterion(0.1, 2.0)).loss == expected


@pytest.mark.parametrize("accumulated", [1, 4])
def test_the_trainer_passes_rows_twice_and_steps_as_far(new_trainer, accumulated):
    """Without dropout both ways are the same training; a wrong mean over tokens, rows or passes would part them."""
    options = {"max_steps": 2, "optim": "sgd", "learning_rate": 1.0, "warmup_steps": 0, "logging_steps": 1}
    plain = new_trainer("plain", **options)
    batches = {"per_device_train_batch_size": 8 // accumulated, "gradient_accumulation_steps": accumulated}
    twice_over = new_trainer("twice", rdrop_alpha=3.0, **batches, **options)
    rows = Counter()

    def count(name, module, inputs):
        rows[name] += len(inputs[0])

    for name, trainer in {"plain": plain, "twice": twice_over}.items():
        trainer.model.transformer.wte.register_forward_pre_hook(partial(count, name))
        trainer.train()
    assert rows["twice"] == 2 * rows["plain"]
    for weight, expected in zip(twice_over.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(weight, expected, atol=1e-5, rtol=0)
    losses = [
        [entry["loss"] for entry in trainer.state.log_history if "loss" in entry] for trainer in (plain, twice_over)
    ]
    assert losses[1] == pytest.approx(losses[0], abs=2e-4)
