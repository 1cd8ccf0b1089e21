"""Minimum Bayes risk decoding: of several drawn outputs the one that agrees best with the others.

The likeliest output is often no good one (Eikema & Aziz 2020). What is drawn shows what the decoder believes, and the
candidate that agrees best with all the others has the highest expected utility under that belief (Eikema & Aziz 2022,
"Sampling-Based Approximations to Minimum Bayes Risk Decoding for Neural Machine Translation").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sacrebleu.metrics import CHRF

# Of N outputs [N, N]: how good the row's is if the column's is right.
Utilities = Callable[[Sequence[str]], np.ndarray]


def consensus(outputs: Sequence[str], utilities: Utilities) -> int:
    """The index of the output with the highest mean utility over all outputs, itself included.

    Equal outputs are compared once, and count as often as they were drawn; among equals the first wins.
    """
    drawn = Counter(outputs)
    different = list(drawn)
    expected = utilities(different) @ np.array(list(drawn.values()))
    return outputs.index(different[int(expected.argmax())])


@cache
def _chrf() -> CHRF:
    from sacrebleu.metrics import CHRF  # noqa: PLC0415 (only what compares outputs needs it)

    return CHRF()


def chrf(outputs: Sequence[str]) -> np.ndarray:
    """`Utilities` by chrF in 0-100 (Popović 2015), which needs no words and so fits any language."""

    def utility(output: str, other: str) -> float:
        return 100.0 if output == other else _chrf().sentence_score(output, [other]).score  # 0 for two that are empty

    return np.array([[utility(output, other) for other in outputs] for output in outputs])
