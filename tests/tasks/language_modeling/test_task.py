"""Text without a source: how it is scored, what of a beginning stays, and that every token is learned once."""

import math

import pytest
from datasets import Dataset

from shared.errors import UserError
from tasks.language_modeling.reading import text_rows
from tasks.language_modeling.task import LanguageModeling, LanguageModelingArguments


@pytest.fixture
def task(new_vocabulary):
    return LanguageModeling(LanguageModelingArguments(), new_vocabulary())


def test_likelihoods_are_per_token_per_word_and_per_byte(task):
    rows = {"text": ["zwei Hüte", "a cat\nsat"]}  # 5 words, and 10 bytes and 9
    scores = task.score_likelihood(19 * math.log(2), 8, rows, None)
    assert scores["bits_per_byte"] == pytest.approx(1)
    assert scores["perplexity"] == pytest.approx(2 ** (19 / 8))
    assert scores["word_perplexity"] == pytest.approx(2 ** (19 / 5))


def test_a_text_is_learned_to_its_end_each_token_once(task):
    ids = task.vocabulary.encode(text := "the cat and the dog and the fox and the owl")
    for training, context in ((True, 1), (False, 4)):
        lines = task.sequences({"text": text}, 8, training)
        assert [token for line in lines for token in line.target] == [*ids, task.vocabulary.end]
        assert lines[0].context == [task.vocabulary.end]
        assert all(len(line) <= 8 and len(line.context) >= context for line in lines[1:])


def test_of_a_beginning_that_is_too_long_the_end_stays(task):
    ids = [task.vocabulary.end, *task.vocabulary.encode(text := "the cat and the dog and the fox")]
    assert task.prompt({"text": text}, len(ids) + 5, 5).context == ids
    prompt = task.prompt({"text": text}, len(ids), 4)
    assert prompt.context == ids[4:] and prompt.cut == 4
    assert task.prompt({"text": text}, 8, 100).context == ids[-4:]  # half of the line at least


def test_of_articles_the_part_is_learned_that_was_asked_for():
    sections = [
        {"heading": "Nests", "paragraphs": ["Of mud.", "Under roofs."]},
        {"heading": "", "paragraphs": ["Fast."]},
    ]
    articles = Dataset.from_list([{"title": "Swift", "lead": "A bird.", "sections": sections}])
    learned = {part: text_rows(articles, article_text=part)["text"][0] for part in ("all", "sections", "paragraphs")}
    assert learned == {
        "all": "Swift\nA bird.\nNests\nOf mud.\nUnder roofs.\nFast.",
        "sections": "Swift\nNests\nOf mud.\nUnder roofs.\nFast.",
        "paragraphs": "Swift\nOf mud.\nUnder roofs.\nFast.",
    }
    nameless = Dataset.from_list(
        [{"title": "", "lead": "A bird.", "sections": [{"heading": None, "paragraphs": ["Of mud."]}]}]
    )
    assert text_rows(nameless)["text"] == ["A bird.\nOf mud."]
    with pytest.raises(UserError, match=r"column 'text' holds '1' \(int\), not text"):
        text_rows(Dataset.from_dict({"text": [1, 2]}), concatenate=True)
    with pytest.raises(UserError, match="--article_text sections is for articles"):
        text_rows(Dataset.from_dict({"text": ["Of mud."]}), article_text="sections")
