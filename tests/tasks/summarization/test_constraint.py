"""Names and numbers come from the prompt; all else, and a sentence's first word, is free."""

import pytest
import torch

from shared.data.vocabulary import TextVocabulary
from tasks.summarization.constraint import NamesFromSource, names
from tasks.summarization.task import Summarization, SummarizationArguments, SummarizationRequestArguments

TEXTS = ["The river Tamm flows through Dorvane. In 1191 it froze, and Lorvia did, too. It froze in 1866."] * 9


@pytest.fixture(scope="module")
def vocabulary():
    return TextVocabulary.train(TEXTS, 400, {"<|summarize|>": "In summary:"})


def allowed_words(vocabulary, constraint, state):
    allowed = constraint.allowed(state)[0]
    return {word for word in ("Ġriver", "ĠTamm", "ĠLorvia", "ĠIn", "<|endoftext|>") if allowed[vocabulary.tokens[word]]}


def test_names_and_numbers_stand_in_the_prompt(vocabulary):
    constraint = NamesFromSource(vocabulary)
    state = constraint.new_state(1, "cpu")
    constraint.begin(state, 0, vocabulary.encode("The river Tamm froze in 1191"), 9)
    free = {"Ġriver", "<|endoftext|>"}
    assert allowed_words(vocabulary, constraint, state) == {*free, "ĠTamm", "ĠLorvia", "ĠIn"}  # the first word
    constraint.advance(state, torch.tensor([vocabulary.tokens["Ġriver"]]))
    assert allowed_words(vocabulary, constraint, state) == {*free, "ĠTamm"}
    digits = {token for token in vocabulary.tokens if any(map(str.isdecimal, token))}
    told = {vocabulary.tokens[token] for token in digits} & set(vocabulary.encode("The river Tamm froze in 1191"))
    allowed = constraint.allowed(state)[0]
    assert told and {vocabulary.tokens[t] for t in digits if allowed[vocabulary.tokens[t]]} == told
    constraint.advance(state, torch.tensor([vocabulary.tokens["."]]))
    assert "ĠIn" in allowed_words(vocabulary, constraint, state)
    # A slot that goes on knows what it has written, and nothing of the prompt before its own.
    constraint.begin(state, 0, vocabulary.encode("and Lorvia"), 9, written=vocabulary.encode(" river"))
    assert allowed_words(vocabulary, constraint, state) == {*free, "ĠLorvia"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        *[(" Élise", True), (" été", False), (" Tamm", True), (" 1866", True), ("66", True), ("The", False)],
        *[(" Łódź", True), (" Москва", True), (" город", False), (" Αθήνα", True), (" ١٨٦٦", True), (" \ufffd", False)],
    ],
)
def test_capitals_of_any_alphabet_are_names(text, named):
    assert names(text) is named


def test_names_of_other_alphabets_stand_in_the_prompt():
    texts = ["он живёт в городе Москва и работает", "он живёт в городе Минск и работает"] * 20
    vocabulary = TextVocabulary.train(texts, 420, {"<|summarize|>": "In summary:"})
    constraint = NamesFromSource(vocabulary)
    state = constraint.new_state(1, "cpu")
    constraint.begin(state, 0, vocabulary.encode(texts[0]), 9)
    there, other = (vocabulary.encode(f"в {name}")[-1] for name in ("Москва", "Минск"))
    constraint.advance(state, torch.tensor([there]))
    allowed = constraint.allowed(state)[0]
    assert vocabulary.decode([other]) == " Минск" and allowed[there] and not allowed[other]


def test_it_is_asked_for(vocabulary):
    assert Summarization(SummarizationArguments(), vocabulary).constraint() is None
    asked = Summarization(SummarizationArguments(names_from_source=True), vocabulary)
    assert isinstance(asked.constraint(), NamesFromSource)
    free = Summarization(asked.arguments, vocabulary, SummarizationRequestArguments(names_from_source=False))
    assert free.constraint() is None
    later = Summarization(
        SummarizationArguments(), vocabulary, SummarizationRequestArguments(names_from_source=True, max_sentences=1)
    )
    assert isinstance(later.constraint(), NamesFromSource)
    assert later.decode(vocabulary.encode("It froze. It flows.")) == "It froze."
    with pytest.raises(ValueError, match="--max_sentences is -1"):
        SummarizationRequestArguments(max_sentences=-1)


@pytest.mark.parametrize(("prefix", "free"), [("", True), ("The river", False), ("The river froze.", True)])
def test_a_beginning_that_is_given_is_no_beginning_of_a_sentence(vocabulary, prefix, free):
    asked = SummarizationRequestArguments(target_prefix=prefix)
    task = Summarization(SummarizationArguments(names_from_source=True), vocabulary, asked)
    prompt = task.prompt({"document": "The river Tamm", "summary": ""}, 64, 9).context
    constraint = task.constraint()
    state = constraint.new_state(1, "cpu")
    constraint.begin(state, 0, prompt, 9)
    assert ("ĠLorvia" in allowed_words(vocabulary, constraint, state)) is free


def test_no_step_asks_for_a_value(vocabulary):
    constraint = NamesFromSource(vocabulary)
    state = constraint.new_state(2, "meta")
    constraint.advance(state, torch.zeros(2, dtype=torch.long, device="meta"))
    assert constraint.allowed(state).shape == (2, len(vocabulary.tokens))
