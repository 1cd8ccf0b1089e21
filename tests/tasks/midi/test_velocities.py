"""Velocities on change, as Music Transformer writes them, beside those of every note."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.midi.codec import MEANING, TOKENIZER, columns, encode, one_piano
from tasks.midi.velocities import UNKNOWN, compact, expand, last_velocity
from tasks.midi.vocabulary import OnChangeVocabulary

VOCABULARY = OnChangeVocabulary()


def ids(*tokens):
    return [TOKENIZER[token] for token in tokens]


note = st.tuples(st.integers(0, 900), st.integers(1, 250), st.integers(40, 90), st.sampled_from([1, 60, 64, 65, 127]))


def played(rows):
    onset, length, pitch, velocity = np.array(rows, dtype=int).reshape(-1, 4).T
    return one_piano(onset, onset + length, pitch, velocity)


performances = st.lists(note).map(played)
cut = st.floats(0, 1)


def test_a_velocity_comes_before_the_note_that_it_is_new_for():
    chord = ids("NoteOn_60", "Velocity_63", "NoteOn_64", "Velocity_63", "TimeShift_1.0.50", "NoteOff_60")
    louder = ids("NoteOn_67", "Velocity_71", "<|endoftext|>_None")
    written = ids("Velocity_63", "NoteOn_60", "NoteOn_64", "TimeShift_1.0.50", "NoteOff_60")
    written += ids("Velocity_71", "NoteOn_67", "<|endoftext|>_None")
    assert compact(chord + louder) == written
    assert expand(written) == chord + louder
    assert expand(written[1:5]) == chord and UNKNOWN == 63
    assert expand(written[1:5], last=71) == [*ids("NoteOn_60", "Velocity_71", "NoteOn_64", "Velocity_71"), *chord[4:]]
    assert (last_velocity(chord + louder), last_velocity(written), last_velocity(chord[4:])) == (71, 71, None)


@given(performances)
def test_both_forms_say_the_same(performance):
    events = encode(performance)
    written = compact(events)
    assert expand(written) == events
    assert VOCABULARY.encode(performance) == written and VOCABULARY.decode(written) == performance
    last = None
    for (kind, value), (following, _) in zip(map(MEANING.get, written), map(MEANING.get, written[1:]), strict=False):
        if kind == "Velocity":
            assert following == "NoteOn" and value != last
            last = value


@given(performances, cut)
def test_a_piece_may_be_cut_anywhere(performance, share):
    written = VOCABULARY.encode(performance)
    place = round(share * len(written))
    first, second = written[:place], written[place:]
    assert expand(first) + expand(second, last_velocity(first)) == encode(performance)
    apart = VOCABULARY.apart(second, first)
    assert expand(apart) == expand(second, last_velocity(first))
    assert len(apart) <= len(second) + 1


@given(performances, st.integers(8, 60))
def test_the_end_of_a_piece_fits_and_keeps_its_velocities(performance, room):
    written = VOCABULARY.encode(performance)
    kept = VOCABULARY.ending(written, room)
    assert len(kept) == len(written) if len(written) <= room else room - 2 <= len(kept) <= room
    (found, whole) = (columns(VOCABULARY.decode(part))[2:] for part in (kept, written))
    assert found.tolist() == whole[:, whole.shape[1] - found.shape[1] :].tolist()
