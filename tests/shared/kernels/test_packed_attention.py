"""Attention over packed rows in C++ against the plain form, and when it is chosen."""

import platform
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.kernels import cpp, packed_attention
from shared.model.masks import SequenceStarts, choose_mask, dense_mask, sequence_bounds
from tests.shared.model.test_decoder import batch_of

CASE = {"device": torch.device("cpu"), "dtype": torch.float32, "width": 16}


@pytest.fixture(autouse=True)
def _compiled_anew():
    """A library that was looked for once is not looked for again."""
    packed_attention._compiled.cache_clear()
    yield
    packed_attention._compiled.cache_clear()


def positions_of(rows, length, longest):
    """Rows of sequences of up to `longest` tokens."""
    positions = torch.zeros(rows, length, dtype=torch.long)
    for row in positions:
        start = 0
        while start < length:
            stop = min(length, start + int(torch.randint(1, longest + 1, ())))
            row[start:stop] = torch.arange(stop - start)
            start = stop
    return positions


def check_equal(rows, length, heads, width, longest, threads=1, apart=False):
    """Values and gradients, of parts of one projection or of tensors that lie each in its own way.

    The plain form is computed in float64: its own rounding is not to be told from ours.
    """
    positions = positions_of(rows, length, longest)
    projected = torch.randn(rows, length, 3 * heads * width) * 2
    asked, scaling = torch.randn(rows, length, heads, width), 0.3
    found = []
    for form in ("plain", "ours"):
        inputs = projected.to(torch.float64 if form == "plain" else torch.float32, copy=True).requires_grad_()
        query, key, value = (part.unflatten(2, (heads, width)).transpose(1, 2) for part in inputs.chunk(3, -1))
        if apart:
            query, value = query.contiguous(), value.transpose(2, 3).contiguous().transpose(2, 3)
        if form == "plain":
            mask = dense_mask(positions)
            mixed = F.scaled_dot_product_attention(query, key, value, mask, scale=scaling).transpose(1, 2)
        else:
            first = sequence_bounds(positions).first
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(torch, "get_num_threads", lambda: threads)
                mixed = packed_attention.attention(query, key, value, first, scaling)
        mixed.backward(asked.to(mixed.dtype))
        found.append((mixed.detach(), inputs.grad))
    for ours, plain in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, plain.float(), rtol=3e-4, atol=3e-4)
    return found[1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 3), st.integers(1, 50), st.integers(1, 3), st.integers(1, 50), st.booleans(), st.integers(0, 3))
def test_values_and_gradients_are_the_plain_form_s(cpp_compiler, rows, length, heads, longest, apart, seed):
    torch.manual_seed(seed)
    check_equal(rows, length, heads, 16, longest, apart=apart)


@pytest.mark.parametrize("width", [32, 48, 64])
def test_wider_heads(cpp_compiler, width):
    torch.manual_seed(width)
    check_equal(2, 70, 2, width, 40)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are processors of another kind")
@pytest.mark.parametrize("processor", ["x86-64-v2", "x86-64-v3"])
def test_processors_with_shorter_vectors(cpp_compiler, monkeypatch, processor):
    if processor == "x86-64-v3" and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this processor has no AVX2")
    monkeypatch.setattr(cpp, "FLAGS", (*cpp.FLAGS, f"-march={processor}"))
    cpp.library.cache_clear()
    torch.manual_seed(0)
    check_equal(2, 70, 2, 16, 40)
    cpp.library.cache_clear()


def test_several_threads_give_the_same_numbers(cpp_compiler):
    found = []
    for threads in (1, 2, 3):
        torch.manual_seed(0)
        found.append(check_equal(3, 40, 2, 16, 20, threads))
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_it_is_chosen_where_it_applies(cpp_compiler, sequences):
    batch = batch_of(sequences)
    shape, positions = batch["input_ids"].shape, batch["position_ids"]
    mask = choose_mask(shape, positions, None, **CASE)
    assert isinstance(mask, SequenceStarts) and torch.equal(mask.first, sequence_bounds(positions).first)
    for other in (
        {"compiled": True},
        {"dropout": 0.1},
        {"dtype": torch.bfloat16},
        {"dtype": torch.float64},
        {"width": 24},
    ):
        assert torch.equal(choose_mask(shape, positions, None, **{**CASE, **other}), dense_mask(positions)), other
    assert torch.equal(choose_mask(shape, positions, batch["prefix"], **CASE), dense_mask(positions, batch["prefix"]))
    assert choose_mask(shape, None, None, **CASE) is None
    alone = torch.arange(shape[1]).expand(shape)
    assert torch.equal(choose_mask(shape, alone, None, **CASE), dense_mask(alone))


@pytest.mark.parametrize("broken", [False, True], ids=["no compiler", "one that fails"])
def test_without_a_compiler_the_mask_is_dense(sequences, monkeypatch, tmp_path, broken):
    cpp.library.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "false" if broken else "")
    if not broken:
        monkeypatch.setenv("PATH", str(tmp_path))
    batch = batch_of(sequences)
    mask = choose_mask(batch["input_ids"].shape, batch["position_ids"], None, **CASE)
    assert torch.equal(mask, dense_mask(batch["position_ids"]))


def test_a_decoder_learns_as_with_the_plain_form(cpp_compiler, new_decoder, sequences):
    decoder, batch = new_decoder(n_embd=64, n_head=2), batch_of(sequences)

    def learned():
        decoder.zero_grad()
        with patch.object(packed_attention, "attention", wraps=packed_attention.attention) as ours:
            loss = decoder(**batch).loss
        loss.backward()
        return ours.call_count, [loss.detach(), *(weight.grad.clone() for weight in decoder.parameters())]

    with patch.object(packed_attention, "why_not", lambda *_: "not here"):
        unused, expected = learned()
    used, found = learned()
    assert unused == 0 and used == len(decoder.blocks)
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-5)
