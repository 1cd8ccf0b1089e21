"""BLEU, chrF and TER of a corpus, by sacreBLEU, with the signatures that make them comparable."""

import json
from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from shared.errors import UserError


def score(predictions: Sequence[str], references: Sequence[str], ter: bool = False) -> dict[str, float | str]:
    """Corpus scores of detokenised text, one reference each (Post 2018, https://aclanthology.org/W18-6319).

    `bleu` (13a tokens, cased) and `chrf` in 0-100; their `*_signature`; `bleu_low` and `bleu_high`, the 95 %
    interval of 1,000 bootstrap resamples (Koehn 2004), whose seed is sacreBLEU's 12345. `bleu_lowercase_tokenized` is
    the higher one of papers that score lower-cased text in Moses' tokens: both sides in lower case, in sacreBLEU's 13a
    tokens, which are Moses' (with its normalised punctuation) but for a few abbreviations, apostrophes and typographic
    quotation marks: in 7 of the 2,461 German references of Multi30k's tests. `exact` is the
    share of outputs that are the reference, in per cent. `ter` adds the edits in per cent of the reference's words
    (lower is better, may exceed 100); its search for shifts takes seconds a line where a model still writes the right
    words in a wild order.

    Raises:
        UserError: if there are no lines, or not as many of both.
    """
    if not len(predictions) or len(predictions) != len(references):
        raise UserError(f"{len(predictions)} predictions for {len(references)} references: give as many, at least one")
    scores: dict[str, float | str] = {}
    metrics = [("bleu", BLEU(), 1000), ("bleu_lowercase_tokenized", BLEU(lowercase=True), 1), ("chrf", CHRF(), 1)]
    metrics += [("ter", TER(), 1)] * ter
    for name, metric, resamples in metrics:
        result = metric.corpus_score(predictions, [references], n_bootstrap=resamples)
        signature = metric.get_signature().format()
        scores[name] = result.score
        scores[f"{name}_signature"] = signature
        if resamples > 1:
            # sacreBLEU prints the interval as μ ± half its width, and nothing where all resamples are 0.
            printed = json.loads(result.format(width=6, signature=signature, is_json=True))
            mean, half = printed.get("confidence_mean", 0.0), printed.get("confidence_var", 0.0)
            scores |= {f"{name}_low": mean - half, f"{name}_high": mean + half}
    matches = sum(text == reference for text, reference in zip(predictions, references, strict=True))
    scores["exact"] = 100 * matches / len(predictions)
    return scores


def compare(outputs: Sequence[str], others: Sequence[str], references: Sequence[str]) -> dict[str, dict[str, float]]:
    """`bleu` and `chrf` of two systems, and the p-value of their difference by sacreBLEU's paired bootstrap.

    1,000 resamples (Koehn 2004, https://aclanthology.org/W04-3250), with sacreBLEU's seed.
    """
    # The first is what the second is compared with.
    systems: list[tuple[str, Sequence[str]]] = [("others", list(others)), ("outputs", list(outputs))]
    _, found = PairedTest(systems, {"bleu": BLEU(), "chrf": CHRF()}, [list(references)], test_type="bs")()
    # Of equal scores sacreBLEU finds no resample whose difference is larger, and would call that significant.
    pairs: list[Any] = list(found.values())[1:]  # after the systems' names
    return {
        name: {"score": ours.score, "other": other.score, "p_value": ours.p_value if ours.score != other.score else 1.0}
        for name, (other, ours) in zip(("bleu", "chrf"), pairs, strict=True)
    }
