"""Which paragraphs to read first, where not all can be read."""

import math
import re
from collections import Counter
from collections.abc import Sequence

WORD = re.compile(r"\w+")


def ranked(title: str, paragraphs: Sequence[str]) -> list[str]:
    """All `paragraphs`, those that say most about the title first; equal ones keep their order.

    A paragraph scores the sum, over the title's words w, of N_w log(N_d / N_dw): how often it holds w, how many
    paragraphs there are, and how many of them hold w (tf-idf as in Liu et al. 2018, section 4.1, where the paragraphs
    are those of one article). Words are compared without case.
    """
    words = dict.fromkeys(WORD.findall(title.lower()))  # not a set, in whose order the sum would vary in its last bit
    counts = [Counter(WORD.findall(paragraph.lower())) for paragraph in paragraphs]
    found = {word: sum(word in count for count in counts) for word in words}
    weights = {word: math.log(len(paragraphs) / holding) for word, holding in found.items() if holding}
    scores = [sum(count[word] * weight for word, weight in weights.items()) for count in counts]
    return [paragraphs[index] for index in sorted(range(len(paragraphs)), key=lambda index: -scores[index])]
