import re

import pytest

from shared.runs.model_card import model_card

PLAIN = {"mask": "causal", "relative_attention": 0, "position_period": 0, "copy_attention": 0}


def card(task, **model):
    settings = {"model": {**PLAIN, **model}, "generation": {"num_beams": 5}}
    return model_card(task, settings, {"parameters": 1234, "test": {"bleu": 12.5, "signature": "13a"}})


def test_it_says_what_the_run_is_and_how_it_scores(task):
    text = card(task)
    assert "A GPT-2 decoder for copying" in text
    assert "1,234 parameters" in text
    assert task.line in text
    assert re.search(r"\| test +\| bleu +\| 12.5000 \|", text)
    assert "13a" not in text
    assert '"num_beams": 5' in text
    without = model_card(task, {"model": PLAIN, "generation": {}}, {"test": {"bleu": 1.0}})
    assert "parameters. " not in without and "The line it was trained on:" in without


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"mask": "prefix"}, "prefix mask"),
        ({"relative_attention": 8}, "relative attention"),
        ({"position_period": 8}, "positions that repeat"),
        ({"copy_attention": 8}, "copy attention"),
    ],
)
def test_it_says_what_plain_transformers_does_not_know(task, model, words):
    assert words in card(task, **model)
    assert words not in card(task)
