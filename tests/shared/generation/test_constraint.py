"""What a constraint rules out, and what was written before the context was full."""

import itertools
from types import SimpleNamespace

import pytest
import torch

from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.generate import generate
from tests.shared.generation.test_generate import CONTEXT, END, VOCABULARY, only


@pytest.fixture
def prompts():
    """Many lengths, in no order."""
    torch.manual_seed(2)
    return [torch.randint(1, 24, (length,)).tolist() for length in (3, 17, 1, 9, 9, 30, 2, 12, 5, 22, 7, 4)]


class EvenTokens:
    """Even tokens only, and after `most` of them the end."""

    def __init__(self, most):
        self.most = most

    def new_state(self, rows, device):
        return {"written": torch.zeros(rows, dtype=torch.long, device=device)}

    def begin(self, state, row, prompt, new_tokens, written=()):
        state["written"][row] = len(written)

    def allowed(self, state):
        over = (state["written"] >= self.most)[:, None]
        tokens = torch.arange(24)
        return torch.where(over, tokens == END, (tokens % 2 == 0) & (tokens != END))

    def advance(self, state, tokens):
        state["written"] += 1


@pytest.mark.parametrize("batch_size", [1, 5, 64])
@pytest.mark.parametrize("sliding", [False, True])
def test_a_constraint_is_kept_and_what_it_removed_is_measured(new_decoder, prompts, batch_size, sliding):
    rule = EvenTokens(most=60)
    settings = GenerationArguments(max_new_tokens=70, do_sample=True, generation_batch_size=batch_size)
    written = generate(new_decoder(), prompts, settings, VOCABULARY, constraint=rule, sliding=sliding)
    assert all(token % 2 == 0 and token != END for ids in written for token in ids)
    assert [len(ids) for ids in written] == [60 if sliding else min(60, CONTEXT - len(prompt)) for prompt in prompts]
    assert 0.2 < rule.removed / rule.tokens < 0.8
    assert rule.tokens == sum(len(ids) + (len(ids) == 60) for ids in written)
    assert generate(new_decoder(), [], settings, VOCABULARY, constraint=rule) == []
    assert (rule.removed, rule.tokens) == (0, 0)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_what_was_written_before_the_context_was_full_counts(new_decoder, prompts, batch_size):
    settings = {"max_new_tokens": 120, "generation_batch_size": batch_size}
    least = GenerationArguments(min_new_tokens=70, **settings)
    written = generate(only(new_decoder(), END), prompts, least, VOCABULARY, sliding=True)
    assert {len(ids) for ids in written} == {70}
    once = GenerationArguments(no_repeat_ngram_size=2, **settings)
    for ids in generate(new_decoder(), prompts, once, SimpleNamespace(end=-1), sliding=True):
        assert len(ids) == 120 and len(set(itertools.pairwise(ids))) == 119


def test_beams_know_no_constraint(new_decoder):
    with pytest.raises(UserError, match=r"--num_beams 2: .* give --num_beams 1"):
        generate(new_decoder(), [[1]], GenerationArguments(num_beams=2), VOCABULARY, constraint=EvenTokens(3))
