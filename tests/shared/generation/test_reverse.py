"""Hypotheses are chosen by how well they give back their source, and only by a decoder that has learned to."""

import pytest
import torch
from datasets import Dataset

from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.candidates import generate_best
from shared.generation.ensemble import Ensemble
from shared.generation.generate import n_best
from shared.generation.reverse import reverse_scores
from tasks.translation.task import Translation, TranslationArguments
from tests.shared.generation.test_constrained_beams import Automaton

ROWS = [{"source": text, "target": text[::-1]} for text in ("a dog sleeps", "the cat", "I drink tea")]
SETTINGS = {"max_new_tokens": 8, "num_beams": 4}


@pytest.fixture(scope="module")
def both():
    arguments = TranslationArguments(both_directions=True)
    return Translation(arguments, Translation.build_vocabulary(arguments, None, Dataset.from_list(ROWS), 290))


@pytest.fixture(params=["causal", "prefix"])
def writer(request, both, new_decoder):
    return new_decoder(len(both.vocabulary.tokens), context=64, mask=request.param, dtype=torch.float64)


def prompts(task):
    return [task.prompt(row, 64, 8).context for row in ROWS]


def test_the_reverse_score_is_the_mean_log_probability_of_the_source(both, writer):
    found = n_best(writer, prompts(both), GenerationArguments(**SETTINGS), both.vocabulary)[0]
    for score, each in zip(reverse_scores(writer, both, ROWS[0], found), found, strict=True):
        begun = [*both.vocabulary.encode(both.decode(each.ids)), both.vocabulary.tokens["<|to-en|>"]]
        source = [*both.vocabulary.encode(ROWS[0]["source"]), both.vocabulary.end]
        prefix = torch.arange(len(begun) + len(source))[None] < len(begun)
        logs = writer.packed_logits(torch.tensor([[*begun, *source]]), prefix).log_softmax(-1)[0]
        total = sum(logs[len(begun) - 1 + place, token].item() for place, token in enumerate(source))
        assert score == pytest.approx(total / len(source), rel=1e-5)


def test_a_weight_weighs_the_reverse_score(both, writer):
    found = n_best(writer, prompts(both), GenerationArguments(**SETTINGS), both.vocabulary)
    chosen = {}
    for weight in (1e-9, 1.0, 1e9):
        settings = GenerationArguments(**SETTINGS, rerank_reverse=weight)
        chosen[weight] = generate_best(writer, both, prompts(both), settings, rows=ROWS)
    assert chosen[1e-9] == [each[0].ids for each in found]
    back = [reverse_scores(writer, both, row, each) for row, each in zip(ROWS, found, strict=True)]
    assert chosen[1e9] == [
        each[max(range(4), key=scores.__getitem__)].ids for each, scores in zip(found, back, strict=True)
    ]
    assert chosen[1e9] != chosen[1e-9]
    twins = generate_best(Ensemble([writer, writer]), both, prompts(both), settings, rows=ROWS)
    assert twins == chosen[1e9]


def test_nothing_is_dropped_out_while_it_is_chosen(both, new_decoder):
    writer = new_decoder(len(both.vocabulary.tokens), context=64, resid_pdrop=0.5)
    settings = GenerationArguments(**SETTINGS, rerank_reverse=1.0)
    expected = generate_best(writer, both, prompts(both), settings, rows=ROWS)
    writer.train()
    assert all(generate_best(writer, both, prompts(both), settings, rows=ROWS) == expected for _ in range(4))
    assert writer.training


def test_what_is_chosen_is_allowed_and_counted(both, writer):
    settings = GenerationArguments(**SETTINGS, rerank_reverse=1e9)
    rule = Automaton(0, 0.1, size=len(both.vocabulary.tokens))
    chosen = generate_best(writer, both, prompts(both), settings, rows=ROWS, constraint=rule)
    counted = rule.removed, rule.tokens
    found = n_best(writer, prompts(both), settings, both.vocabulary, constraint=rule)
    taken = [next(each for each in some if each.ids == ids) for ids, some in zip(chosen, found, strict=True)]
    assert counted == (sum(each.removed for each in taken), sum(each.length for each in taken))
    assert chosen != [best.ids for best, *_ in found]


def test_a_hypothesis_that_leaves_no_room_is_never_the_best(both, writer):
    found = n_best(writer, prompts(both), GenerationArguments(**SETTINGS), both.vocabulary)[0]
    long = ROWS[0] | {"source": "a dog sleeps " * 40}
    assert reverse_scores(writer, both, long, found) == [float("-inf")] * 4


def test_only_a_run_of_both_directions_can_be_asked(both, writer):
    one = Translation(TranslationArguments(), both.vocabulary)
    settings = GenerationArguments(**SETTINGS, rerank_reverse=1.0)
    with pytest.raises(UserError, match="--rerank_reverse: this translation run has not learned"):
        generate_best(writer, one, prompts(one), settings, rows=ROWS)
    with pytest.raises(UserError, match="chooses among beams: give --num_beams"):
        GenerationArguments(rerank_reverse=1.0).check()
    with pytest.raises(UserError, match="--rerank_reverse is -1"):
        GenerationArguments(rerank_reverse=-1.0, num_beams=2).check()


def test_the_way_back_is_the_other_direction(both):
    there = both.reversed_sequence(ROWS[0], "x y", 64)
    back = both.reversed_sequence(ROWS[0] | {"to": "en"}, "x y", 64)
    ends = [sequence.context[-1] for sequence in (there, back)]
    assert ends == [both.vocabulary.tokens["<|to-en|>"], both.vocabulary.tokens["<|to-de|>"]]
