"""The embedded sample is fit for learning: reproducible, held-out for real, and not solved by copying its start."""

import re
from statistics import mean

import pytest
from rouge_score.rouge_scorer import RougeScorer

from tasks.articles.kinds import KINDS
from tasks.articles.sample import SIZES, sample

LEAD_BASELINE_BOUND = 0.35

# What a lead may say that its article does not: the words between the facts, articles and pronouns.
LEAD_TEMPLATES = " ".join(f"{kind.lead} {ending.lead}" for kind in KINDS for ending in kind.endings)
TEMPLATE_WORDS = {*re.findall(r"\w+", re.sub(r"{.*?}", "", LEAD_TEMPLATES).lower()), "a", "an", "he", "she"}


@pytest.fixture(scope="module")
def splits():
    return sample()


@pytest.fixture(scope="module")
def rows(splits):
    return [row for split in splits.values() for row in split]


def section_text(section):
    return " ".join(section["paragraphs"])


def body(row):
    return " ".join(section_text(section) for section in row["sections"])


def words_of(text):
    return set(re.findall(r"\w+", text.lower()))


def told_facts(row):
    """The words of the lead that a reader can know from the body alone."""
    return words_of(row["lead"]) - TEMPLATE_WORDS - words_of(row["title"])


def test_sample_is_deterministic(splits):
    assert sample() == splits


def test_sizes_and_shape(splits, rows):
    assert {split: len(split_rows) for split, split_rows in splits.items()} == SIZES
    for row in rows:
        assert list(row) == ["title", "lead", "sections"]
        assert len(row["sections"]) in (3, 4)
        assert all(list(section) == ["heading", "paragraphs"] for section in row["sections"])
        assert all(section["heading"] and all(section["paragraphs"]) for section in row["sections"])


def test_lengths(rows):
    assert all(20 <= len(row["lead"].split()) <= 35 for row in rows)
    assert all(50 <= len(body(row).split()) <= 135 for row in rows)
    assert 80 <= mean(len(body(row).split()) for row in rows) <= 110


def test_nothing_is_told_twice(rows):
    for text in (lambda row: row["title"], lambda row: row["lead"], body):
        assert len({text(row) for row in rows}) == len(rows)


def test_every_kind_is_in_every_split(splits):
    for split_rows in splits.values():
        headings = {section["heading"] for row in split_rows for section in row["sections"]}
        assert all(headings & set(section.headings) for kind in KINDS for section in kind.sections)


def test_lead_says_nothing_that_the_article_does_not(rows):
    assert len(TEMPLATE_WORDS) < 100
    for row in rows:
        assert told_facts(row) <= words_of(body(row)), row


def test_full_title_is_in_the_body(rows):
    assert all(row["title"].lower() in body(row).lower() for row in rows)


def test_facts_of_a_lead_are_spread_over_sections(rows):
    for row in rows:
        assert not any(told_facts(row) <= words_of(section_text(section)) for section in row["sections"]), row


def test_first_words_are_a_poor_summary(splits):
    scorer = RougeScorer(["rougeL"])
    scores = []
    for row in splits["test"]:
        start = " ".join(body(row).split()[: len(row["lead"].split())])
        scores.append(scorer.score(row["lead"], start)["rougeL"].fmeasure)
    assert 0.15 < mean(scores) < LEAD_BASELINE_BOUND


def test_language(rows):
    mistakes = re.compile(r"\ba [aeiou]|\ban [^aeiou]|  | [.,]|\.\.|[{}]|s's\b|\b(\w+) \1\b", re.IGNORECASE)
    for row in rows:
        for paragraph in [row["lead"], *(text for section in row["sections"] for text in section["paragraphs"])]:
            assert not mistakes.search(paragraph), paragraph
            assert paragraph.endswith(".")
            assert all(sentence[0].isupper() for sentence in re.split(r"(?<=\.) ", paragraph)), paragraph


def test_golden_row(splits):
    assert splits["test"][2] == {
        "title": "Anton Jarrow",
        "lead": (
            "Anton Jarrow was a dancer who was born in Rushwell and lived in Crestow. He won the Royal "
            "Wheel for the ballet The Sleeping Harp."
        ),
        "sections": [
            {
                "heading": "Training",
                "paragraphs": [
                    "Anton Jarrow shared a room with Karel Ulmer, who snored. Jarrow left school "
                    "early and trained as a dancer.",
                    "Jarrow's first teacher was Mara Drake, an engraver.",
                ],
            },
            {
                "heading": "Home",
                "paragraphs": [
                    "Jarrow's grave is in Tolmford and bears the year 1817. For many years, Jarrow lived in Crestow.",
                ],
            },
            {
                "heading": "Childhood",
                "paragraphs": [
                    "Jarrow was born in Rushwell in 1766. His grandparents lived far away in Pellworth.",
                ],
            },
            {
                "heading": "Works",
                "paragraphs": [
                    "Jarrow won the Royal Wheel with the ballet The Sleeping Harp. His first ballet, "
                    "The Evening Heron, was soon forgotten.",
                ],
            },
        ],
    }
