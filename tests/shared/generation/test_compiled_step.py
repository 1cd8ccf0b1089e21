"""The step in C++ against the plain one, and what runs where there is no compiler or it does not know the case."""

import platform

import pytest
import torch
from torch import nn

from shared.generation import compiled_step
from shared.generation.arguments import GenerationArguments
from shared.generation.cache import KeyValueCache
from shared.generation.compiled_step import CompiledStep, compile_step
from shared.generation.decode_step import DecodeStep
from shared.generation.ensemble import Ensemble
from shared.generation.generate import generate
from shared.generation.lean_step import LeanStep
from shared.generation.steps import new_step
from shared.kernels import cpp
from shared.kernels.support import warn_once
from shared.model.quantized import round_to_8_bits
from tests.shared.generation.test_generate import VOCABULARY

LENGTH = 20
KINDS = [(0, 0, 0), (5, 0, 0), (40, 0, 0), (5, 4, 0), (0, 0, 6)]


@pytest.fixture(autouse=True)
def _warned_anew():
    warn_once.cache_clear()


@pytest.fixture
def new_kind(new_decoder):
    """Decoders with relative attention, a period of positions or copy attention."""

    def new(relative=0, period=0, copying=0, **changes):
        kinds = {"relative_attention": relative, "position_period": period, "copy_attention": copying}
        decoder = new_decoder(**kinds, **changes)
        for block in decoder.blocks if relative else ():
            nn.init.normal_(block.attn.relative, std=0.3)
        for name, weight in decoder.named_parameters():
            if name.endswith("bias"):
                nn.init.normal_(weight, std=0.3)
        return decoder

    return new


def steps(decoder, slots=1):
    """The plain step and the one that is chosen, each over a cache of its own that holds a prompt."""
    caches = [KeyValueCache(decoder, slots, LENGTH, torch.float32) for _ in range(2)]
    made = DecodeStep(decoder, caches[0]), compiled_step.compiled_step(decoder, caches[1])
    for step in filter(None, made):
        step.prefill({0: [3, 1, 4, 1, 5]})
    return made


def check_equal(decoder):
    """Logits and caches at every position after a prompt."""
    with torch.inference_mode():
        plain, compiled = steps(decoder)
        assert type(compiled) is CompiledStep
        torch.manual_seed(0)
        found = []
        for position in range(5, LENGTH):
            given = torch.randint(1, 24, (1,)), torch.tensor([position])
            expected, logits = plain(*given), compiled(*given)
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
            found.append((logits, logits.clone()))
        for name in ("keys", "values"):
            torch.testing.assert_close(getattr(compiled.cache, name), getattr(plain.cache, name), rtol=1e-4, atol=1e-4)
        assert all(torch.equal(*pair) for pair in found)  # no step changes what one before it gave


@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize(("relative", "period", "copying"), KINDS)
def test_logits_and_cache_are_the_plain_step_s(cpp_compiler, new_kind, relative, period, copying, bits):
    decoder = new_kind(relative, period, copying)
    check_equal(compile_step(round_to_8_bits(decoder) if bits == 8 else decoder))


@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("shape", [{"n_embd": 48, "n_head": 1}, {"n_inner": 80, "vocab_size": 161}])
def test_widths_that_fill_no_panel(cpp_compiler, new_kind, shape, bits):
    decoder = new_kind(**shape)
    check_equal(compile_step(round_to_8_bits(decoder) if bits == 8 else decoder))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="these are processors of another kind")
@pytest.mark.parametrize("processor", ["x86-64-v2", "x86-64-v3"])
@pytest.mark.parametrize("bits", [32, 8])
def test_processors_with_shorter_vectors(cpp_compiler, new_kind, monkeypatch, processor, bits):
    if processor == "x86-64-v3" and torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("this processor has no AVX2")
    monkeypatch.setattr(cpp, "FLAGS", (*cpp.FLAGS, f"-march={processor}"))
    cpp.library.cache_clear()
    decoder = new_kind(relative=5)
    check_equal(compile_step(round_to_8_bits(decoder) if bits == 8 else decoder))
    cpp.library.cache_clear()


def test_several_threads_give_the_same_numbers(cpp_compiler, new_kind, monkeypatch):
    decoder = compile_step(new_kind(n_embd=compiled_step.WIDE, n_head=4, relative=5))
    logits = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        with torch.inference_mode():
            _, step = steps(decoder)
            logits.append(step(torch.tensor([7]), torch.tensor([5])))
    check_equal(decoder)
    assert torch.equal(logits[0], logits[1]) and torch.equal(logits[0], logits[2])


