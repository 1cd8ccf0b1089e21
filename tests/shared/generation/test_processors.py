"""A sampling setting that nothing else knows of: it counts in every path, and keeps the kernel away."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from unittest.mock import MagicMock

import pytest
import torch

import shared.kernels
from shared.generation import processors, reference, sampling
from shared.generation.arguments import GenerationArguments
from shared.generation.generate import generate
from shared.kernels import support
from tests.shared.generation.test_generate import VOCABULARY

CUDA = torch.device("cuda")
KERNEL = "shared.kernels.sampling"


@dataclass
class MadeUp(GenerationArguments):
    """A setting more: draw only ids that it divides."""

    multiples_of: int = 1


def multiples_of(logits, divisor, written):
    return logits.masked_fill(torch.arange(logits.shape[1]) % divisor != 0, -torch.inf)


@pytest.fixture(autouse=True)
def made_up(monkeypatch):
    monkeypatch.setitem(processors.WARPERS, "multiples_of", multiples_of)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """The kernels are chosen as on a GPU with Triton, which need not be there: nothing is launched."""
    with monkeypatch.context() as patch:
        if find_spec("triton") is None:
            patch.setitem(sys.modules, "triton", MagicMock())
            patch.setitem(sys.modules, "triton.language", sys.modules["triton"].language)
        patch.setattr(support, "has_triton", lambda: True)
        support.warn_once.cache_clear()
        yield
    if find_spec("triton") is None:  # what was imported without it must not be found by others
        sys.modules.pop(KERNEL, None)
        vars(shared.kernels).pop("sampling", None)


@pytest.fixture
def prompts():
    torch.manual_seed(4)
    return [torch.randint(1, 24, (length,)).tolist() for length in (5, 1, 17, 9)]


def test_a_new_setting_counts_in_the_engine_and_in_the_reference(new_decoder, prompts):
    decoder = new_decoder(dtype=torch.float64)
    drawn = {}
    for divisor in (1, 3):
        settings = MadeUp(max_new_tokens=10, do_sample=True, multiples_of=divisor)
        drawn[divisor] = generate(decoder, prompts, settings, VOCABULARY, seed=5)
        assert reference.generate(decoder, prompts, settings, VOCABULARY, seed=5) == drawn[divisor]
    assert any(token % 3 for ids in drawn[1] for token in ids)
    assert any(drawn[3]) and not any(token % 3 for ids in drawn[3] for token in ids)


def test_the_kernel_takes_what_it_knows(as_on_a_gpu):
    module = support.fast("sampling", CUDA, warpers=("temperature", "top_k", "top_p"), dtype=torch.float32)
    assert module.__name__ == KERNEL


def test_the_kernel_leaves_a_setting_it_does_not_know_to_the_plain_path(as_on_a_gpu):
    with pytest.warns(UserWarning, match="without the fused kernel: multiples_of has no kernel"):
        assert support.fast("sampling", CUDA, warpers=("multiples_of", "top_k"), dtype=torch.float32) is None


def test_where_there_is_a_gpu_a_new_setting_is_not_ignored(as_on_a_gpu, monkeypatch, new_decoder, prompts):
    settings = MadeUp(max_new_tokens=10, do_sample=True, multiples_of=3)
    expected = reference.generate(new_decoder(), prompts, settings, VOCABULARY, seed=5)
    monkeypatch.setattr(sampling, "fast", lambda name, device, **case: support.fast(name, CUDA, **case))
    with pytest.warns(UserWarning, match="multiples_of has no kernel"):
        assert generate(new_decoder(), prompts, settings, VOCABULARY, seed=5) == expected
