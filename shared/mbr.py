"""Minimum Bayes risk decoding: of several drawn outputs the one that agrees best with the others.

The likeliest output is often no good one (Eikema & Aziz 2020). What is drawn shows what the decoder believes, and the
candidate that agrees best with all the others has the highest expected utility under that belief (Eikema & Aziz 2022,
"Sampling-Based Approximations to Minimum Bayes Risk Decoding for Neural Machine Translation").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sacrebleu.metrics import CHRF


def consensus(outputs: Sequence[Any], utility: Callable[[Any, Any], float]) -> int:
    """The index of the output with the highest mean `utility(output, other)` over all outputs, itself included.

    Equal outputs are compared once, and count as often as they were drawn; among equals the first wins.
    """
    drawn = Counter(outputs)
    expected = {output: sum(n * utility(output, other) for other, n in drawn.items()) for output in drawn}
    return outputs.index(max(expected, key=expected.__getitem__))


@cache
def _chrf() -> CHRF:
    from sacrebleu.metrics import CHRF  # noqa: PLC0415 (only what compares outputs needs it)

    return CHRF()


def sentence_chrf(output: str, other: str) -> float:
    """chrF in 0-100 (Popović 2015), which needs no words and so fits any language."""
    return _chrf().sentence_score(output, [other]).score
