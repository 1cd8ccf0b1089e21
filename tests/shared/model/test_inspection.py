"""What is seen of a decoder is what it computes with."""

import pytest
import torch
from torch import nn
from transformers import GPT2LMHeadModel

from shared.model.inspection import attention_weights
from shared.model.masks import dense_mask

IDS = torch.tensor([[3, 9, 4, 17, 1, 8, 20]])
PLACES = torch.arange(IDS.shape[1])[None]


def look(decoder):
    """The weights of all layers, [layers, H, T, T], while the decoder reads `IDS`, the first three of them context."""
    gpt2 = decoder.eval().transformer
    mask = dense_mask(PLACES, PLACES < 3) if decoder.config.mask == "prefix" else None
    found, states = [], gpt2.wte(IDS) + gpt2.wpe(PLACES)
    with torch.no_grad():
        for layer, block in enumerate(gpt2.h):
            found.append(attention_weights(decoder, layer, states, mask))
            states = block(states, None, mask)
    return torch.cat(found)


def test_weights_are_those_of_transformers(new_decoder):
    decoder = new_decoder()
    plain = GPT2LMHeadModel(decoder.config)
    plain.load_state_dict(decoder.state_dict())
    plain.set_attn_implementation("eager")
    with torch.no_grad():
        theirs = plain.eval()(IDS, output_attentions=True).attentions
    torch.testing.assert_close(look(decoder), torch.cat(theirs))


@pytest.mark.parametrize("settings", [{}, {"relative_attention": 5}, {"mask": "prefix"}], ids=str)
def test_looking_changes_nothing(new_decoder, settings):
    decoder = new_decoder(**settings).eval()
    for block in decoder.transformer.h if "relative_attention" in settings else ():
        nn.init.normal_(block.attn.relative)
    with torch.no_grad():
        before = decoder.packed_logits(IDS, PLACES < 3)
        weights = look(decoder)
        after = decoder.packed_logits(IDS, PLACES < 3)
    assert torch.equal(before, after)
    assert not any(block.attn._forward_hooks for block in decoder.transformer.h)
    assert weights.shape == (2, 2, IDS.shape[1], IDS.shape[1])
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_what_the_mask_hides_has_no_weight(new_decoder, mask):
    weights = look(new_decoder(mask=mask))
    visible = torch.ones(IDS.shape[1], IDS.shape[1], dtype=torch.bool).tril()
    if mask == "prefix":
        visible[:, :3] = True
    assert torch.equal(weights > 0, visible.expand_as(weights))
