"""The reference writes what transformers writes, and every faster path writes what the reference does."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from transformers import GPT2LMHeadModel

from shared.generation import reference
from shared.generation.arguments import GenerationArguments
from shared.generation.generate import generate
from tests.shared.generation.test_constraint import EvenTokens
from tests.shared.generation.test_generate import SETTINGS, VOCABULARY

DECODERS = {
    "causal": {},
    "prefix": {"mask": "prefix"},
    "relative": {"relative_attention": 6},
    "relative, repeating positions": {"relative_attention": 6, "position_period": 8},
    "relative, prefix": {"mask": "prefix", "relative_attention": 6},
    "copying": {"copy_attention": 5},
    "copying, relative, prefix": {"copy_attention": 5, "mask": "prefix", "relative_attention": 6},
}
BLOCKED = {"min_new_tokens": 6, "no_repeat_ngram_size": 2}


@pytest.fixture
def prompts():
    torch.manual_seed(4)
    return [torch.randint(1, 24, (length,)).tolist() for length in (5, 1, 17, 40, 9)]


@pytest.fixture
def context(request):
    """Positions of the decoders."""
    return getattr(request, "param", 48)


@pytest.fixture(params=DECODERS)
def decoder(request, new_decoder, context):
    decoder = new_decoder(context=context, dtype=torch.float64, **DECODERS[request.param])
    for block in decoder.transformer.h if "relative" in request.param else ():
        nn.init.normal_(block.attn.relative)
    if decoder.copying:
        nn.init.normal_(decoder.copying.gate.weight)
    return decoder


@pytest.mark.parametrize("beams", [1, 3])
def test_the_reference_writes_what_transformers_writes(new_decoder, prompts, beams):
    decoder = new_decoder(dtype=torch.float64)
    model = GPT2LMHeadModel(decoder.config).double().eval()
    model.load_state_dict(decoder.state_dict())
    for prompt in prompts[:3]:
        settings = GenerationArguments(max_new_tokens=12, num_beams=beams)
        (ours,) = reference.generate(decoder, [prompt], settings, VOCABULARY)
        options = {"max_new_tokens": 12, "num_beams": beams, "do_sample": False, "pad_token_id": VOCABULARY.end}
        theirs = model.generate(torch.tensor([prompt]), **options)[0, len(prompt) :].tolist()
        end = theirs.index(VOCABULARY.end) if VOCABULARY.end in theirs else None
        assert ours == theirs[:end]


@pytest.mark.parametrize("blocked", [{}, BLOCKED], ids=["free", "blocked"])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_engine_writes_what_the_reference_writes(decoder, prompts, settings, blocked):
    arguments = GenerationArguments(max_new_tokens=10, generation_batch_size=8, **settings, **blocked)
    expected = reference.generate(decoder, prompts, arguments, VOCABULARY, seed=5)
    assert generate(decoder, prompts, arguments, VOCABULARY, seed=5) == expected
    assert len({tuple(ids) for ids in expected}) > 1


@pytest.mark.parametrize("do_sample", [False, True])
@pytest.mark.parametrize("context", [24], indirect=True)
def test_the_engine_slides_as_the_reference_does(decoder, prompts, do_sample):
    """Every prompt goes past the context, whose latter half stays, two to four times."""
    settings = GenerationArguments(max_new_tokens=45, do_sample=do_sample)
    prompts, endless = [prompt[-20:] for prompt in prompts], SimpleNamespace(end=-1)
    expected = reference.generate(decoder, prompts, settings, endless, sliding=True)
    for batch_size in (1, 64):
        batched = replace(settings, generation_batch_size=batch_size)
        assert generate(decoder, prompts, batched, endless, sliding=True) == expected
    assert all(len(ids) == 45 for ids in expected)


@pytest.mark.parametrize("do_sample", [False, True])
def test_the_engine_keeps_to_a_constraint_as_the_reference_does(decoder, prompts, do_sample):
    settings = GenerationArguments(max_new_tokens=20, do_sample=do_sample, top_k=6)
    expected = reference.generate(decoder, prompts, settings, VOCABULARY, constraint=EvenTokens(most=12))
    assert generate(decoder, prompts, settings, VOCABULARY, constraint=EvenTokens(most=12)) == expected
