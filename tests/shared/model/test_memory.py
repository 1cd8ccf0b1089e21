"""What a forward pass keeps for the backward one: it decides how long a line may be."""

from contextlib import contextmanager

import pytest
import torch

from recipes.benchmarks.measuring import plain_gpt2
from shared.model import copying


@contextmanager
def keeping(model):
    """Counts in a dictionary the floating-point numbers that passes keep meanwhile, weights left out."""
    weights = {weight.data_ptr() for weight in model.parameters()}
    sizes = {}

    def keep(tensor):
        if tensor.is_floating_point() and tensor.data_ptr() not in weights:
            sizes[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield sizes


def kept(model, length, **inputs):
    """How many numbers the pass over one line of `length` tokens keeps."""
    torch.manual_seed(0)
    ids = torch.randint(1, 24, (1, length))
    with keeping(model) as sizes:
        loss = model(input_ids=ids, labels=ids, **inputs).loss  # held, so that no memory is used twice
    assert loss.requires_grad
    return sum(sizes.values())


@pytest.fixture
def ours(new_decoder):
    """How many numbers a decoder keeps for one line, of which the last quarter is learned."""

    def measure(length, checkpointing=False, layers=2, **changes):
        decoder = new_decoder(context=1024, n_layer=layers, **changes).train()
        if checkpointing:
            decoder.gradient_checkpointing_enable({"use_reentrant": False})
        learned = torch.arange(length - length // 4, length)
        return kept(decoder, length, prefix=torch.zeros(1, length, dtype=torch.bool), target_positions=learned)

    return measure


def test_memory_grows_linearly_with_the_line(ours):
    assert 1.9 < ours(1024) / ours(512) < 2.01


def test_copy_attention_keeps_no_scores(ours, monkeypatch):
    monkeypatch.setitem(copying.CHUNK, "cpu", 2**16)
    assert 1.9 < ours(1024, copy_attention=8) / ours(512, copy_attention=8) < 2.01


def test_where_all_scores_are_kept_it_does_not(new_decoder):
    """The same measure, of attention that writes out its scores: it can tell."""
    model = plain_gpt2(new_decoder(context=1024)).train()
    model.set_attn_implementation("eager")
    assert kept(model, 1024) / kept(model, 512) > 3


def test_with_checkpoints_a_block_keeps_its_input_only(ours):
    blocks = ours(1024, layers=4) - ours(1024)
    inputs = ours(1024, checkpointing=True, layers=4) - ours(1024, checkpointing=True)
    assert inputs == 2 * 1024 * 32  # two blocks more: tokens, width
    assert blocks > 10 * inputs


def packed_gradients(decoder):
    """The gradients of a decoder on one batch of packed rows, and how many numbers the pass kept for them."""
    torch.manual_seed(3)
    with keeping(decoder) as sizes:
        loss = decoder(
            input_ids=torch.arange(48).view(3, 16) % 24,
            position_ids=torch.tensor([[*range(9), *range(5), 0, 0]]).expand(3, 16),
            prefix=torch.tensor([[True] * 4 + [False] * 5 + [True] * 2 + [False] * 5]).expand(3, 16),
            labels=torch.ones(3, 16, dtype=torch.long),
            target_positions=torch.tensor([5, 6, 12, 22, 28]),
        ).loss
    loss.backward()
    return [weight.grad for weight in decoder.parameters()], sum(sizes.values())


@pytest.mark.parametrize("compiled", [False, True], ids=["as it is", "compiled"])
@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_checkpointed_blocks_keep_less_and_give_the_same_gradients(new_decoder, mask, compiled):
    plain, thrifty = (new_decoder(mask=mask, resid_pdrop=0.3, embd_pdrop=0.3).train() for _ in range(2))
    thrifty.gradient_checkpointing_enable()
    for block in thrifty.transformer.h if compiled else ():
        block.compile(backend="aot_eager")
    wanted, all_kept = packed_gradients(plain)
    gradients, kept = packed_gradients(thrifty)
    assert kept < all_kept / 5
    for gradient, expected in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=0)
