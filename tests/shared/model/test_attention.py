import warnings
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention.flex_attention import create_mask

from shared.generation import reference
from shared.generation.arguments import GenerationArguments
from shared.generation.generate import generate
from shared.kernels import flex_attention, relative_blocks
from shared.kernels.flex_attention import block_mask
from shared.kernels.support import fast, warn_once
from shared.model.attention import attention
from shared.model.masks import SequenceStarts, choose_mask, dense_mask, sequence_bounds
from shared.model.modeling_onedecoder import relative_scores
from tests.shared.generation.test_generate import VOCABULARY
from tests.shared.model.test_decoder import alone, batch_of, logits_of, places

DISTANCES = 5


@pytest.fixture
def relative_decoder(new_decoder):
    """A decoder to which distances mean something."""

    def new(**changes):
        decoder = new_decoder(relative_attention=DISTANCES, dtype=torch.float64, **changes)
        torch.manual_seed(3)
        for block in decoder.transformer.h:
            nn.init.normal_(block.attn.relative)
        return decoder

    return new


@pytest.mark.parametrize("masked", [None, "causal", "prefix"])
def test_relative_scores_are_products_with_the_embeddings_of_distances(masked):
    torch.manual_seed(0)
    query, embeddings = torch.randn(2, 3, 8, 4), torch.randn(3, DISTANCES, 4)
    positions = torch.tensor([[0, 1, 2, 3, 4, 5, 0, 1], [0, 1, 2, 0, 1, 0, 1, 2]])
    mask = dense_mask(positions, positions < 3 if masked == "prefix" else None) if masked else None
    scores = relative_scores(query, embeddings, 8, 0.5, mask)
    for row in range(2):
        for i in range(8):
            for j in range(8):
                seen = bool(mask[row, 0, i, j]) if masked else j <= i
                embedding = embeddings[:, min(max(i - j, 0), DISTANCES - 1)]
                expected = 0.5 * (query[row, :, i] * embedding).sum(-1) if seen else torch.full((3,), -torch.inf)
                torch.testing.assert_close(scores[row, :, i, j], expected)


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_switched_on_it_changes_nothing(new_decoder, sequences, mask):
    decoder, batch = new_decoder(mask=mask, dtype=torch.float64), batch_of(sequences)
    before = logits_of(decoder, batch)
    decoder.add_relative_attention(DISTANCES)
    torch.testing.assert_close(logits_of(decoder, batch), before)


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_packed_rows_give_what_their_sequences_give_alone(relative_decoder, sequences, mask):
    decoder = relative_decoder(mask=mask)
    logits = logits_of(decoder, batch_of(sequences))
    for (ids, context), (row, columns) in zip(sequences, places(sequences), strict=True):
        torch.testing.assert_close(logits[row, columns], alone(decoder, ids, context))


@pytest.mark.parametrize("mask", ["causal", "prefix"])
def test_the_cache_changes_nothing(relative_decoder, mask):
    decoder = relative_decoder(mask=mask)
    torch.manual_seed(2)
    prompts = [torch.randint(1, 24, (length,)).tolist() for length in (3, 17, 1, 9)]
    settings = GenerationArguments(max_new_tokens=20)
    written = generate(decoder, prompts, settings, VOCABULARY)
    assert written == reference.generate(decoder, prompts, settings, VOCABULARY)
    assert written != generate(
        relative_decoder(mask=mask, seed=1), prompts, GenerationArguments(max_new_tokens=20), VOCABULARY
    )


def test_it_learns_and_is_saved(relative_decoder, sequences, tmp_path):
    decoder = relative_decoder()
    decoder(**batch_of(sequences)).loss.backward()
    assert all(block.attn.relative.grad.abs().min() > 0 for block in decoder.transformer.h)
    decoder.save_pretrained(tmp_path)
    again = type(decoder).from_pretrained(tmp_path, dtype=torch.float64).eval()
    torch.testing.assert_close(logits_of(again, batch_of(sequences)), logits_of(decoder, batch_of(sequences)))


@pytest.mark.parametrize("with_prefix", [False, True])
def test_the_block_mask_is_the_dense_one(sequences, with_prefix):
    batch = batch_of(sequences)
    prefix = batch["prefix"] if with_prefix else None
    blocks, (rows, length) = block_mask(batch["position_ids"], prefix), batch["position_ids"].shape
    seen = create_mask(blocks.mask_mod, rows, 1, length, length, device="cpu")
    assert torch.equal(seen, dense_mask(batch["position_ids"], prefix))


