"""What a constraint rules out, and what was written before the context was full."""

import itertools
from types import SimpleNamespace

import pytest
import torch

from shared.generation import reference
from shared.generation.arguments import GenerationArguments
from shared.generation.generate import generate
from shared.generation.sampling import constrained
from shared.writing import Window
from tests.shared.generation.test_generate import CONTEXT, END, VOCABULARY, only


@pytest.fixture
def prompts():
    """Many lengths, in no order."""
    torch.manual_seed(2)
    return [torch.randint(1, 24, (length,)).tolist() for length in (3, 17, 1, 9, 9, 30, 2, 12, 5, 22, 7, 4)]


class EvenTokens:
    """Even tokens only, and after `most` of them the end."""

    stands_for = torch.arange(24)
    kinds = torch.ones(1, 24, dtype=torch.bool)
    narrowed = None

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


class Timed(EvenTokens):
    """Its time is the number of tokens."""

    def new_state(self, rows, device):
        never = torch.full((rows,), 1000)
        return {**super().new_state(rows, device), "until": never, "paused": torch.zeros(rows, dtype=torch.bool)}

    def begin(self, state, row, *given):
        super().begin(state, row, *given)
        state["until"][row], state["paused"][row] = 1000, False

    def advance(self, state, tokens):
        super().advance(state, tokens)
        state["paused"] |= state["written"] >= state["until"]


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("sample", [False, True])
def test_another_window_is_read_whenever_its_time_has_come(new_decoder, prompts, batch_size, sample):
    asked = [set() for _ in prompts]

    def look(index, written):
        asked[index].add(len(written))
        return Window([*prompts[index][:5], *written[-3:]], until=len(written) + 7, last=len(written) > 60)

    rule, decoder = Timed(most=50), new_decoder()
    settings = GenerationArguments(max_new_tokens=70, do_sample=sample, generation_batch_size=batch_size)
    given = decoder, prompts, settings, VOCABULARY
    written = generate(*given, constraint=rule, look=look)
    assert written == reference.generate(*given, constraint=rule, look=look)
    assert asked == [{*range(0, 50, 7)}] * len(prompts)
    assert {len(ids) for ids in written} == {50}
    assert rule.tokens == 51 * len(prompts)
    lengths = [40 - index for index in range(len(prompts))]
    assert generate(*given, constraint=rule, look=look, lengths=lengths) == [
        ids[:length] for ids, length in zip(written, lengths, strict=True)
    ]


class Kinds(EvenTokens):
    """Three kinds of tokens. The odd ones give their probability to the even ones of their kind, 5 to 8 and 9 to 11."""

    stands_for = torch.arange(24)
    stands_for[[5, 9]] = torch.tensor([8, 11])
    kinds = torch.arange(24) // 8 == torch.arange(3)[:, None]


def test_what_is_forbidden_goes_to_what_it_stands_for_or_to_its_kind():
    torch.manual_seed(0)
    logits, rule = 8 * torch.randn(200, 24), Kinds(most=60)
    state = rule.new_state(200, "cpu")
    allowed = rule.allowed(state)
    left, removed = constrained(logits, rule, state)
    before, after = logits.softmax(-1), left.exp()
    assert torch.equal(left.isfinite(), allowed)
    torch.testing.assert_close(removed, (before * ~allowed).sum(-1))
    moved = before.clone()
    moved[:, 8] += moved[:, 5]  # 9 keeps its own: 11 is forbidden, too
    moved[:, 5] = 0
    for kind in rule.kinds:
        torch.testing.assert_close(after[:, kind].sum(-1), moved[:, kind].sum(-1))
        of_kind = kind & allowed[0]  # in proportion
        torch.testing.assert_close(after[:, of_kind], moved[:, of_kind] * (after / moved)[:, of_kind].mean(1)[:, None])


@pytest.mark.parametrize("held", [0.01, 0.5, 0.9])
def test_a_narrowed_kind_keeps_its_probability_on_its_nucleus(held):
    torch.manual_seed(0)
    logits, rule = 3 * torch.randn(200, 24), Kinds(most=60)
    state = rule.new_state(200, "cpu")
    before = constrained(logits, rule, state)[0].exp()
    rule.narrowed = (1, held)
    after = constrained(logits, rule, state)[0].exp()
    kind = rule.kinds[1]
    torch.testing.assert_close(after[:, ~kind], before[:, ~kind])
    for own, narrow in zip(before[:, kind], after[:, kind], strict=True):
        nucleus, least = narrow > 0, own[narrow > 0].min()
        assert own[~nucleus].max() < least and own[nucleus].sum() >= held * own.sum() > own[own > least].sum()
        torch.testing.assert_close(narrow, own * nucleus * own.sum() / own[nucleus].sum())


def test_a_kind_of_which_nothing_is_allowed_goes_to_all():
    rule = Kinds(most=0)  # only the end is allowed
    left, _ = constrained(torch.randn(5, 24), rule, rule.new_state(5, "cpu"))
    assert left.isfinite().nonzero()[:, 1].tolist() == [END] * 5


def test_a_kind_that_is_all_but_impossible_keeps_its_probability():
    logits, rule = torch.zeros(1, 24), Kinds(most=60)
    logits[0, 16:] = -150
    logits[0, 17] = -60  # forbidden, and 10 ** 39 times as likely as what is allowed beside it
    left, _ = constrained(logits, rule, rule.new_state(1, "cpu"))
    torch.testing.assert_close(left[0, 16:].logsumexp(-1), logits.log_softmax(-1)[0, 16:].logsumexp(-1))


@pytest.mark.parametrize("batch_size", [1, 5, 64])
@pytest.mark.parametrize("sample", [False, True])
def test_every_path_moves_the_same_probability(new_decoder, prompts, batch_size, sample):
    settings = GenerationArguments(
        max_new_tokens=20, do_sample=sample, top_p=0.9, no_repeat_ngram_size=3, generation_batch_size=batch_size
    )
    decoder, rule = new_decoder(), Kinds(most=15)
    written = generate(decoder, prompts, settings, VOCABULARY, constraint=rule)
    assert written == reference.generate(decoder, prompts, settings, VOCABULARY, constraint=rule)
    assert written != generate(decoder, prompts, settings, VOCABULARY, constraint=EvenTokens(most=15)) or not sample