@pytest.mark.parametrize("settings", [{}, {"do_sample": True}, {"do_sample": True, "top_k": 3, "temperature": 0.7}])
@pytest.mark.parametrize("together", [False, True])
def test_it_writes_what_is_written_uncompiled(cpp_compiler, new_kind, settings, together):
    """Also past the context, and as one of an ensemble."""
    decoders = [new_kind(relative=5), new_kind(copying=6, seed=1)]
    arguments = GenerationArguments(max_new_tokens=60, **settings)

    def written():
        decoder = Ensemble(decoders) if together else decoders[0]
        return generate(decoder, [[5, 2, 9]], arguments, VOCABULARY, seed=3, sliding=True)

    expected = written()
    for decoder in decoders:
        compile_step(decoder)
    assert type(new_step(decoders[0], 1, LENGTH)) is CompiledStep
    assert written() == expected


def test_without_a_compiler_it_is_said_and_written_as_before(new_decoder, monkeypatch, tmp_path):
    cpp.library.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.warns(UserWarning, match=r"the decoding step is not compiled: there is no C\+\+ compiler"):
        decoder = compile_step(new_decoder())
    assert type(new_step(decoder, 1, LENGTH)) is LeanStep


def test_a_compiler_that_fails_is_named(new_decoder, monkeypatch, tmp_path):
    cpp.library.cache_clear()
    broken = tmp_path / "broken++"
    broken.write_text("#!/bin/sh\necho 'step.cpp:1: error: no such flag' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.warns(UserWarning, match=r"not compiled: .*broken\+\+ fails: step.cpp:1: error: no such flag"):
        compile_step(new_decoder())


def test_a_cache_that_cannot_be_written_is_named(cpp_compiler, new_decoder, monkeypatch, tmp_path):
    cpp.library.cache_clear()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot be written or loaded"):
        compile_step(new_decoder())


def test_it_is_compiled_once_for_each_width_of_heads(cpp_compiler, new_decoder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []
    for heads in (2, 2, 1):
        cpp.library.cache_clear()
        compile_step(new_decoder(n_head=heads))
        made.append({path.name: path.stat().st_mtime_ns for path in (tmp_path / "onedecoder").iterdir()})
    assert len(made[0]) == 1 and made[1] == made[0] and len(made[2]) == 2 and made[0].items() < made[2].items()
    cpp.library.cache_clear()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dtype": torch.float64}, "its weights are torch.float64"),
        ({"activation_function": "relu"}, "its activation is relu"),
        ({"n_head": 4}, "its heads and its MLP are 8 and 128 wide"),
        ({"n_inner": 72}, "its heads and its MLP are 16 and 72 wide"),
    ],
)
def test_a_decoder_that_it_does_not_know_is_said(new_decoder, changes, reason):
    with pytest.warns(UserWarning, match=f"the decoding step is not compiled: {reason}"):
        decoder = compile_step(new_decoder(**changes))
    assert type(new_step(decoder, 1, LENGTH)) is LeanStep


def test_a_case_that_it_does_not_know_is_said(cpp_compiler, new_decoder):
    decoder = compile_step(new_decoder())
    with pytest.warns(UserWarning, match="uncompiled: several rows are written at once"):
        assert type(new_step(decoder, 2, LENGTH)) is LeanStep
    with pytest.warns(UserWarning, match="uncompiled: beams"):
        assert type(new_step(decoder, 1, LENGTH, beams=True)) is DecodeStep
    with pytest.warns(UserWarning, match="bfloat16"), torch.autocast("cpu", torch.bfloat16):
        assert type(new_step(decoder, 1, LENGTH)) is DecodeStep
    with pytest.warns(UserWarning, match="its weights are torch.float64"):
        assert type(new_step(decoder.double(), 1, LENGTH)) is LeanStep


@pytest.mark.parametrize(("token", "position"), [(24, 3), (-1, 3), (3, LENGTH), (3, -1)])
def test_no_memory_is_read_that_is_not_the_decoder_s(cpp_compiler, new_decoder, token, position):
    step = new_step(compile_step(new_decoder()), 1, LENGTH)
    with pytest.raises(IndexError):
        step(torch.tensor([token]), torch.tensor([position]))
