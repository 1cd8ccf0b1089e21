"""The page's byte-level BPE beside that of `tokenizers`."""

import random
import sys
import unicodedata

import pytest

from onedecoder.about import tokenizer

ENCODE = """
import { Tokenizer } from "onedecoder/engine/tokenizer.js";
const tokenizer = new Tokenizer(data.tokenizer);
result = data.texts.map((text) => { const ids = tokenizer.encode(text); return [ids, tokenizer.decode(ids)]; });
"""
SPECIAL_TEXTS = [
    *("", " ", "\n", "  a", "a  b \n c", "\t\u0085\u00a0x", "\ufeffa \ufeff b", "\u180e x", "it's we'LL I'd 'tis ''s"),
    *("<|endoftext|>", "a<|to-de|>b <|pad|>", "e\u0301 é", "👩‍👩‍👧‍👦 🇨🇭", "١٢٣ Ⅷ ½", "\x00\x7f", "a\r\nb", "x" * 300),
]


def random_texts(count):
    """Strings of all kinds of characters that are assigned, words and white space among them."""
    rng = random.Random(5)
    spaces = [chr(code) for code in range(0x3001) if chr(code).isspace()]
    words = ["dog", "don't", " the", "Schläfer", "3", "1999", "'s", "'ll", "<|endoftext|>", "<|to-de|>"]

    def character():
        while True:
            kind = rng.random()
            code = (
                rng.randrange(32, 127)
                if kind < 0.4
                else rng.randrange(0x3000)
                if kind < 0.7
                else rng.randrange(sys.maxunicode)
            )
            if unicodedata.category(chr(code)) not in {"Cs", "Cn"}:  # surrogates, and what Unicode may yet assign
                return chr(code)

    def part():
        kind = rng.random()
        return (
            rng.choice(spaces) * rng.randrange(1, 4) if kind < 0.2 else rng.choice(words) if kind < 0.4 else character()
        )

    return ["".join(part() for _ in range(rng.randrange(1, 30))) for _ in range(count)]


@pytest.fixture(scope="module")
def encoded(translator, javascript):
    texts = SPECIAL_TEXTS + random_texts(10_000)
    return texts, javascript(ENCODE, {"tokenizer": tokenizer(translator), "texts": texts})


def test_ten_thousand_random_texts_become_the_same_tokens(encoded, translator):
    texts, found = encoded
    vocabulary = translator.task.vocabulary
    for text, (ids, _) in zip(texts, found, strict=True):
        assert ids == vocabulary.encode(text), repr(text)


def test_every_text_comes_back(encoded):
    for text, (_, decoded) in zip(*encoded, strict=True):
        assert decoded == text


def test_text_never_becomes_a_special_token(encoded, translator):
    special = {*tokenizer(translator)["special"]}
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
    found = javascript(code, {"tokenizer": tokenizer(translator), "lines": lines})
    assert found == [vocabulary.decode(ids) for ids in lines]
