"""Translation's lines: one way, and both."""

import pytest

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
