"""Whom and what a summary names, and whether its source names it as well. Words are compared without case.

A name is a word with a capital that is not a sentence's first, or a word that holds a digit. In languages that write
other words with a capital, such as German's nouns, those count as well.
"""

import re
from itertools import takewhile

from tasks.summarization.ngrams import words
from tasks.summarization.sentences import SENTENCE_END

IN_BRACKETS = re.compile(r"\s*\([^()]*\)$")  # what tells two subjects of one name apart: "Mercury (planet)"


def names(text: str) -> list[str]:
    """The words of a text that are names or numbers, in lower case."""
    return [word.lower() for sentence in _sentences(text) for index, word in enumerate(sentence) if _named(word, index)]


def from_source(text: str, document: str) -> tuple[int, int]:
    """How many of the text's names stand in the document, and how many names there are."""
    found, known = names(text), set(words(document))
    return sum(name in known for name in found), len(found)


def subject(title: str, document: str) -> str:
    """What a document is about: its title or, without one, the first words in a row that are names, not numbers."""
    if title:
        return IN_BRACKETS.sub("", title)
    for sentence in _sentences(document):
        for start in range(1, len(sentence)):
            if run := list(takewhile(lambda word: word[0].isupper(), sentence[start:])):
                return " ".join(run)
    return ""


def is_named(subject: str, text: str) -> bool:
    """Whether the text holds the subject's words, one after the other."""
    return f" {' '.join(words(subject))} " in f" {' '.join(words(text))} "


def _sentences(text: str) -> list[list[str]]:
    return [re.findall(r"\w+", part) for line in text.splitlines() for part in SENTENCE_END.split(line)]


def _named(word: str, index: int) -> bool:
    return any(map(str.isdigit, word)) or (index > 0 and word[0].isupper())
