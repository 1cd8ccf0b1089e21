"""How much of a summary is copied from its document, new, or said twice. Words are compared without case."""

import re


def words(text: str) -> list[str]:
    return [word.lower() for word in re.findall(r"\w+", text)]  # lowered first, İ would fall into two


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    found = words(text)
    return list(zip(*(found[start:] for start in range(n)), strict=False))


def repeated(text: str, n: int) -> float:
    """Share of n-grams that stood in the text before (seq-rep-n of Welleck et al. 2020)."""
    found = ngrams(text, n)
    return 1 - len(set(found)) / len(found) if found else 0.0


def novel(text: str, document: str, n: int) -> float:
    """Share of distinct n-grams that the document lacks (See et al. 2017)."""
    found = set(ngrams(text, n))
    return len(found - set(ngrams(document, n))) / len(found) if found else 0.0


def fragments(text: str, document: str) -> list[int]:
    """Lengths in words of the text's extractive fragments, as figure 2 of Grusky et al. 2018 finds them.

    From left to right, each is the longest run of words from there on that the document holds, too.
    """
    found, known = words(text), f" {' '.join(words(document))} "
    lengths, start = [], 0
    while start < len(found):
        stop = start
        while stop < len(found) and f" {' '.join(found[start : stop + 1])} " in known:
            stop += 1
        if stop > start:
            lengths.append(stop - start)
        start = max(stop, start + 1)
    return lengths
