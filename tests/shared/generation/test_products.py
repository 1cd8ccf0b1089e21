"""Products with whole numbers against those with the rounded weights as floats."""

import pytest
import torch
from torch import nn

from shared.generation import products
from shared.generation.arguments import GenerationArguments
from shared.generation.cache import KeyValueCache
from shared.generation.decode_step import DecodeStep
from shared.generation.generate import generate
from shared.generation.lean_step import LeanStep
from shared.model.quantized import round_to_8_bits, rounded
from tests.shared.generation.test_generate import VOCABULARY

LENGTH = 12


@pytest.fixture(autouse=True)
def _any_processor(monkeypatch):
    """The product is the same on every processor, if slow on some."""
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)


@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (32, 96), (1536, 384), (384, 393)])
@pytest.mark.parametrize("spread", [0, 1e-20, 1, 1e6])
def test_a_row_is_multiplied_as_floats_are(shape, spread):
    torch.manual_seed(0)
    inputs, outputs = shape
    kept = rounded(torch.randn(outputs, inputs))
    matrix, bias = kept.dequantized().T, torch.randn(outputs)
    whole, plain = products.WholeProduct(matrix, bias, *kept), products.Product(matrix, bias)
    for _ in range(3):
        row = torch.randn(1, inputs) * spread
        expected = bias + row.double() @ matrix.double()
        allowed = 2**-15 * row.abs().max() * matrix.abs().sum(0).max() + 1e-5
        assert (whole(row) - expected).abs().max() <= allowed
        assert (plain(row) - expected).abs().max() <= allowed
        given = torch.empty(1, outputs)
        assert whole(row, given) is given and torch.equal(given, whole(row))
    rows = torch.randn(3, inputs)
    torch.testing.assert_close(whole(rows), plain(rows))


@pytest.mark.parametrize(("relative", "period"), [(0, 0), (5, 4)])
def test_a_step_gives_the_logits_of_the_rounded_decoder(new_decoder, relative, period):
    decoder = new_decoder(relative_attention=relative, position_period=period)
    for block in decoder.blocks if relative else ():
        nn.init.normal_(block.attn.relative, std=0.3)
    round_to_8_bits(decoder)
    plain, lean = (kind(decoder, KeyValueCache(decoder, 1, LENGTH, decoder.dtype)) for kind in (DecodeStep, LeanStep))
    assert isinstance(lean.scores, products.WholeProduct)
    torch.manual_seed(0)
    line = torch.randint(1, 24, (LENGTH,))
    with torch.inference_mode():
        whole_line = decoder.packed_logits(line[None])[0]
        for position, token in enumerate(line):
            arguments = token[None], torch.tensor([position])
            logits = lean(*arguments)
            torch.testing.assert_close(logits, plain(*arguments), rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(logits[0], whole_line[position], rtol=1e-3, atol=1e-3)


def test_what_is_written_is_what_the_rounded_decoder_writes(new_decoder):
    """Alone, by whole numbers; with others, by floats."""
    decoder = round_to_8_bits(new_decoder())
    torch.manual_seed(1)
    prompts = [torch.randint(1, 24, (length,)).tolist() for length in (5, 1, 9)]
    settings = GenerationArguments(max_new_tokens=10)
    together = generate(decoder, prompts, settings, VOCABULARY)
    assert [generate(decoder, [prompt], settings, VOCABULARY)[0] for prompt in prompts] == together


def test_other_numbers_and_processors_multiply_floats(new_decoder, monkeypatch):
    single, double = (round_to_8_bits(new_decoder(dtype=dtype)).lm_head for dtype in (torch.float32, torch.float64))
    assert type(products.product(single, single.weight.T)) is products.WholeProduct
    assert type(products.product(double, double.weight.T)) is products.Product
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    assert type(products.product(single, single.weight.T)) is products.Product
