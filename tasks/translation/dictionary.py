"""Pairs of words from a dictionary in Ding's format: `Haus {n}; Gebäude {n} | Häuser {pl} :: house; building | houses`.

Such is the German-English one of Chemnitz (https://dict.tu-chemnitz.de, 230,000 entries, GPL). A decoder with few
sentence pairs learns words from it that they do not have.
"""

import random
import re
from collections.abc import Iterable, Iterator, Set

Pair = tuple[str, str]

NOTES = re.compile(r"\{[^}]*\}|\[[^\]]*\]|/[^/]*/|<[^>]*>|\([^)]*\)")  # grammar, fields, pronunciation, explanations
PLACEHOLDERS = re.compile(r"\b(jd[nms]|etw|sth|sb|o\.s)\b")  # "jdn. grüßen" is no German that anyone writes
GENDER = re.compile(r"\{([mfn])\}")
ARTICLES = {"m": "ein", "f": "eine", "n": "ein"}
WITH_ARTICLE = 0.6  # of the German nouns of one word: their gender is learned with them
LONGEST = 60  # characters of a side
MOST_WORDS = 4  # of an English side


def pairs(lines: Iterable[str]) -> Iterator[Pair]:
    """The (English, German) pairs of a German-English dictionary, each once: of synonyms the first German one with the
    first two English ones."""
    seen = set()
    for line in lines:
        if line.startswith("#") or " :: " not in line:
            continue
        german, english = (side.split("|") for side in line.rstrip("\n").split(" :: ", 1))
        if len(german) == len(english):
            for pair in (pair for forms in zip(german, english, strict=True) for pair in _pairs(*forms)):
                if pair not in seen:
                    seen.add(pair)
                    yield pair


def _pairs(german: str, english: str) -> Iterator[Pair]:
    """Of one form of an entry, such as the singular."""
    words = [word for word in map(_clean, german.split(";")) if word]
    for translation in [word for word in map(_clean, english.split(";")) if word][:2]:
        if not words or max(len(words[0]), len(translation)) > LONGEST or not re.search("[A-Za-zÄÖÜäöüß]", words[0]):
            continue
        if PLACEHOLDERS.search(f"{words[0]} {translation}"):
            continue
        gender = GENDER.search(german.split(";", maxsplit=1)[0])
        yield _with_article(words[0], translation, gender[1]) if gender else (translation, words[0])


def _with_article(german: str, english: str, gender: str) -> Pair:
    """Most nouns with their article. By chance, but the same for a noun in every entry."""
    noun = german[:1].isupper() and " " not in german
    if not noun or random.Random(german).random() >= WITH_ARTICLE:
        return english, german
    return f"{'an' if english[:1] in 'aeiou' else 'a'} {english}", f"{ARTICLES[gender]} {german}"


def known(pair: Pair, words: Set[str]) -> bool:
    """Whether a pair is of use beside texts whose English `words` these are: it has at most four, all of them known."""
    english, german = pair
    needed = words_of(english)
    return 0 < len(needed) <= MOST_WORDS and words >= {*needed} and "/" not in english + german


def words_of(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return re.findall(r"[^\W\d_]+", text.lower())


def _clean(text: str) -> str:
    return re.sub(r"\s+", " ", NOTES.sub(" ", text)).strip(" ;,-")
