"""A decoder in 8 bits: what is left of its weights, what computes with them, and what is refused."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shared.errors import UserError
from shared.model.quantized import MOST, round_to_8_bits, rounded, rounded_matrix

NUMBERS = st.floats(-1e4, 1e4, width=32)
MATRICES = arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 9)), elements=NUMBERS)


@given(MATRICES)
def test_rows_are_rounded_to_their_nearest_whole_numbers(matrix):
    rows = torch.from_numpy(matrix)
    kept = rounded(rows)
    assert kept.whole.dtype == torch.int8 and kept.whole.abs().max() <= MOST
    half_a_step = kept.scale[:, None] / 2
    assert ((kept.dequantized() - rows).abs() <= half_a_step * 1.001 + 1e-30).all()
    largest = kept.whole.abs().amax(-1)
    normal = kept.scale > torch.finfo(torch.float32).tiny
    assert (largest[normal] == MOST).all()


def test_all_matrices_of_blocks_and_head_are_rounded_and_nothing_else(new_decoder):
    plain = new_decoder(relative_attention=5)
    decoder = round_to_8_bits(copy.deepcopy(plain))
    assert decoder.lm_head.weight is decoder.transformer.wte.weight
    matrices = {"wte.weight", "lm_head.weight", "c_attn.weight", "c_proj.weight", "c_fc.weight"}
    before, after = plain.state_dict(), decoder.state_dict()
    assert before.keys() == after.keys()  # the whole numbers are not saved
    for name, weight in after.items():
        assert torch.equal(weight, before[name]) != name.endswith(tuple(matrices)), name
    for block in decoder.blocks:
        for module in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj):
            assert torch.equal(rounded_matrix(module).dequantized().T, module.weight)
    assert torch.equal(rounded_matrix(decoder.lm_head).dequantized(), decoder.transformer.wte.weight)
    assert rounded_matrix(plain.lm_head) is None


def test_to_round_again_changes_nothing(decoder):
    once = round_to_8_bits(decoder)
    twice = round_to_8_bits(copy.deepcopy(once))
    for name, weight in once.state_dict().items():
        torch.testing.assert_close(twice.state_dict()[name], weight, rtol=1e-6, atol=0)


def test_what_is_rounded_is_neither_saved_nor_trained(decoder, tmp_path):
    round_to_8_bits(decoder)
    with pytest.raises(UserError, match="rounded to 8 bits is not saved"):
        decoder.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    assert not any(parameter.requires_grad for parameter in decoder.parameters())
