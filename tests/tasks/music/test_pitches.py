"""Pitches drawn from their nucleus alone."""

import pytest

from tasks.music.constraint import EventConstraint
from tests.tasks.music.test_constraint import HELD, VOCABULARY, shares


def test_a_nucleus_of_pitches_leaves_when_and_how_loud_as_it_was():
    wanted = {"NoteOn_67": 0.3, "NoteOn_69": 0.15, "NoteOn_70": 0.05, "NoteOff_60": 0.3, "NoteOff_64": 0.2}
    found, removed = shares(*HELD, wanted=wanted, grammar=EventConstraint(VOCABULARY, pitch_top_p=0.8))
    expected = {"NoteOn_67": 0.5 * 0.3 / 0.45, "NoteOn_69": 0.5 * 0.15 / 0.45, "NoteOff_60": 0.3, "NoteOff_64": 0.2}
    assert found == pytest.approx(expected, abs=1e-4) and removed < 1e-6
