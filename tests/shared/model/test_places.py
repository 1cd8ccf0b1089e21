"""The last layer at some places: where a token is learned from."""

import pytest
import torch
import torch.nn.functional as F

from tests.shared.model.test_decoder import batch_of


@pytest.mark.parametrize("settings", [{}, {"mask": "prefix"}, {"relative_attention": 5}], ids=str)
def test_the_last_layer_is_computed_where_something_is_learned(new_decoder, sequences, settings):
    """And the loss and all gradients are those of the whole layer."""
    decoder, batch = new_decoder(dtype=torch.float64, **settings).train(), batch_of(sequences)
    learned, computed = batch["target_positions"], []
    decoder.blocks[-1].mlp.register_forward_hook(lambda _, inputs, output: computed.append(output.shape[:-1]))
    logits = decoder.packed_logits(batch["input_ids"], batch["prefix"], batch["position_ids"])[:, :-1]
    whole = F.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten())
    losses = [decoder(**batch).loss, whole]
    assert computed == [batch["input_ids"].shape, learned.shape]
    gradients = [torch.autograd.grad(loss, list(decoder.parameters())) for loss in losses]
    for own, expected in zip(*([loss, *found] for loss, found in zip(losses, gradients, strict=True)), strict=True):
        torch.testing.assert_close(own, expected)
