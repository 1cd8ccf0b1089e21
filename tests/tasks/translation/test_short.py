"""The short patterns of the translation sample, and thirty sentences by hand that a trained decoder is asked."""

import json
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest

import tasks.translation
from tasks.translation.grammar import HE, SHE
from tasks.translation.lexicon import NOUNS
from tasks.translation.sample import pairs, sample
from tasks.translation.short import SHORT, identity, plain, relatives

THIRTY = Path(__file__).with_name("thirty_sentences.jsonl")


@pytest.fixture(scope="module")
def training():
    return sample()["train"]


@pytest.fixture(scope="module")
def thirty():
    return [json.loads(line) for line in THIRTY.read_text(encoding="utf-8").splitlines()]


def words(rows, language):
    return {word.strip(".,?").lower() for row in rows for word in row[language].split()}


def drawn(pattern, count=3000):
    rng = Random(5)
    return {pair.en: pair.de for pair in (pattern(rng) for _ in range(count))}


def test_thirty_sentences_by_hand_are_of_its_words(training, thirty):
    assert len(thirty) == 30
    for language in ("en", "de"):
        assert words(thirty, language) <= words(training, language)
    assert {len(row["en"].split()) for row in thirty} == set(range(2, 13))
    examples = {"The dog sleeps.", "The small dog sleeps.", "I drink coffee.", "I am a student."}
    assert examples <= {row["en"] for row in thirty}


def test_few_of_the_thirty_can_be_learned_by_heart(training, thirty):
    assert len({row["en"] for row in training} & {row["en"] for row in thirty}) <= 3


def test_the_first_page_shows_a_row_of_it(training):
    page = (Path(tasks.translation.__file__).parent / "README.md").read_text(encoding="utf-8")
    en, de = re.search(r"^    (.+) <\|to-de\|> (.+) <\|endoftext\|>$", page, re.MULTILINE).groups()
    assert {"en": en, "de": de} in training


def test_short_sentences_are_a_good_part(training):
    lengths = Counter(len(row["en"].split()) for row in training)
    assert lengths[2] >= 30 and lengths[3] >= 300 and lengths[4] >= 1000


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("I am a student.", "Ich bin Student."),
        ("They are not bakers.", "Sie sind keine Bäcker."),
        ("She is not a nurse.", "Sie ist keine Krankenschwester."),
        ("Is he a doctor?", "Ist er Arzt?"),
        ("He is a famous artist.", "Er ist ein berühmter Künstler."),
    ],
)
def test_professions_have_no_article_in_german_but_with_an_adjective_or_a_negation(english, german):
    assert drawn(identity, 6000)[english] == german


def test_professions_agree_with_their_subjects():
    assert {noun.gender for noun in relatives(SHE)} == {"f"} and NOUNS["girl"][0] not in relatives(SHE)
    assert {noun.gender for noun in relatives(HE)} == {"m", "w"}
    for english, german in drawn(identity).items():
        if english.startswith("She is"):
            assert german.endswith(("schwester.", "in."))


def test_a_plain_sentence_has_no_time():
    found = [text.lower().strip(".?").split() for text in drawn(plain)]
    assert min(map(len, found)) == 2
    assert not any({"yesterday", "tomorrow", "every", "now", "soon"} & set(text) for text in found)


def test_every_short_pattern_describes_itself_and_is_drawn():
    assert all(pattern.__doc__ for pattern in SHORT)
    starts = Counter(pair.en.split()[0] for pair in islice(pairs(3), 4000))
    assert starts["This"] and starts["Where"] and starts["Who"] and starts["Is"]
