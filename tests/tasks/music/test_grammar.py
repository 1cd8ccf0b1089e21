"""What the grammars' base class documents: its worked example, and the entries of the state."""

import re

import pytest
import torch

from tasks.midi.vocabulary import CONTINUE, LengthsVocabulary, MusicVocabulary, OnChangeVocabulary
from tasks.music.constraint import EventConstraint
from tasks.music.grammar import NEVER, PITCHES, Grammar
from tasks.music.lengths import LengthsConstraint
from tasks.music.on_change import OnChangeConstraint
from tasks.music.single_row import SingleRowConstraint

PIANO = {*range(21, 109)}
SECOND = {*range(1, 101)}
VOCABULARY = MusicVocabulary()
GRAMMARS = {
    EventConstraint: (VOCABULARY, {"EventConstraint"}),
    SingleRowConstraint: (VOCABULARY, {"EventConstraint"}),
    OnChangeConstraint: (OnChangeVocabulary(), {"EventConstraint", "OnChangeConstraint"}),
    LengthsConstraint: (LengthsVocabulary(), {"LengthsConstraint"}),
}


def documented(names):
    """The shapes and types of entries that the table has for all grammars and for those of these names."""
    found, owner = {}, None
    for line in Grammar.__doc__.splitlines():
        if heading := re.match(r" +of `(\w+)`.* also$", line):
            owner = heading[1]
        entry = re.match(r" {8}(\w+) +\[R(, 128)?\] +(int64|bool) +\S", line)
        if entry and (owner is None or owner in names):
            found[entry[1]] = ((3, PITCHES) if entry[2] else (3,), getattr(torch, entry[3]))
    return found


@pytest.mark.parametrize("kind", GRAMMARS)
def test_every_entry_of_the_state_is_documented(kind):
    vocabulary, names = GRAMMARS[kind]
    state = kind(vocabulary).new_state(3, "cpu")
    assert {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()} == documented(names)


def test_the_worked_example():
    ids = {meaning: index for index, meaning in VOCABULARY.meaning.items()}
    grammar = EventConstraint(VOCABULARY)
    state = grammar.new_state(1, "cpu")

    def may_come():
        found = {}
        for index in grammar.allowed(state)[0].nonzero()[:, 0].tolist():
            kind, value = VOCABULARY.meaning.get(index, ("end", 0))
            found.setdefault(kind, set()).add(value)
        return found

    def is_so(sounding, **entries):
        assert {*state["sounding"][0].nonzero()[:, 0].tolist()} == sounding
        assert {name: state[name].item() for name in entries} == entries

    primer = [ids["NoteOn", 60], ids["Velocity", 63], ids["TimeShift", 50]]
    grammar.begin(state, 0, [*primer, VOCABULARY.tokens[CONTINUE]], 100)
    is_so({60}, now=0, silence=50, begun=-1, velocity=False, shifted=True, until=NEVER, left=100)
    assert state["struck"][0, 60] == -50
    assert may_come() == {"NoteOff": {60}, "NoteOn": PIANO - {60}}
    grammar.advance(state, torch.tensor([ids["NoteOn", 64]]))
    is_so({60, 64}, now=0, silence=0, begun=64, velocity=True)
    assert state["struck"][0, 64] == 0
    assert may_come().keys() == {"Velocity"}
    grammar.advance(state, torch.tensor([ids["Velocity", 63]]))
    is_so({60, 64}, velocity=False)
    assert may_come() == {"NoteOn": {*range(65, 109)}, "TimeShift": SECOND}
    grammar.advance(state, torch.tensor([ids["TimeShift", 100]]))
    is_so({60, 64}, now=100, silence=100, begun=-1)
    assert may_come() == {"NoteOff": {60, 64}, "NoteOn": PIANO - {60, 64}, "TimeShift": SECOND}
    for pitch in (60, 64):
        grammar.advance(state, torch.tensor([ids["NoteOff", pitch]]))
    is_so(set(), now=100)
    assert may_come() == {"end": {0}, "NoteOn": PIANO, "TimeShift": SECOND}
