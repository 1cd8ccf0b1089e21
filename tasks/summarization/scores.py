"""ROUGE by rouge-score, the same for the documents' beginnings, and how much is new or repeated."""

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.scoring import BootstrapAggregator
from rouge_score.tokenize import tokenize
from rouge_score.tokenizers import Tokenizer

from shared.errors import UserError

ROUGE = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
# ROUGE-Lsum compares sentences: one ends at `.`, `!` or `?`, any closing quote or bracket, and white space.
SENTENCE_END = re.compile(r"(?<=[.!?])([\"'”’)\]]*)\s+")


def score(
    predictions: Sequence[str],
    references: Sequence[str],
    documents: Sequence[str] | None = None,
    lead_words: int | None = None,
) -> dict[str, float]:
    """Means over the summaries, in per cent.

    `rouge1`, `rouge2`, `rougeL`, `rougeLsum`: F1, Porter-stemmed (Lin 2004,
    https://aclanthology.org/W04-1013); letters beyond a-z do not count. `*_low` and `*_high` bound the 95 %
    interval of 1,000 bootstrap resamples with a fixed seed. `repeated_3grams`: share of a summary's 3-grams
    that stood in it before (seq-rep-3 of Welleck et al. 2020, https://arxiv.org/abs/1908.04319). With the
    `documents`: `novel_1grams` and `novel_2grams`, share of a summary's distinct n-grams that the document
    lacks (See et al. 2017, https://arxiv.org/abs/1704.04368), and `lead_rouge*`, the scores of each document's
    first `lead_words` words (default: the references' mean length). An empty summary counts 0 everywhere.
    UserError for no or unequal lines.
    """
    sizes = {len(texts) for texts in (predictions, references, documents) if texts is not None}
    if len(sizes) != 1 or not len(predictions):
        raise UserError(
            f"{len(predictions)} predictions for {len(references)} references"
            + (f" and {len(documents)} documents" if documents is not None else "")
            + ": give as many of each, at least one"
        )
    scores = _rouge(predictions, references)
    scores["repeated_3grams"] = 100 * float(np.mean([_repeated(text, 3) for text in predictions]))
    if documents is None:
        return scores
    for n in (1, 2):
        novel = [_novel(text, document, n) for text, document in zip(predictions, documents, strict=True)]
        scores[f"novel_{n}grams"] = 100 * float(np.mean(novel))
    lead_words = lead_words or round(np.mean([len(reference.split()) for reference in references]))
    leads = [" ".join(document.split()[:lead_words]) for document in documents]
    lead_scores = {f"lead_{name}": value for name, value in _rouge(leads, references).items()}
    return scores | {"lead_words": float(lead_words)} | lead_scores


class StemmedTokenizer(Tokenizer):
    """rouge-score's own tokens, but each word is stemmed once, which saves a third of the time."""

    def __init__(self):
        self.stem = cache(PorterStemmer().stem)

    def tokenize(self, text: str) -> list[str]:
        return tokenize(text, stemmer=self)


def _rouge(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    scorer = RougeScorer(ROUGE, tokenizer=StemmedTokenizer())
    rows = [
        scorer.score(_sentence_lines(reference), _sentence_lines(prediction))
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    aggregator = BootstrapAggregator(confidence_interval=0.95, n_samples=1000)
    for row in rows:
        aggregator.add_scores(row)
    state = np.random.get_state()  # the aggregator draws from numpy's global generator
    np.random.seed(0)
    bounds = aggregator.aggregate()
    np.random.set_state(state)
    scores = {}
    for name in ROUGE:
        # The aggregator's `mid` is the resamples' median; the score is the mean itself.
        scores[name] = 100 * float(np.mean([row[name].fmeasure for row in rows]))
        scores[f"{name}_low"] = 100 * float(bounds[name].low.fmeasure)
        scores[f"{name}_high"] = 100 * float(bounds[name].high.fmeasure)
    return scores


def _sentence_lines(text: str) -> str:
    return SENTENCE_END.sub(r"\1\n", text)


def _ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return list(zip(*(words[start:] for start in range(n)), strict=False))


def _repeated(text: str, n: int) -> float:
    ngrams = _ngrams(text, n)
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def _novel(text: str, document: str, n: int) -> float:
    ngrams, known = set(_ngrams(text, n)), set(_ngrams(document, n))
    return len(ngrams - known) / len(ngrams) if ngrams else 0.0
