"""The grammar in numbers against the grammar in tensors: the same events allowed, the same state after each."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.midi.codec import MEANING, TOKENIZER
from tasks.midi.vocabulary import MusicVocabulary
from tasks.music.constraint import EventConstraint
from tasks.music.single_row import SingleRowConstraint, why_not

VOCABULARY = MusicVocabulary()
COMPOSE, CONTINUE, ACCOMPANY = (TOKENIZER[f"<|{job}|>_None"] for job in ("compose", "continue", "accompany"))
EVENTS = sorted(MEANING)
LIMITS = [{}, {"seconds": 2.5}, {"seconds": 7, "filled": True}, {"all_keys": True}]


def primers():
    begin = st.sampled_from([[COMPOSE], [CONTINUE], [ACCOMPANY]])
    return st.tuples(begin, st.lists(st.sampled_from(EVENTS), max_size=8)).map(lambda parts: parts[0] + parts[1])


@given(
    prompt=primers(),
    limit=st.sampled_from(LIMITS),
    new_tokens=st.integers(0, 150),
    until=st.none() | st.integers(1, 800),
    hole=st.none() | st.integers(1, 800),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40)
def test_a_random_walk_is_the_same(prompt, limit, new_tokens, until, hole, seed):
    """Each walk is fond of some kinds of event: some hold many keys, some wait for long, some come to an end."""
    generator = torch.Generator().manual_seed(seed)
    plain, single = EventConstraint(VOCABULARY, **limit), SingleRowConstraint(VOCABULARY, **limit)
    states = [grammar.new_state(1, "cpu") for grammar in (plain, single)]
    for grammar, state in zip((plain, single), states, strict=True):
        grammar.begin(state, 0, prompt, new_tokens)
        for name, value in (("until", until), ("hole", hole)):
            if value is not None:
                state[name][0] = value
    kinds = torch.tensor([len(MEANING.get(index, ("special",))[0]) for index in range(len(TOKENIZER))])
    fondness = 4 * torch.randn(20, generator=generator)[kinds]
    for _ in range(new_tokens + 2):
        allowed = plain.allowed(states[0])
        assert torch.equal(single.allowed(states[1]), allowed)
        noise = -torch.empty(allowed.shape).exponential_(generator=generator).log()
        token = (fondness + noise).masked_fill(~allowed, -torch.inf).argmax(-1)
        for grammar, state in zip((plain, single), states, strict=True):
            grammar.advance(state, token)
        for name, tensor in states[0].items():
            assert torch.equal(states[1][name], tensor), name


@given(st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=60))
def test_any_event_is_taken_in_alike(events):
    """Also one that is not allowed."""
    grammars = EventConstraint(VOCABULARY), SingleRowConstraint(VOCABULARY)
    states = [grammar.new_state(1, "cpu") for grammar in grammars]
    for event in events:
        for grammar, state in zip(grammars, states, strict=True):
            grammar.advance(state, torch.tensor([event]))
        assert all(torch.equal(states[1][name], tensor) for name, tensor in states[0].items())
        assert torch.equal(grammars[1].allowed(states[1]), grammars[0].allowed(states[0]))


def test_several_rows_go_on_in_tensors():
    plain, single = EventConstraint(VOCABULARY), SingleRowConstraint(VOCABULARY)
    assert why_not(single.new_state(1, "cpu")) is None
    states = [grammar.new_state(3, "cpu") for grammar in (plain, single)]
    assert why_not(states[1]) == "there are several rows"
    for grammar, state in zip((plain, single), states, strict=True):
        for row in range(3):
            grammar.begin(state, row, [COMPOSE], 20)
        grammar.advance(state, torch.tensor(EVENTS[:3]))
    assert torch.equal(single.allowed(states[1]), plain.allowed(states[0]))
    assert why_not(SingleRowConstraint(VOCABULARY).new_state(1, "meta")) == "reading a number makes a GPU wait"
