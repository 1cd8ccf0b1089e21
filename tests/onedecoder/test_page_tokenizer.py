"""The page's byte-level BPE beside that of `tokenizers`."""

import random

import pytest

from onedecoder.about import tokenizer

ENCODE = """
import { Tokenizer } from "onedecoder/engine/tokenizer.js";
const tokenizer = new Tokenizer(data.tokenizer);
result = data.texts.map((text) => { const ids = tokenizer.encode(text); return [ids, tokenizer.decode(ids)]; });
"""


@pytest.fixture(scope="module")
def encoded(translator, javascript, texts_of_all_kinds):
    return texts_of_all_kinds, javascript(
        ENCODE, {"tokenizer": tokenizer(translator.name, translator.task), "texts": texts_of_all_kinds}
    )


def test_ten_thousand_random_texts_become_the_same_tokens(encoded, translator):
    texts, found = encoded
    vocabulary = translator.task.vocabulary
    for text, (ids, _) in zip(texts, found, strict=True):
        assert ids == vocabulary.encode(text), repr(text)


def test_every_text_comes_back(encoded):
    for text, (_, decoded) in zip(*encoded, strict=True):
        assert decoded == text


def test_text_never_becomes_a_special_token(encoded, translator):
    special = {*tokenizer(translator.name, translator.task)["special"]}
    assert translator.task.vocabulary.end in special
    assert not any(special & {*ids} for _, (ids, _) in zip(*encoded, strict=True))


def test_any_tokens_are_decoded_as_python_does(translator, javascript):
    rng, vocabulary = random.Random(0), translator.task.vocabulary
    lines = [[rng.randrange(len(vocabulary.tokens)) for _ in range(rng.randrange(20))] for _ in range(500)]
    code = """
    import { Tokenizer } from "onedecoder/engine/tokenizer.js";
    const tokenizer = new Tokenizer(data.tokenizer);
    result = data.lines.map((ids) => tokenizer.decode(ids));
    """
    found = javascript(code, {"tokenizer": tokenizer(translator.name, translator.task), "lines": lines})
    assert found == [vocabulary.decode(ids) for ids in lines]
