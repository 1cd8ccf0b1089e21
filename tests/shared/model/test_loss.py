import pytest
import torch
import torch.nn.functional as F

from shared.model import loss
from shared.model.loss import cross_entropy_sum


def example(rows=10, width=8, vocabulary=37, dtype=torch.float32):
    torch.manual_seed(0)
    states = torch.randn(rows, width, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, width, dtype=dtype, requires_grad=True)
    return states, weight, torch.randint(0, vocabulary, (rows,))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("chunk", [0, 2, 4, 6, 10])  # of 10 rows; 0 becomes 2
def test_loss_and_gradients_are_those_of_torch(monkeypatch, smoothing, chunk):
    states, weight, targets = example(dtype=torch.float64)
    monkeypatch.setattr(loss, "SMALL", chunk * len(weight))
    ours = cross_entropy_sum(states, weight, targets, smoothing)
    theirs = F.cross_entropy(states @ weight.T, targets, reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(ours, theirs)
    for our_gradient, gradient in zip(
        torch.autograd.grad(ours / 7, (states, weight)), torch.autograd.grad(theirs / 7, (states, weight)), strict=True
    ):
        torch.testing.assert_close(our_gradient, gradient)


@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_columns_of_padding_change_nothing(smoothing, alpha):
    torch.manual_seed(0)
    logits, targets = torch.randn(6, 37), torch.randint(0, 37, (6,))
    total, gradient = loss.chunk_loss(logits.clone(), targets, 37, smoothing, alpha)
    padded = loss.chunk_loss(F.pad(logits, (0, 3), value=1.0), targets, 37, smoothing, alpha)
    torch.testing.assert_close(padded[0], total)
    torch.testing.assert_close(padded[1], F.pad(gradient, (0, 3)))


@pytest.mark.parametrize("small", [0, loss.SMALL], ids=["chunks", "at once"])
def test_logits_far_apart_do_not_overflow(monkeypatch, small):
    monkeypatch.setattr(loss, "SMALL", small)
    states, weight, targets = example()
    ours = cross_entropy_sum(1000 * states, weight, targets)
    torch.testing.assert_close(ours, F.cross_entropy(1000 * states @ weight.T, targets, reduction="sum"))
    assert ours.isfinite()


@pytest.mark.parametrize("small", [0, loss.SMALL], ids=["chunks", "at once"])
def test_under_autocast_the_product_is_in_bfloat16_and_the_sum_in_float32(monkeypatch, small):
    monkeypatch.setattr(loss, "SMALL", small)
    states, weight, targets = example(rows=400)
    exact = cross_entropy_sum(states, weight, targets)
    with torch.autocast("cpu", torch.bfloat16):
        ours = cross_entropy_sum(states, weight, targets)
    assert ours.dtype == torch.float32
    assert ours != exact
    torch.testing.assert_close(ours, exact, rtol=1e-2, atol=0)
    exact_gradients = torch.autograd.grad(exact, (states, weight))
    for gradient, wanted in zip(torch.autograd.grad(ours, (states, weight)), exact_gradients, strict=True):
        assert gradient.dtype == torch.float32
        assert F.cosine_similarity(gradient.flatten(), wanted.flatten(), dim=0) > 0.999


def test_no_targets_cost_nothing():
    states, weight, targets = example(rows=0)
    total = cross_entropy_sum(states, weight, targets)
    total.backward()
    assert total == 0
    assert not weight.grad.any()


@pytest.mark.parametrize("small", [0, loss.SMALL], ids=["chunks", "at once"])
def test_without_gradients_only_the_loss_is_computed(monkeypatch, small):
    monkeypatch.setattr(loss, "SMALL", small)
    states, weight, targets = example()
    with torch.no_grad():
        total = cross_entropy_sum(states, weight, targets)
    assert not total.requires_grad
    torch.testing.assert_close(total, F.cross_entropy(states @ weight.T, targets, reduction="sum").detach())


@pytest.mark.parametrize("small", [0, loss.SMALL], ids=["chunks", "at once"])
def test_frozen_embeddings_leave_the_states_gradient_as_it_is(monkeypatch, small):
    monkeypatch.setattr(loss, "SMALL", small)
    states, weight, targets = example()
    wanted = torch.autograd.grad(cross_entropy_sum(states, weight, targets), states)
    torch.testing.assert_close(torch.autograd.grad(cross_entropy_sum(states, weight.detach(), targets), states), wanted)
