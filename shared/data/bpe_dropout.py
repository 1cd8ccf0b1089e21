"""BPE-dropout: a text cut into tokens another way each time (Provilkov et al. 2020, "BPE-Dropout: Simple and Effective
Subword Regularization").

A small corpus shows most of its words in one segmentation only, and the decoder learns that by heart. Leaving out some
merges at random shows it the parts of words, too. `tokenizers` can do so, but draws from a generator that takes no
seed: two processes would train on different rows, and a resumed training on others than before.
"""

import json
import random
from collections.abc import Sequence
from itertools import pairwise

from tokenizers import Tokenizer

from shared.data.vocabulary import TextVocabulary, Vocabulary
from shared.errors import UserError

POOL = 32  # segmentations drawn of a word before they come up again


class SubwordSampler:
    """Cuts texts as `tokenizer` does, but drops each merge with probability `dropout` whenever it could be made."""

    def __init__(self, tokenizer: Tokenizer, dropout: float, seed: int):
        model = json.loads(tokenizer.to_str())["model"]
        if model["type"] != "BPE" or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
            raise UserError("--bpe_dropout is for byte-level BPE, which this tokenizer is not: leave it out")
        self.tokenizer, self.dropout, self.random = tokenizer, dropout, random.Random(seed)
        self.ids: dict[str, int] = model["vocab"]
        self.ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        self.pools: dict[str, list[list[int]]] = {}

    def __call__(self, text: str) -> list[int]:
        if self.tokenizer.normalizer:
            text = self.tokenizer.normalizer.normalize_str(text)
        words = self.tokenizer.pre_tokenizer.pre_tokenize_str(text)
        return [index for word, _ in words for index in self._segmentation(word)]

    def _segmentation(self, word: str) -> list[int]:
        pool = self.pools.setdefault(word, [])
        if len(pool) == POOL:
            return self.random.choice(pool)
        parts = list(word)
        while merges := [
            (rank, place)
            for place, pair in enumerate(pairwise(parts))
            if (rank := self.ranks.get(pair)) is not None and self.random.random() >= self.dropout
        ]:
            _, place = min(merges)
            parts[place : place + 2] = ["".join(parts[place : place + 2])]
        pool.append([self.ids[part] for part in parts])
        return pool[-1]


class DropoutVocabulary(TextVocabulary):
    """`vocabulary`, but every text is cut in a segmentation drawn from random numbers that start at `seed`."""

    def __init__(self, vocabulary: Vocabulary, dropout: float, seed: int):
        if not isinstance(vocabulary, TextVocabulary):
            raise UserError("--bpe_dropout cuts texts, and this task has none: leave it out")
        super().__init__(vocabulary.tokenizer, vocabulary.separators)
        self.sampler = SubwordSampler(vocabulary.tokenizer.backend_tokenizer, dropout, seed)

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.sampler(text) for text in texts]
