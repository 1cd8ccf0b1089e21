"""What a forward pass keeps for the backward one: it decides how long a line may be."""

import pytest
import torch

from recipes.benchmarks.measuring import plain_gpt2


def kept(model, length, **inputs):
    """Bytes that the pass over one line of `length` tokens keeps, weights left out."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    sizes = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(0)
    ids = torch.randint(1, 24, (1, length))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(input_ids=ids, labels=ids, **inputs).loss  # held, so that no memory is used twice
    assert loss.requires_grad
    return sum(sizes.values())


@pytest.fixture
def ours(new_decoder):
    """Bytes kept by a decoder for one line, of which the last quarter is learned."""

    def measure(length, checkpointing=False, layers=2):
        decoder = new_decoder(context=1024, n_layer=layers).train()
        if checkpointing:
            decoder.gradient_checkpointing_enable({"use_reentrant": False})
        learned = torch.arange(length - length // 4, length)
        return kept(decoder, length, prefix=torch.zeros(1, length, dtype=torch.bool), learned=learned)

    return measure


def test_memory_grows_linearly_with_the_line(ours):
    assert 1.9 < ours(1024) / ours(512) < 2.01


def test_where_all_scores_are_kept_it_does_not(new_decoder):
    """The same measure, of attention that writes out its scores: it can tell."""
    model = plain_gpt2(new_decoder(context=1024)).train()
    model.set_attn_implementation("eager")
    assert kept(model, 1024) / kept(model, 512) > 3


def test_with_checkpoints_a_block_keeps_its_input_only(ours):
    blocks = ours(1024, layers=4) - ours(1024)
    inputs = ours(1024, checkpointing=True, layers=4) - ours(1024, checkpointing=True)
    assert inputs == 2 * 1024 * 32 * 4  # two blocks more: tokens, width, bytes
    assert blocks > 10 * inputs
