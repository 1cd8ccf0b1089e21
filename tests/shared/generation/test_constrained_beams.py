"""Beam search under a constraint: every hypothesis is allowed, and is the best of those that are."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UserError
from shared.generation import reference
from shared.generation.arguments import GenerationArguments
from shared.generation.beam_search import BeamSearch, until
from shared.generation.cuda_graph import SHORT
from shared.generation.ensemble import Ensemble
from shared.generation.generate import generate, n_best
from tests.shared.generation.test_beam_search import log_probabilities, twin
from tests.shared.generation.test_constraint import EvenTokens, Timed
from tests.shared.generation.test_generate import CONTEXT, END, VOCABULARY

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SIZE = 24
PROMPTS = [[5, 6, 7], [9], [4, 3, 2, 1, 8, 8, 8], [11, 12], [5, 6, 7, 8]]


class Automaton:
    """A random one: what may come, and where that leads, depends on where the prompt and all that is written led to."""

    stands_for = torch.arange(SIZE)
    kinds = torch.ones(1, SIZE, dtype=torch.bool)
    narrowed = None

    def __init__(self, seed, share, states=7, size=SIZE):
        random = torch.Generator().manual_seed(seed)
        self.moves = torch.randint(states, (states, size), generator=random)
        self.open = torch.rand(states, size, generator=random) < share
        self.open[range(states), torch.randint(size, (states,), generator=random)] = True
        self.removed, self.tokens, self.states = 0.0, 0, []

    def new_state(self, slots, device):
        self.moves, self.open = self.moves.to(device), self.open.to(device)
        self.states.append({"at": torch.zeros(slots, dtype=torch.long, device=device)})
        self.places = [state["at"].data_ptr() for state in self.states]
        return self.states[-1]

    def begin(self, state, slot, prompt, new_tokens, written=()):
        state["at"][slot] = sum(prompt) % len(self.moves)
        for token in written:
            state["at"][slot] = self.moves[state["at"][slot], token]

    def allowed(self, state):
        return self.open[state["at"]]

    def advance(self, state, tokens):
        state["at"].copy_(self.moves[state["at"], tokens])

    def steps(self, prompt, ids):
        """What was allowed at each of the `ids`."""
        state = {"at": torch.zeros(1, dtype=torch.long)}
        self.begin(state, 0, prompt, len(ids))
        for token in ids:
            yield self.allowed(state)[0]
            self.advance(state, torch.tensor([token]))


@pytest.fixture(scope="module")
def decoder(new_decoder):
    return new_decoder(dtype=torch.float64)


def whole(hypothesis):
    """Its ids with the end, where it has one."""
    return [*hypothesis.ids, END][: hypothesis.length]


SETTINGS = {
    "3 beams": {"num_beams": 3},
    "early": {"num_beams": 4, "early_stopping": True, "length_penalty": 0.0},
    "long": {"num_beams": 2, "length_penalty": 3.0, "min_new_tokens": 6},
    "short, no repetition": {"num_beams": 5, "length_penalty": -1.0, "no_repeat_ngram_size": 2},
}


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_batch_writes_what_the_reference_writes_one_by_one(decoder, settings, share):
    arguments = GenerationArguments(max_new_tokens=10, **settings)
    for seed in range(3):
        rule = Automaton(seed, share)
        expected = reference.generate(decoder, PROMPTS, arguments, VOCABULARY, constraint=rule)
        for batch_size in (1, 2 * arguments.num_beams, 64):
            batched = replace(arguments, generation_batch_size=batch_size)
            assert generate(decoder, PROMPTS, batched, VOCABULARY, constraint=rule) == expected
        assert expected != generate(decoder, PROMPTS, arguments, VOCABULARY)


def test_so_does_a_step_that_is_recorded(new_decoder):
    """On a GPU, a CUDA graph serves one batch after another."""
    decoder = new_decoder(dtype=torch.float64)
    settings = GenerationArguments(max_new_tokens=CONTEXT - 8, min_new_tokens=CONTEXT - 9, num_beams=3)
    expected = reference.generate(decoder, PROMPTS, settings, VOCABULARY, constraint=Automaton(2, 0.3))
    batched = replace(settings, generation_batch_size=3)
    assert generate(decoder.to(DEVICE), PROMPTS, batched, VOCABULARY, constraint=Automaton(2, 0.3)) == expected
    assert min(map(len, expected)) > SHORT


@pytest.mark.parametrize("copying", [0, 5])
def test_so_does_an_ensemble(new_decoder, copying):
    decoders = [new_decoder(dtype=torch.float64, seed=seed, copy_attention=copying) for seed in (0, 1)]
    given = PROMPTS, GenerationArguments(max_new_tokens=10, num_beams=3, generation_batch_size=6), VOCABULARY
    written = [generate(each, *given, constraint=Automaton(1, 0.3)) for each in (Ensemble(decoders), *decoders)]
    assert written[0] == reference.generate(Ensemble(decoders), *given, constraint=Automaton(1, 0.3))
    assert written[0] not in written[1:]


@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(2, 5), st.integers(1, 12), st.booleans())
def test_nothing_forbidden_is_written_and_what_was_removed_is_counted(new_decoder, seed, share, beams, most, early):
    decoder, rule = new_decoder(dtype=torch.float64), Automaton(seed, share)
    settings = GenerationArguments(
        max_new_tokens=most, num_beams=beams, early_stopping=early, length_penalty=0.7, generation_batch_size=2 * beams
    )
    found = n_best(decoder, PROMPTS, settings, VOCABULARY, constraint=rule)
    assert rule.places == [state["at"].data_ptr() for state in rule.states] and len(rule.states) == 2  # of two sizes
    model = twin(decoder)
    for prompt, hypotheses in zip(PROMPTS, found, strict=True):
        lines = [whole(each) for each in hypotheses]
        assert 0 < len({*map(tuple, lines)}) == len(lines) <= beams
        totals = log_probabilities(model, prompt, lines)
        for each, line, total in zip(hypotheses, lines, totals, strict=True):
            assert line[-1] == END or len(line) == most
            assert all(allowed[token] for allowed, token in zip(rule.steps(prompt, line), line, strict=True))
            assert each.score == pytest.approx(total / len(line) ** 0.7, rel=1e-5)
            with torch.no_grad():
                shares = model(torch.tensor([[*prompt, *line]])).logits[0, len(prompt) - 1 : -1].softmax(-1)
            steps = zip(shares, rule.steps(prompt, line), strict=True)
            assert each.removed == pytest.approx(
                sum(share[~allowed].sum().item() for share, allowed in steps), rel=1e-5, abs=1e-6
            )
    assert generate(decoder, PROMPTS, settings, VOCABULARY, constraint=rule) == [best.ids for best, *_ in found]
    assert rule.tokens == sum(best.length for best, *_ in found)
    assert rule.removed == pytest.approx(sum(best.removed for best, *_ in found))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.2, 0.6])
def test_with_enough_beams_the_best_of_all_that_is_allowed_is_found(new_decoder, seed, share):
    decoder, rule = new_decoder(vocab_size=5, seed=seed, dtype=torch.float64), Automaton(seed, share, size=5)
    prompt, longest, words = [1, 2, 3], 3, range(1, 5)
    every = [[*ids, END] for length in range(longest) for ids in product(words, repeat=length)]
    every += [list(ids) for ids in product(words, repeat=longest)]
    scores = log_probabilities(twin(decoder), prompt, every)
    best = sorted(
        (
            (score / len(ids), until(END, ids))
            for score, ids in zip(scores, every, strict=True)
            if all(allowed[token] for allowed, token in zip(rule.steps(prompt, ids), ids, strict=True))
        ),
        reverse=True,
    )
    settings = GenerationArguments(max_new_tokens=longest, num_beams=90)
    (found,) = n_best(decoder, [prompt], settings, VOCABULARY, constraint=rule)
    assert [each.ids for each in found] == [ids for _, ids in best]  # all there are, and no more
    assert [each.score for each in found] == pytest.approx([score for score, _ in best])


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_constraint_that_allows_all_changes_nothing(decoder, settings):
    given = decoder, PROMPTS, GenerationArguments(max_new_tokens=10, **settings), VOCABULARY
    assert n_best(*given, constraint=Automaton(0, 1.0)) == n_best(*given)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_one_beam_is_greedy(decoder, share):
    beams, greedy = Automaton(0, share), Automaton(0, share)
    settings = GenerationArguments(max_new_tokens=12, early_stopping=True, generation_batch_size=2)
    found = n_best(decoder, PROMPTS, settings, VOCABULARY, constraint=beams)
    written = generate(decoder, PROMPTS, settings, VOCABULARY, constraint=greedy)
    assert [best.ids for (best,) in found] == written
    assert sum(best.length for (best,) in found) == greedy.tokens
    assert sum(best.removed for (best,) in found) == pytest.approx(greedy.removed, rel=1e-5)


class OneLine(EvenTokens):
    """Token 7, again and again, and after `most` of them the end."""

    def allowed(self, state):
        over = (state["written"] >= self.most)[:, None]
        return torch.arange(SIZE) == torch.where(over, END, 7)


@pytest.mark.parametrize("rule", [{}, {"no_repeat_ngram_size": 1}, {"min_new_tokens": 9}], ids=str)
def test_of_one_line_that_is_allowed_there_is_one_hypothesis(decoder, rule):
    """Rules that would leave nothing give way."""
    settings = GenerationArguments(max_new_tokens=20, num_beams=4, **rule)
    for found in n_best(decoder, PROMPTS, settings, VOCABULARY, constraint=OneLine(most=5)):
        assert [each.ids for each in found] == [[7] * 5]
    assert generate(decoder, PROMPTS, settings, VOCABULARY, constraint=OneLine(most=30)) == [[7] * 20] * len(PROMPTS)


def test_a_sentence_without_a_running_beam_is_over(decoder, monkeypatch):
    steps, plainly = [], BeamSearch.step
    monkeypatch.setattr(BeamSearch, "step", lambda *given: steps.append(1) or plainly(*given))
    settings = GenerationArguments(max_new_tokens=20, num_beams=4)
    generate(decoder, PROMPTS, settings, VOCABULARY, constraint=OneLine(most=5))
    assert len(steps) == 6


def test_a_full_context_ends_a_line(decoder):
    rule, full = EvenTokens(most=60), [1] * (CONTEXT - 3)
    settings = GenerationArguments(max_new_tokens=8, num_beams=3)
    short, long = generate(decoder, [[1, 2], full], settings, VOCABULARY, constraint=rule)
    assert (len(short), len(long), rule.tokens) == (8, 3, 11)
    assert all(token % 2 == 0 and token != END for token in [*short, *long])


def test_no_prompts_leave_nothing_removed(decoder):
    rule, settings = Automaton(0, 0.3), GenerationArguments(max_new_tokens=5, num_beams=2)
    generate(decoder, PROMPTS, settings, VOCABULARY, constraint=rule)
    assert rule.removed and rule.tokens
    assert generate(decoder, [], settings, VOCABULARY, constraint=rule) == []
    assert (rule.removed, rule.tokens) == (0, 0)


def test_what_goes_by_time_has_no_beams(decoder):
    with pytest.raises(UserError, match=r"--num_beams 2: .* window after window, .* give --num_beams 1"):
        generate(decoder, [[1]], GenerationArguments(num_beams=2), VOCABULARY, constraint=Timed(most=3))


def test_no_step_asks_for_a_value():
    settings = GenerationArguments(num_beams=3, min_new_tokens=2, no_repeat_ngram_size=2)
    beams = BeamSearch(2, 8, settings, END, torch.device("meta"))
    beams.begin([8, 5])
    logits = torch.zeros(6, SIZE, device="meta")
    origins, tokens = beams.step(logits, logits == 0)
    assert origins.shape == tokens.shape == (6,)
