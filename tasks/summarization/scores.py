"""ROUGE by rouge-score, how much is new, copied or repeated, and what simple baselines reach."""

from collections.abc import Hashable, Sequence
from functools import cache
from itertools import chain, pairwise

import numpy as np
import torch
from nltk.stem.porter import PorterStemmer
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.scoring import BootstrapAggregator
from rouge_score.tokenize import tokenize
from rouge_score.tokenizers import Tokenizer

from shared.errors import UserError
from tasks.summarization.naming import from_source, is_named, subject
from tasks.summarization.ngrams import fragments, novel, repeated, words
from tasks.summarization.sentences import SENTENCE_END, openings

ROUGE = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
COMPARED = ROUGE[:3]  # by `compare`


def score(
    predictions: Sequence[str],
    references: Sequence[str],
    documents: Sequence[str] | None = None,
    bodies: Sequence[str] | None = None,
    lead_words: int | None = None,
    titles: Sequence[str] | None = None,
) -> dict[str, float]:
    """Means over the summaries, in per cent where no other unit is named.

    `rouge1`, `rouge2`, `rougeL`, `rougeLsum`: F1, Porter-stemmed (Lin 2004,
    https://aclanthology.org/W04-1013); letters beyond a-z do not count. `*_low` and `*_high` bound the 95 %
    interval of 1,000 bootstrap resamples with a fixed seed. Of the summaries, and as `reference_*` of the references:
    `words`, their length, and `repeated_3grams`, the share of 3-grams that stood in the summary before (seq-rep-3 of
    Welleck et al. 2020, https://arxiv.org/abs/1908.04319).

    With the `documents`, also for both: `novel_1grams` … `novel_4grams`, the share of distinct n-grams that the
    document lacks (See et al. 2017, https://arxiv.org/abs/1704.04368); and of the fragments copied from it (Grusky et
    al. 2018, https://arxiv.org/abs/1804.11283) `coverage`, the share of words in them, `density`, the mean length in
    words of the fragment that a word is in, and `longest_copy` in words. Of names, `names` is how many a text has,
    `names_in_source` the share that the document has, too, and `subject_named` the share of texts that name what they
    are of (by the `titles`, or the documents' beginnings). Then the baselines, in at most `lead_words` words (default:
    the references' mean): `lead_rouge*`, each document's beginning, and `openings_rouge*`, the first sentence of each
    of its sections. `bodies` are the documents without titles and headings, a blank line between two sections
    (default: the documents). An empty summary counts 0 everywhere.

    Raises:
        UserError: if there are no lines, or not as many of each.
    """
    given = {"predictions": predictions, "references": references, "documents": documents, "bodies": bodies}
    sizes = {name: len(texts) for name, texts in given.items() if texts is not None}
    if len(set(sizes.values())) != 1 or not sizes["predictions"]:
        first, *others = (f"{size} {name}" for name, size in sizes.items())
        raise UserError(f"{first} for {', '.join(others)}: give as many of each, at least one")
    scores = rouge(predictions, references)
    subjects = None
    if documents is not None:
        subjects = list(map(subject, titles or [""] * len(documents), documents))
    scores |= statistics(predictions, documents, subjects)
    scores |= {f"reference_{name}": value for name, value in statistics(references, documents, subjects).items()}
    if documents is None:
        return scores
    bodies = documents if bodies is None else bodies
    lead_words = lead_words or round(np.mean([len(reference.split()) for reference in references]))
    scores["lead_words"] = float(lead_words)
    for name, baseline in {"lead": list(bodies), "openings": [openings(body) for body in bodies]}.items():
        texts = [" ".join(text.split()[:lead_words]) for text in baseline]
        scores |= {f"{name}_{key}": value for key, value in rouge(texts, references).items()}
    return scores


