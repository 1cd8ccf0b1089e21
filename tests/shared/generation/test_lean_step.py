"""The forms of a step for a CPU against the plain ones."""

import copy

import pytest
import torch
from torch import nn

from shared.generation import lean_step, sampling, single_slot
from shared.generation.arguments import GenerationArguments
from shared.generation.cache import KeyValueCache
from shared.generation.decode_step import DecodeStep
from shared.generation.lean_step import LeanStep
from shared.generation.slots import Slots
from shared.generation.steps import new_step
from shared.kernels import relative_blocks

LENGTH = 12
SETTINGS = [{}, {"do_sample": True}, {"do_sample": True, "top_k": 3, "temperature": 0.7}]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("relative", "period", "copying"), [(0, 0, 0), (5, 0, 0), (40, 0, 0), (5, 4, 0), (0, 0, 6)])
def test_logits_and_cache_are_the_plain_step_s(new_decoder, relative, period, copying, dtype):
    """Slots at one position, then at several, then at one again, with some dropped between."""
    decoder = new_decoder(dtype=dtype, relative_attention=relative, position_period=period, copy_attention=copying)
    for block in decoder.blocks if relative else ():
        nn.init.normal_(block.attn.relative, std=0.3)
    caches = [KeyValueCache(decoder, 3, LENGTH, dtype) for _ in range(2)]
    assert lean_step.why_not(decoder, caches[0]) is None
    plain, lean = DecodeStep(decoder, caches[0]), LeanStep(decoder, caches[1])
    torch.manual_seed(0)
    with torch.inference_mode():
        for position in range(LENGTH - 1):
            if position == 8:
                for cache in caches:
                    cache.keep(torch.tensor([2]))
            slots = caches[0].slots
            tokens = torch.randint(1, 24, (slots,))
            positions = torch.full((slots,), position)
            if position in (4, 5):
                positions += torch.arange(slots)
            expected, logits = plain(tokens, positions), lean(tokens, positions)
            torch.testing.assert_close(logits, expected)
            for name in ("keys", "values"):
                torch.testing.assert_close(getattr(caches[1], name), getattr(caches[0], name))


@pytest.mark.parametrize("distances", [1, 5, 40])
def test_prompts_are_read_block_by_block_as_whole(new_decoder, monkeypatch, distances):
    """With relative attention, of which the plain form makes all scores at once."""
    decoder = new_decoder(relative_attention=distances)
    for block in decoder.blocks:
        nn.init.normal_(block.attn.relative, std=0.3)
    prompts = {0: [3, 1, 4, 1, 5, 9, 2, 6], 1: [2], 2: [7, 1, 8]}
    monkeypatch.setattr(relative_blocks, "BLOCK", 3)
    caches = []
    with torch.inference_mode():
        for reason in (None, "the plain form is wanted"):
            monkeypatch.setattr(relative_blocks, "why_not", lambda *case, reason=reason: reason)
            caches.append(KeyValueCache(decoder, 3, LENGTH, torch.float32))
            DecodeStep(decoder, caches[-1]).prefill(prompts)
    for ours, theirs in zip(caches[0].pairs, caches[1].pairs, strict=True):
        for slot, prompt in prompts.items():
            held = slice(len(prompt))
            torch.testing.assert_close(ours[:, slot, :, held], theirs[:, slot, :, held])


def test_the_lean_step_is_chosen_where_it_knows_the_case(new_decoder):
    decoder = new_decoder()
    assert type(new_step(decoder, 2, LENGTH)) is LeanStep
    assert type(new_step(decoder, 2, LENGTH, beams=True)) is DecodeStep
    with torch.autocast("cpu", torch.bfloat16):
        assert type(new_step(decoder, 2, LENGTH)) is DecodeStep
    assert single_slot.why_not(1, torch.device("cpu")) is None
    assert single_slot.why_not(2, torch.device("cpu"))
    assert single_slot.why_not(1, torch.device("cuda"))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_slot_moves_on_as_many_do(settings, dtype):
    """Over an end, its limit, and steps after either."""
    arguments, reached = GenerationArguments(**settings), set()
    for seed in range(40):
        torch.manual_seed(seed)
        ours = Slots(1, 6, torch.device("cpu"))
        ours.admit([0], [[5, 3]], [[]], [4], torch.rand(1, 6, dtype=torch.float64).numpy())
        theirs = copy.deepcopy(ours)
        for _ in range(7):
            logits = torch.randn(1, 9, dtype=dtype)
            single_slot.advance(logits, ours, arguments, 0)
            sampling.advance(logits, theirs, arguments, 0)
            for name, tensor in vars(theirs).items():
                assert torch.equal(getattr(ours, name), tensor), name
        assert ours.finished
        reached.add(int(ours.count))
    assert 4 in reached
    assert len(reached) > 1


class Grammar:
    """One of random rules: what is allowed, of which kind each id is, and what some stand for."""

    def __init__(self, size, seed):
        generator = torch.Generator().manual_seed(seed)
        self.rule = torch.rand(1, size, generator=generator) < torch.rand(1, generator=generator)
        self.rule[0, torch.randint(size, (1,), generator=generator)] = True
        self.kinds = torch.randint(4, (size,), generator=generator) == torch.arange(4)[:, None]
        self.stands_for = torch.where(
            torch.rand(size, generator=generator) < 0.3,
            torch.randint(size, (size,), generator=generator),
            torch.arange(size),
        )
        self.narrowed = (seed % 4, 0.7) if seed % 3 else None

    def allowed(self, state):
        return self.rule


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [1, 8, 200])
def test_one_slot_is_constrained_as_many_are(spread, dtype):
    """Also where a kind is all but impossible, or nothing of it allowed."""
    for seed in range(60):
        grammar = Grammar(30, seed)
        logits = spread * torch.randn(1, 30, generator=torch.Generator().manual_seed(seed), dtype=dtype)
        expected = sampling.constrained(logits, grammar, {})
        found = single_slot.constrained(logits, grammar, {})
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-24])
def test_one_slot_draws_what_many_draw(uniform):
    """Also at the ends of the distribution, where it has no mass."""
    for seed in range(50):
        logits = torch.randn(1, 7, generator=torch.Generator().manual_seed(seed))
        logits[:, [0, 3, 6]] = -torch.inf
        assert single_slot.draw(logits, uniform) == int(sampling.draw(logits, torch.tensor([uniform])))
