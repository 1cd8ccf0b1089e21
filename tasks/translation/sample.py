"""The sample the translation recipe runs on when it is given no data: English sentences with their German.

It is a small artificial language, written for this project, and not real data: sentences are derived from a synchronous
grammar over some 330 words (`lexicon.py`, `patterns.py`, `short.py`), and one derivation is written in both languages
(`grammar.py`), so that every pair is exact. What it holds of German is real: gender, case, the endings of adjectives,
verbs that stand second or last, verbs in two pieces. A model that learns it has learned to agree and to reorder,
not German.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from random import Random

from tasks.translation.lexicon import Pair
from tasks.translation.patterns import LONG
from tasks.translation.short import SHORT

PATTERNS = LONG | SHORT  # each with its weight
TRAIN_ROWS, VALIDATION_ROWS, TEST_ROWS = 16000, 200, 200
LONGEST = 14  # words
SEED = 19  # with it, every word of the lexicon stands in training some thirty times or more
KNOWN = 5  # a word of a held-out sentence stands in at least so many training sentences


def pairs(seed: int) -> Iterator[Pair]:
    """Derivations without end, in the order of the seed."""
    rng = Random(seed)
    patterns, weights = list(PATTERNS), list(accumulate(PATTERNS.values()))
    while True:
        (pattern,) = rng.choices(patterns, cum_weights=weights)
        yield pattern(rng)


def words(pair: Pair) -> set[tuple[str, str]]:
    """The words of both sides, each with its language."""
    sides = pair._asdict().items()
    return {(language, word) for language, text in sides for word in text[:-1].replace(",", "").lower().split()}


def sample() -> dict[str, list[dict[str, str]]]:
    """{"train": [...], "validation": [...], "test": [...]}, with rows {"en": ..., "de": ...}.

    No English sentence stands twice. A held-out sentence is new in both languages, its words are not: each stands in
    `KNOWN` training sentences or more.
    """
    rows: dict[str, Pair] = {}
    for pair in pairs(SEED):
        if len(rows) == TRAIN_ROWS + VALIDATION_ROWS + TEST_ROWS:
            break
        if max(text.count(" ") for text in pair) < LONGEST:
            rows.setdefault(pair.en, pair)
    counts = Counter(word for row in rows.values() for word in words(row))
    times = Counter(row.de for row in rows.values())  # "I read" and "I am reading" are one in German
    train: list[Pair] = []
    held_out: list[Pair] = []
    for row in rows.values():
        known = times[row.de] == 1 and all(counts[word] > KNOWN for word in words(row))
        if known and len(held_out) < VALIDATION_ROWS + TEST_ROWS:
            counts.subtract(words(row))
            held_out.append(row)
        else:
            train.append(row)
    splits = {"train": train, "validation": held_out[:VALIDATION_ROWS], "test": held_out[VALIDATION_ROWS:]}
    return {name: [row._asdict() for row in split] for name, split in splits.items()}
