"""Paragraphs by the tf-idf of the title's words, and what is kept of an article that is too long."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UserError
from tasks.summarization import Summarization
from tasks.summarization.ranking import ranked
from tasks.summarization.task import SummarizationArguments

PARAGRAPHS = ["Foxes and owls.", "The fox, a FOX.", "A paper boat.", "The owl of the fox.", "The sea."]


def test_paragraphs_are_ranked_by_the_titles_words():
    # Of 5 paragraphs 2 hold "fox", 1 holds "paper", 2 hold "the"'s next of kin: 3 hold "the" itself.
    fox, paper, the = math.log(5 / 2), math.log(5 / 1), math.log(5 / 3)
    scores = [0, 2 * fox + the, paper, fox + 2 * the, the]
    expected = [PARAGRAPHS[index] for index in sorted(range(5), key=lambda index: -scores[index])]
    assert expected == [PARAGRAPHS[1], PARAGRAPHS[3], PARAGRAPHS[2], PARAGRAPHS[4], PARAGRAPHS[0]]
    assert ranked("The paper fox", PARAGRAPHS) == expected


def test_a_word_of_every_paragraph_says_nothing_and_equals_keep_their_order():
    assert ranked("fox", ["a fox", "fox fox fox", "no fox"]) == ["a fox", "fox fox fox", "no fox"]
    assert ranked("", PARAGRAPHS) == PARAGRAPHS
    assert ranked("fox", []) == []


@given(st.text("ab ", max_size=6), st.lists(st.text("abc \n", max_size=12), max_size=8))
def test_no_paragraph_is_lost_or_new(title, paragraphs):
    assert sorted(ranked(title, paragraphs)) == sorted(paragraphs)


ROW = {
    "title": "Owl",
    "document": "Owl\nFood\nIt eats mice.\nLife\nAn owl is an owl.\nIt is old.",
    "body": "It eats mice.\n\nAn owl is an owl.\nIt is old.",
    "summary": "A bird.",
}


@pytest.fixture
def summarization(new_vocabulary):
    """A task of the given settings."""

    def make(**settings):
        arguments = SummarizationArguments(**settings)
        separators = Summarization.separators(arguments)
        return Summarization(arguments, new_vocabulary([ROW["document"]], 300, separators or {"<|other|>": ""}))

    return make


def test_the_head_of_an_article_or_its_ranked_paragraphs():
    assert Summarization.texts(ROW, SummarizationArguments()) == (ROW["document"], "A bird.")
    source = "Owl\nAn owl is an owl.\nIt eats mice.\nIt is old."
    assert Summarization.texts(ROW, SummarizationArguments(truncation="ranked")) == (source, "A bird.")


@pytest.mark.parametrize("length", range(12, 60, 3))
def test_ranked_paragraphs_are_cut_to_the_token(summarization, length):
    task = summarization(truncation="ranked")
    source, target = map(task.vocabulary.encode, task.texts(ROW, task.arguments))
    (line,) = task.sequences(ROW, length, training=True)
    assert len(line) == min(length, len(source) + len(target) + 2)
    assert list(line.context[:-1]) == source[: len(line.context) - 1]


def test_a_request_is_ranked_by_its_first_line(summarization):
    task = summarization(truncation="ranked")
    assert task.texts(task.request("Owl\nIt eats mice.\nAn owl.\n"), task.arguments)[0] == "Owl\nAn owl.\nIt eats mice."
    assert task.texts(task.request("Owl"), task.arguments)[0] == "Owl"


def test_without_titles_nothing_can_be_ranked(write):
    rows = write("rows.jsonl", '{"text": "long", "tldr": "short"}\n')
    columns = {"text_column": "text", "summary_column": "tldr", "train_file": [rows], "validation_file": [rows]}
    assert Summarization.load_rows(SummarizationArguments(**columns))["train"][0]["summary"] == "short"
    with pytest.raises(UserError, match=r"rows\.jsonl: --truncation ranked ranks by the title"):
        Summarization.load_rows(SummarizationArguments(truncation="ranked", **columns))


def test_a_summary_is_asked_for_in_words(summarization):
    task = summarization(separator_text="TL;DR:", max_sentences=2)
    assert "<|summarize|>" not in task.vocabulary.tokens
    (line,) = task.sequences(ROW, 200, training=True)
    assert task.vocabulary.decode(line.context) == ROW["document"] + "\nTL;DR:"
    assert task.vocabulary.decode(line.target) == " A bird."
    assert list(task.prompt(ROW, 200, 20).context) == list(line.context)
    assert task.decode(task.vocabulary.encode(' One. "Two!" Three. Four.')) == 'One. "Two!"'
    assert task.decode(task.vocabulary.encode(" One. And")) == "One. And"
    assert task.record(ROW, "x")["reference"] == "A bird."


def test_copying_is_learned_from_the_sections_openings(summarization):
    row = ROW | {"summary": "A bird of prey."}
    task = summarization(target="openings")
    assert task.texts(row, task.arguments) == (ROW["document"], "It eats mice. An owl is an owl.")
    assert task.texts(row | {"summary": "A bird."}, task.arguments) == (ROW["document"], "It eats mice.")
    assert task.record(row, "x") == {"source": ROW["document"], "output": "x", "reference": "A bird of prey."}
    assert task.prompt(task.request("Owl\nOld."), 40, 20).context


def test_a_separator_of_words_leaves_the_source_room(summarization):
    task = summarization(separator_text="TL;DR:")
    cut = task.prompt(ROW, 40, 20)
    assert len(cut.context) == 20 and cut.cut > 0
    assert task.vocabulary.decode(cut.context).endswith("\nTL;DR:")


@pytest.mark.parametrize("name", ["max_sentences", "lead_words"])
def test_settings_that_cannot_be_meant(name):
    with pytest.raises(ValueError, match=f"--{name} is -1"):
        SummarizationArguments(**{name: -1})