def statistics(
    texts: Sequence[str], documents: Sequence[str] | None, subjects: Sequence[str] | None
) -> dict[str, float]:
    """What `score` says of summaries and references alike."""
    lengths = np.array([len(words(text)) for text in texts])
    found = {"words": lengths.mean(), "repeated_3grams": 100 * np.mean([repeated(text, 3) for text in texts])}
    if documents is not None:
        for n in (1, 2, 3, 4):
            shares = [novel(text, document, n) for text, document in zip(texts, documents, strict=True)]
            found[f"novel_{n}grams"] = 100 * np.mean(shares)
        copied = list(map(fragments, texts, documents))
        per_word = 1 / np.maximum(lengths, 1)
        found["coverage"] = 100 * np.mean(per_word * [sum(row) for row in copied])
        found["density"] = np.mean(per_word * [sum(length**2 for length in row) for row in copied])
        found["longest_copy"] = np.mean([max(row, default=0) for row in copied])
        kept, named = np.array(list(map(from_source, texts, documents))).T
        found["names"], found["names_in_source"] = named.mean(), 100 * kept.sum() / max(named.sum(), 1)
        about = [is_named(*pair) for pair in zip(subjects or (), texts, strict=True) if pair[0]]
        found["subject_named"] = 100 * sum(about) / max(len(about), 1)
    return {name: float(value) for name, value in found.items()}


class StemmedTokenizer(Tokenizer):
    """rouge-score's own tokens, but each word is stemmed once, which saves a third of the time."""

    def __init__(self) -> None:
        self.stem = cache(PorterStemmer().stem)

    def tokenize(self, text: str) -> list[str]:
        return tokenize(text, stemmer=self)


STEMMED = StemmedTokenizer()


def agreement(texts: Sequence[str]) -> np.ndarray:
    """Of N texts [N, N]: the mean of ROUGE-1 and ROUGE-2 (F1, stemmed) of each with each, as rouge-score has it.

    Texts without any of a to z and 0 to 9, in which ROUGE sees no word, are compared by their words as they stand; two
    that are empty agree.
    """
    tokens = [STEMMED.tokenize(text) or text.split() or [""] for text in texts]
    return (_shared(tokens) + _shared([list(pairwise(text)) for text in tokens])) / 2


def _shared(ngrams: Sequence[Sequence[Hashable]]) -> np.ndarray:
    """F1 [N, N] of what N texts have in common."""
    columns = {ngram: column for column, ngram in enumerate(dict.fromkeys(chain.from_iterable(ngrams)))}
    counts = np.zeros((len(ngrams), len(columns)))
    for row, text in zip(counts, ngrams, strict=True):
        for ngram in text:
            row[columns[ngram]] += 1
    size = counts.sum(1)
    both = size[:, None] + size
    # Twice what two have in common is what both have, less that in which they differ.
    differ = torch.cdist(torch.from_numpy(counts), torch.from_numpy(counts), p=1).numpy()
    return (both - differ) / np.maximum(both, 1)


def rouge(predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """F1 of each of `ROUGE` with its interval, as `score` describes them."""
    scorer = RougeScorer(ROUGE, tokenizer=STEMMED)
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


def compare(outputs: Sequence[str], others: Sequence[str], references: Sequence[str]) -> dict[str, dict[str, float]]:
    """ROUGE of two systems, and the p-value of their difference by paired bootstrap, as sacreBLEU defines it.

    Of 1,000 resamples of the rows with a fixed seed (Koehn 2004, https://aclanthology.org/W04-3250) it is the share
    whose difference lies as far from their mean as what was measured lies from 0.
    """
    scorer = RougeScorer(COMPARED, tokenizer=STEMMED)
    scores = np.array(
        [
            [_f1(scorer, text, reference) for text in texts]
            for reference, *texts in zip(references, outputs, others, strict=True)
        ]
    )
    ours, other = 100 * scores.mean(0)
    drawn = np.random.default_rng(0).integers(len(scores), size=(1000, len(scores)))
    differences = 100 * (scores[:, 0] - scores[:, 1])[drawn].mean(1)
    extreme = (np.abs(differences - differences.mean(0)) >= np.abs(ours - other)).sum(0)
    return {
        name: {"score": float(ours[index]), "other": float(other[index]), "p_value": float(extreme[index] + 1) / 1001}
        for index, name in enumerate(COMPARED)
    }


def _f1(scorer: RougeScorer, text: str, reference: str) -> list[float]:
    """F1 of a text by each of the scorer's measures, in their order."""
    found = scorer.score(_sentence_lines(reference), _sentence_lines(text))
    return [found[name].fmeasure for name in scorer.rouge_types]


def _sentence_lines(text: str) -> str:
    return SENTENCE_END.sub(r"\1\n", text)
