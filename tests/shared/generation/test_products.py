"""Products in 8 bits against those with the rounded weights as floats."""

import pytest
import torch
from torch import nn

from shared.generation import products, reference
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
    """The products are the same on every processor, if slow on some."""
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


@pytest.mark.parametrize("shape", [(1, 1), (7, 13), (32, 96), (64, 3), (1536, 384), (384, 393)])
@pytest.mark.parametrize("spread", [0, 1e-20, 1, 1e6])
@pytest.mark.parametrize("kind", [products.Product, products.PackedProduct, products.WholeProduct])
def test_a_row_is_multiplied_as_floats_are(kind, shape, spread):
    torch.manual_seed(0)
    inputs, outputs = shape
    kept = rounded(torch.randn(outputs, inputs))
    matrix, bias = kept.dequantized().T, torch.randn(outputs)
    if kind is products.PackedProduct and products.why_not_packed(matrix):
        assert inputs % products.STEP
        return
    product = kind(matrix, bias) if kind is products.Product else kind(matrix, bias, kept)
    for _ in range(3):
        row = torch.randn(1, inputs) * spread
        expected = bias + row.double() @ matrix.double()
        bits = 7 if kind is products.PackedProduct else 15
        allowed = 2**-bits * row.abs().max() * matrix.abs().sum(0).max() + 1e-5
        found = product(row)
        assert (found - expected).abs().max() <= allowed
        given = torch.empty(1, outputs)
        assert product(row, given) is given and torch.equal(given, found)
    rows = torch.randn(3, inputs)
    torch.testing.assert_close(product(rows), bias + rows @ matrix, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("relative", "period", "copying"), [(0, 0, 0), (5, 4, 0), (0, 0, 5)])
def test_a_step_gives_the_logits_of_the_rounded_decoder(new_decoder, relative, period, copying):
    decoder = new_decoder(relative_attention=relative, position_period=period, copy_attention=copying)
    for block in decoder.blocks if relative else ():
        nn.init.normal_(block.attn.relative, std=0.3)
    round_to_8_bits(decoder)
    plain, lean = (kind(decoder, KeyValueCache(decoder, 1, LENGTH, decoder.dtype)) for kind in (DecodeStep, LeanStep))
    assert type(lean.scores) is products.WholeProduct
    assert {type(layer.up) for layer in lean.lean} == {products.PackedProduct}
    torch.manual_seed(0)
    line = torch.randint(1, 24, (LENGTH,))
    with torch.inference_mode():
        whole_line = decoder.packed_logits(line[None])[0]
        for position, token in enumerate(line):
            arguments = token[None], torch.tensor([position])
            expected = plain(*arguments)
            torch.testing.assert_close(expected[0], whole_line[position], rtol=1e-4, atol=1e-4)
            # As far apart as bfloat16 is: its numbers have 8 bits.
            assert (lean(*arguments) - expected).norm() <= 0.02 * expected.norm()


def test_several_slots_write_what_the_rounded_decoder_writes(new_decoder):
    decoder = round_to_8_bits(new_decoder())
    torch.manual_seed(1)
    prompts = [torch.randint(1, 24, (9,)).tolist() for _ in range(3)]
    settings = GenerationArguments(max_new_tokens=10)
    expected = reference.generate(decoder, prompts, settings, VOCABULARY)
    assert generate(decoder, prompts, settings, VOCABULARY) == expected


def test_other_numbers_shapes_and_processors_multiply_floats(new_decoder, monkeypatch):
    def kinds(**changes):
        step = LeanStep(decoder := round_to_8_bits(new_decoder(**changes)), KeyValueCache(decoder, 1, 4, decoder.dtype))
        return {type(step.lean[0].up), type(step.scores)}

    assert kinds() == {products.PackedProduct, products.WholeProduct}
    assert kinds(n_embd=24) == {products.Product, products.WholeProduct}
    assert kinds(dtype=torch.float64) == {products.Product}
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    assert kinds() == {products.PackedProduct, products.Product}
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert kinds() == {products.Product}
