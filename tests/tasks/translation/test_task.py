"""Translation's lines: one way, and both."""

import sys
from types import SimpleNamespace

import pytest
from datasets import Dataset

from shared.errors import UserError
from tasks.translation.task import Translation, TranslationArguments, TranslationRequestArguments

ROW = {"source": "I drink tea.", "target": "Ich trinke Tee."}


def new_task(asked=None, **settings):
    arguments = TranslationArguments(**settings)
    vocabulary = Translation.build_vocabulary(arguments, None, [ROW], 300)
    return Translation(arguments, vocabulary, asked)


def shown(task, line):
    return task.vocabulary.tokenizer.decode([*line.context, *line.target])


def test_a_pair_is_one_line():
    task = new_task()
    assert [shown(task, line) for line in task.sequences(ROW, 64, training=True)] == [
        "I drink tea.<|to-de|>Ich trinke Tee.<|endoftext|>"
    ]
    assert "<|to-en|>" not in task.vocabulary.tokens


def test_both_directions_are_learned_and_the_first_is_scored():
    task = new_task(both_directions=True)
    there, back = task.sequences(ROW, 64, training=True)
    assert shown(task, there) == "I drink tea.<|to-de|>Ich trinke Tee.<|endoftext|>"
    assert shown(task, back) == "Ich trinke Tee.<|to-en|>I drink tea.<|endoftext|>"
    assert task.sequences(ROW, 64, training=False) == [there]
    # A target is not cut: where there is no room for one, that direction is dropped.
    assert [line is None for line in task.sequences({**ROW, "source": 9 * ROW["source"]}, 16, True)] == [False, True]


def test_a_request_names_the_language_to_write():
    task = new_task(both_directions=True)
    assert shown(task, task.prompt(task.request("tea"), 64, 8)) == "tea<|to-de|>"
    task = new_task(TranslationRequestArguments(target_lang="en"), both_directions=True)
    assert shown(task, task.prompt(task.request("Tee"), 64, 8)) == "Tee<|to-en|>"


def test_a_language_that_was_not_learned():
    task = new_task(TranslationRequestArguments(target_lang="en"))
    with pytest.raises(UserError, match="--target_lang en: the run has not learned"):
        task.prompt(task.request("Tee"), 64, 8)


def test_comet_scores_where_it_is_installed(monkeypatch):
    """Against a stand-in: the package and its models are gigabytes."""
    seen = []

    def predict(rows, batch_size, gpus):
        seen.extend(rows)
        return SimpleNamespace(system_score=0.75)

    model = SimpleNamespace(predict=predict)
    loaders = {"download_model": lambda name: f"/models/{name}", "load_from_checkpoint": lambda path: model}
    monkeypatch.setitem(sys.modules, "comet", SimpleNamespace(**loaders))
    scores = new_task(comet="a/model").score(["Ich trinke."], Dataset.from_list([ROW]), None)
    assert scores["comet"] == 75 and scores["exact"] == 0
    assert seen == [{"src": "I drink tea.", "mt": "Ich trinke.", "ref": "Ich trinke Tee."}]


def test_comet_that_is_not_installed_is_said_before_anything_is_learned(monkeypatch):
    monkeypatch.delitem(sys.modules, "comet", raising=False)
    with pytest.raises(UserError, match="--comet a/model needs the package unbabel-comet: pip install unbabel-comet"):
        Translation.load_rows(TranslationArguments(comet="a/model"))