@pytest.mark.parametrize("with_prefix", [False, True])
def test_attention_is_the_same_with_either_mask(sequences, with_prefix):
    batch = batch_of(sequences)
    prefix = batch["prefix"] if with_prefix else None
    torch.manual_seed(0)
    query, key, value = torch.randn(3, *batch["input_ids"].shape, 2, 16).transpose(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # uncompiled, FlexAttention warns that it is slow
        results = [
            attention(nn.Module(), query, key, value, make(batch["position_ids"], prefix), scaling=0.3)[0]
            for make in (block_mask, dense_mask)
        ]
    torch.testing.assert_close(*results)


def test_what_keeps_a_gpu_from_a_fast_form_is_said_once(monkeypatch):
    warn_once.cache_clear()
    monkeypatch.setattr("shared.kernels.support.has_triton", lambda: True)
    case = {"compiled": True, "relative": False, "dropout": 0.1}
    with pytest.warns(UserWarning, match="dense attention mask instead of FlexAttention: attention dropout"):
        assert fast("flex_attention", torch.device("cuda"), **case) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fast("flex_attention", torch.device("cuda"), **case) is None
        assert fast("flex_attention", torch.device("cuda"), **{**case, "dropout": 0.0}) is flex_attention
        assert fast("flex_attention", torch.device("cpu"), **{**case, "dropout": 0.0}) is None


@pytest.mark.parametrize("positions", [[[0, 1, 2, 0, 1, 0, 0], [0, 1, 2, 3, 4, 5, 6]], [[3, 4, 0, 1, 7, 7, 7]]])
def test_sequence_bounds_are_the_dense_mask(positions):
    positions = torch.tensor(positions)
    first, last = (places.long()[:, None] for places in sequence_bounds(positions))
    at = torch.arange(positions.shape[1])
    queries, keys = at[:, None], at[None, :]
    seen = dense_mask(positions)[:, 0]
    assert torch.equal((keys <= queries) & (keys >= first.transpose(1, 2)), seen)
    assert torch.equal((keys <= queries) & (queries <= last), seen)


def test_on_a_cpu_relative_attention_goes_block_by_block(sequences):
    batch, relative = batch_of(sequences), torch.zeros(2, DISTANCES, 16)
    options = {"device": torch.device("cpu"), "dtype": torch.float32, "width": 16, "relative": relative}
    shape = batch["input_ids"].shape
    mask = choose_mask(shape, batch["position_ids"], None, **options)
    assert isinstance(mask, SequenceStarts)
    assert torch.equal(mask.first, sequence_bounds(batch["position_ids"]).first)
    assert choose_mask(shape, None, None, **options) == SequenceStarts(None)
    for other in ({"compiled": True}, {"dropout": 0.1}, {"dtype": torch.bfloat16}):
        plain = choose_mask(shape, batch["position_ids"], None, **{**options, **other})
        assert torch.equal(plain, dense_mask(batch["position_ids"])), other
    assert isinstance(choose_mask(shape, batch["position_ids"], batch["prefix"], **options), torch.Tensor)


@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 16), st.booleans(), st.integers(0, 3))
def test_block_by_block_is_the_plain_form_and_so_are_its_gradients(length, distances, block, packed, seed):
    torch.manual_seed(seed)
    restarts = torch.rand(2, length) < 0.2
    at = torch.arange(length).expand(2, length)
    positions = at - torch.where(restarts, at, 0).cummax(1).values if packed else at
    inputs = [torch.randn(2, 2, length, 3, dtype=torch.float64) for _ in range(3)]
    inputs.append(torch.randn(2, distances, 3, dtype=torch.float64))
    weights = torch.randn(2, length, 2, 3, dtype=torch.float64)
    results = []
    for mask in (dense_mask(positions), SequenceStarts(sequence_bounds(positions).first if packed else None)):
        query, key, value, relative = leaves = [tensor.clone().requires_grad_() for tensor in inputs]
        with patch.object(relative_blocks, "BLOCK", block):
            mixed, _ = attention(SimpleNamespace(relative=relative), query, key, value, mask, scaling=0.7)
            results.append([mixed, *torch.autograd.grad((mixed * weights).sum(), leaves)])
    for fast_form, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast_form, plain)
