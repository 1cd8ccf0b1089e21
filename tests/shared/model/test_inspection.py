"""What is seen of a decoder is what it computes with."""

import pytest
import torch
from torch import nn
from transformers import GPT2LMHeadModel

from shared.model.inspection import inspect

IDS = [3, 9, 4, 17, 1, 8, 20]


def test_weights_and_probabilities_are_those_of_transformers(new_decoder):
    decoder = new_decoder()
    plain = GPT2LMHeadModel(decoder.config)
    plain.load_state_dict(decoder.state_dict())
    plain.set_attn_implementation("eager")
    with torch.no_grad():
        theirs = plain.eval()(torch.tensor([IDS]), output_attentions=True)
    seen = inspect(decoder, IDS, 3)
    torch.testing.assert_close(seen.weights, torch.cat(theirs.attentions))
    torch.testing.assert_close(seen.next, theirs.logits[0].softmax(-1))


@pytest.mark.parametrize("settings", [{}, {"relative_attention": 5}, {"mask": "prefix"}], ids=str)
def test_looking_changes_nothing(new_decoder, settings):
    decoder = new_decoder(**settings)
    for block in decoder.transformer.h if "relative_attention" in settings else ():
        nn.init.normal_(block.attn.relative)
    ids, prefix = torch.tensor([IDS]), torch.arange(len(IDS))[None] < 3
    with torch.no_grad():
        before = decoder.packed_logits(ids, prefix)[0]
        seen = inspect(decoder, IDS, 3)
        after = decoder.packed_logits(ids, prefix)[0]
    torch.testing.assert_close(seen.next, before.softmax(-1))
    assert torch.equal(before, after)
    assert not any(block.attn._forward_hooks for block in decoder.transformer.h)
    assert seen.weights.shape == (2, 2, len(IDS), len(IDS))
    torch.testing.assert_close(seen.weights.sum(-1), torch.ones(2, 2, len(IDS)))


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_what_the_mask_hides_has_no_weight(new_decoder, mask):
    weights = inspect(new_decoder(mask=mask), IDS, 3).weights
    visible = torch.ones(len(IDS), len(IDS), dtype=torch.bool).tril()
    if mask == "prefix":
        visible[:, :3] = True
    assert torch.equal(weights > 0, visible.expand_as(weights))
