from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from shared.data.bpe_dropout import POOL, DropoutVocabulary, SubwordSampler
from shared.errors import UserError
from shared.model.arguments import ModelArguments
from shared.runs.pipeline import pack
from tasks.summarization.task import Summarization, SummarizationArguments

TEXTS = ["the lower and the lowest tower of the newest town", "newer flowers, lower showers", "Größe und Höhe"]


@pytest.fixture(scope="module")
def vocabulary(new_vocabulary):
    return new_vocabulary(TEXTS * 3, 320)


@given(text=st.text(max_size=40) | st.sampled_from([*TEXTS, "<|endoftext|> <|copy|>"]))
def test_without_dropout_it_is_the_tokenizers_own_way(vocabulary, text):
    assert SubwordSampler(vocabulary.tokenizer.backend_tokenizer, 0.0, 0)(text) == vocabulary.encode(text)


@given(text=st.text(max_size=40) | st.sampled_from(TEXTS), dropout=st.floats(0, 1), seed=st.integers(0, 9))
def test_every_segmentation_spells_the_text(vocabulary, text, dropout, seed):
    sampler = SubwordSampler(vocabulary.tokenizer.backend_tokenizer, dropout, seed)
    assert vocabulary.decode(sampler(text)) == text


def test_without_any_merge_bytes_remain(vocabulary):
    sampler = SubwordSampler(vocabulary.tokenizer.backend_tokenizer, 1.0, 0)
    assert len(sampler("newest Größe")) == len("newest Größe".encode())


def test_segmentations_are_as_frequent_as_the_papers_algorithm_makes_them():
    vocabulary = {piece: index for index, piece in enumerate(["a", "b", "c", "ab", "abc", "bc"])}
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b"), ("ab", "c"), ("b", "c")]))
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    shares = Counter(tuple(SubwordSampler(bpe, 0.3, seed)("abc")) for seed in range(3000))
    # "ab" is merged with 0.7, then "abc" with 0.7; else "bc" with 0.7, to which nothing can be added.
    expected = {(4,): 0.49, (3, 2): 0.21, (0, 5): 0.21, (0, 1, 2): 0.09}
    assert {ids: count / 3000 for ids, count in shares.items()} == pytest.approx(expected, abs=0.03)


def test_a_seed_draws_the_same_and_a_word_does_not_stay_the_same(vocabulary):
    backend = vocabulary.tokenizer.backend_tokenizer
    first, again, other = (SubwordSampler(backend, 0.3, seed) for seed in (1, 1, 2))
    drawn = [first(TEXTS[0]) for _ in range(2 * POOL)]
    assert drawn == [again(TEXTS[0]) for _ in range(2 * POOL)]
    assert drawn != [other(TEXTS[0]) for _ in range(2 * POOL)]
    assert len(set(map(tuple, drawn[POOL:]))) > POOL / 2  # drawn from the words' pools, still in new combinations


def test_a_dropout_vocabulary_leaves_the_one_it_is_made_of_as_it_is(vocabulary):
    plain, sampled = vocabulary.encode(TEXTS[0]), DropoutVocabulary(vocabulary, 0.5, 0)
    assert sampled.encode(TEXTS[0]) != sampled.encode(TEXTS[0])
    assert vocabulary.encode(TEXTS[0]) == plain
    assert sampled.tokens == vocabulary.tokens


def test_other_tokenizers_are_refused():
    with pytest.raises(UserError, match="--bpe_dropout is for byte-level BPE"):
        SubwordSampler(Tokenizer(models.WordLevel({"a": 0}, "a")), 0.1, 0)


def test_only_training_rows_are_cut_anew_and_as_often_as_asked(task):
    model = ModelArguments(max_length=48, bpe_dropout=0.4, bpe_samples=3)
    rows = task.load_rows(task.arguments)

    def pack_splits(model):
        return {split: pack(task, part, model, split, split == "train", seed=0) for split, part in rows.items()}

    packed = pack_splits(model)

    def lines(split):
        ids = packed[split].ids
        return [tuple(line) for line in np.split(ids, packed[split].starts[1:])]

    assert len(lines("train")) == 3 * len(rows["train"])
    copies = [lines("train")[start : start + 48] for start in (0, 48, 96)]
    assert copies[0] != copies[1] != copies[2]
    assert all(len({task.vocabulary.decode(line) for line in triple}) == 1 for triple in zip(*copies, strict=True))
    plain = pack_splits(ModelArguments(max_length=48))
    assert packed["validation"].ids.tolist() == plain["validation"].ids.tolist()
    assert pack_splits(model)["train"].ids.tolist() == packed["train"].ids.tolist()


def test_music_has_no_subwords():
    with pytest.raises(UserError, match="--bpe_dropout cuts texts"):
        DropoutVocabulary(SimpleNamespace(), 0.1, 0)


def test_the_words_that_ask_for_a_summary_are_never_cut_anew(vocabulary):
    arguments = SummarizationArguments(separator_text="the newest tower:")
    task = Summarization(arguments, vocabulary)
    row = {"document": TEXTS[0], "body": TEXTS[0], "summary": TEXTS[1], "title": ""}
    words = vocabulary.encode("\nthe newest tower:")
    task.vocabulary = DropoutVocabulary(vocabulary, 0.9, 0)
    for _ in range(5):
        (sequence,) = task.sequences(row, 256, training=True)
        assert list(sequence.context[-len(words) :]) == words
