import numpy as np
import pytest
import torch

from shared.hardware import bandwidth, data_sheet_peak, matmul_peak, multiplies_bfloat16
from shared.model.decoder import Decoder
from shared.model.flops import decoding_bytes_per_step, mean_context, training_flops_per_token
from shared.model.modeling_onedecoder import OneDecoderConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def gpt2():
    """GPT-2 small in shape, without any memory behind it."""
    with torch.device("meta"):
        return Decoder(OneDecoderConfig())


@pytest.mark.parametrize("measure", [matmul_peak, bandwidth])
def test_what_is_measured_is_measured_once(measure):
    assert 1e8 < measure(CPU) < 1e15
    assert measure(CPU) == measure(CPU)


@pytest.mark.parametrize(
    ("flags", "expected"), [("fpu avx512_bf16 amx_tile", True), ("fpu avx2 bf16", False), (None, False)]
)
def test_a_cpu_says_whether_it_multiplies_bfloat16(flags, expected, tmp_path):
    if flags:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n\nprocessor : 1\nflags : {flags}\n")
    assert multiplies_bfloat16(CPU, tmp_path / "cpuinfo") is expected
    assert multiplies_bfloat16(torch.device("cuda"))


@pytest.mark.parametrize(
    ("name", "peak"),
    [("NVIDIA H100 PCIe", 756e12), ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA A100-SXM4", 312e12), ("?", None)],
)
def test_a_data_sheet_is_found_by_a_part_of_the_gpus_name(monkeypatch, name, peak):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert data_sheet_peak(torch.device("cuda")) == peak
    assert data_sheet_peak(torch.device("cpu")) is None


def test_measuring_leaves_the_random_numbers_as_they_are():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    matmul_peak.__wrapped__(CPU)
    assert torch.equal(torch.rand(3), expected)


def test_gpt2_costs_what_nanogpt_says(gpt2):
    parameters = 124_439_808 - 1024 * 768
    assert training_flops_per_token(gpt2, 1024) == 6 * parameters + 12 * 12 * 12 * 64 * 1024 == 855_166_464


def test_half_the_context_costs_half_the_attention(gpt2):
    assert training_flops_per_token(gpt2, 0) == 6 * 123_653_376
    long, short = (training_flops_per_token(gpt2, context) for context in (1024, 512))
    assert long - short == 6 * 12 * 768 * 1024


def test_copy_attention_costs_its_weights_its_scores_and_the_sum_of_those_that_point_at_the_token():
    with torch.device("meta"):
        plain, copying = (Decoder(OneDecoderConfig(copy_attention=width)) for width in (0, 64))
    weights = 768 * 64 + 768 * 2 * 64 + 768 + 1  # query, key, gate
    forward = 2 * weights + 2 * 64 * 1000 + 2 * 1000  # 2 operations for each product, over a context of 1,000
    more = training_flops_per_token(copying, 1000) - training_flops_per_token(plain, 1000)
    assert more == 3 * forward == 1_279_350  # the backward pass takes two forward passes' time


def test_the_mean_context_is_that_of_the_tokens_not_of_the_sequences():
    assert mean_context(np.array([1, 3], dtype=np.int32)) == 2.5
    assert mean_context(np.full(2**20, 2**16, dtype=np.int32)) == 2**16  # squares that no 32 bits hold


def test_a_step_reads_the_weights_once_and_the_cache_of_every_row(gpt2):
    assert decoding_bytes_per_step(gpt2, 1, 0, 2) == 2 * 123_653_376
    # Keys and values of 12 layers, 768 wide, 100 tokens in each of 64 rows, 2 bytes a value.
    assert decoding_bytes_per_step(gpt2, 64, 100, 2) - 2 * 123_653_376 == 2 * 12 * 768 * 100 * 64 * 2
