"""Holes in pieces: their lines, what may fill them, and how the two are joined."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import UserError
from tasks.midi.codec import TOKENIZER, columns, one_piano, performance, save
from tasks.midi.vocabulary import GAP, INFILL, LengthsVocabulary, MusicVocabulary
from tasks.music.arguments import MusicArguments, MusicRequestArguments
from tasks.music.constraint import EventConstraint
from tasks.music.infilling import Hole, filled, infill, length_of_hole
from tasks.music.lengths import LengthsConstraint
from tasks.music.task import Music
from tests.tasks.music.test_constraint import in_order, released, walk

NOTE_OFF, WITH_NOTE = MusicVocabulary(), LengthsVocabulary()
GRAMMARS = {NOTE_OFF: EventConstraint(NOTE_OFF), WITH_NOTE: LengthsConstraint(WITH_NOTE)}
SEPARATORS = TOKENIZER[GAP], TOKENIZER[INFILL]  # the same ids in both
both = pytest.mark.parametrize("vocabulary", GRAMMARS, ids=["note_off", "with_note"])


def music(vocabulary, asked=None, **settings_):
    lengths = "with_note" if vocabulary.says_lengths else "note_off"
    arguments = MusicArguments(job=["infill"], lengths=lengths, **settings_)
    return Music(arguments, vocabulary, MusicRequestArguments(**asked) if asked else None)


def piece(rows, vocabulary=NOTE_OFF):
    """A performance whose lengths are those that the vocabulary can say."""
    onset, duration, pitch, velocity = np.array(rows).T
    return vocabulary.decode(vocabulary.encode(one_piano(onset, onset + duration, pitch, velocity)))


notes = st.lists(
    st.tuples(st.integers(0, 900), st.integers(1, 400), st.integers(50, 70), st.integers(1, 127)), min_size=1
)


@both
@given(notes, st.integers(0, 700), st.integers(1, 300))
@example([(100, 50, 60, 64), (200, 50, 62, 64)], 100, 100)  # a note where the hole begins, and one where it ends
@example([(0, 300, 60, 64), (150, 200, 62, 64)], 100, 100)  # into the hole, and out of it
@settings(max_examples=40)
def test_a_hole_and_what_was_in_it_are_the_piece(vocabulary, rows, start, length):
    whole = piece(rows, vocabulary)
    hole = Hole.cut(whole, vocabulary, start, start + length)
    assert vocabulary.times(hole.past)[-1:].sum() == start
    middle = vocabulary.decode(hole.middle)
    assert filled(whole, start, start + length, middle) == whole
    onsets = columns(whole)[0]
    assert len(columns(middle)[0]) == ((start <= onsets) & (onsets < start + length)).sum()
    line = hole.line(vocabulary, 400)
    behind = onsets[onsets >= start + length]
    assert length_of_hole(list(line.context), vocabulary) == (behind.min() - start if len(behind) else None)


@given(notes, st.integers(0, 700), st.integers(1, 300))
@settings(max_examples=40)
def test_past_middle_and_future_say_the_lengths_of_the_piece(rows, start, length):
    """So that what reaches into the hole, and out of it, is known."""
    whole = piece(rows, WITH_NOTE)
    hole = Hole.cut(whole, WITH_NOTE, start, start + length)
    times = {"past": 0, "middle": start, "future": start}
    parts = [
        columns(WITH_NOTE.decode(getattr(hole, name))) + np.array([[at], [at], [0], [0]]) for name, at in times.items()
    ]
    assert np.concatenate(parts, axis=1).tolist() == columns(whole).tolist()


@both
@given(notes, st.integers(16, 60), st.booleans())
@settings(max_examples=40)
def test_lines_of_a_piece_are_as_if_each_was_cut_from_all_of_it(vocabulary, rows, room, future):
    whole = piece(rows, vocabulary)
    lines = infill({"events": vocabulary.encode(whole)}, vocabulary, room, 1.0, future)
    for number, line in enumerate(lines):
        hole = Hole.cut(whole, vocabulary, 100 * number, 100 * (number + 1))
        target = [*hole.middle, vocabulary.end]
        if len(target) > room // 2:
            assert line is None
            continue
        around = hole if future else Hole(hole.past, hole.middle, [])
        assert list(line.target) == target
        assert list(line.context) == list(around.line(vocabulary, room - len(target)).context)


@both
@given(notes, st.integers(20, 200))
@settings(max_examples=40)
def test_a_line_keeps_what_is_next_to_the_hole(vocabulary, rows, room):
    hole = Hole.cut(piece(rows, vocabulary), vocabulary, 300, 500)
    line = hole.line(vocabulary, room)
    context = list(line.context)
    gap = context.index(SEPARATORS[0])
    past, future = context[:gap], context[gap + 1 : -1]
    assert context[-1] == SEPARATORS[1]
    assert len(context) <= room
    assert hole.past[len(hole.past) - len(past) :] == past
    assert hole.future[: len(future)] == future
    assert line.cut == len(hole.past) + len(hole.future) - len(past) - len(future)
    if line.cut:
        assert len(context) > room - 2 * vocabulary.note_size  # no note is parted
    kinds = [[vocabulary.meaning[event][0] for event in part] for part in (past, future)]
    assert kinds[1].count("NoteOn") == kinds[1].count("Velocity")
    if vocabulary.says_lengths:
        assert all(part.count("NoteOn") == part.count("Velocity") == part.count("Duration") for part in kinds)


@both
def test_every_note_is_learned_once_and_validation_may_do_without_the_future(vocabulary):
    rng = np.random.default_rng(0)
    onset = np.sort(rng.integers(0, 4000, 200))
    whole = one_piano(onset, onset + 60, rng.integers(40, 80, 200), np.full(200, 64))
    row = {"events": vocabulary.encode(whole)}
    task = music(vocabulary, hole_seconds=4)
    lines = task.sequences(row, 512, training=True)
    counted = sum(len(columns(vocabulary.decode(line.target[:-1]))[0]) for line in lines)
    assert counted == len(columns(whole)[0])
    assert all(len(line) <= 512 for line in lines)

    def futures(lines):
        return [line.context.index(SEPARATORS[1]) - line.context.index(SEPARATORS[0]) > 1 for line in lines]

    assert futures(lines) == [True, True, True, False, True, True, True, False, True, False]  # the last has none
    assert futures(task.sequences(row, 512, training=False)) == [*[True] * 9, False]
    assert not any(futures(music(vocabulary, hole_seconds=4, future=False).sequences(row, 512, training=False)))
    assert task.sequences(row, 24, training=True).count(None) == 10


@both
@given(notes, st.integers(0, 2**32), st.integers(1, 300))
@settings(max_examples=10, deadline=None)
def test_whatever_fills_a_hole_begins_in_it_and_is_joined_to_both_sides(vocabulary, rows, seed, length):
    start = min(onset for onset, *_ in rows) + 1
    whole = piece(rows, vocabulary)
    hole = Hole.cut(whole, vocabulary, start, start + length)
    prompt = list(hole.line(vocabulary, 400).context)
    within = length_of_hole(prompt, vocabulary)
    for written, _ in walk([prompt] * 8, 80, seed, GRAMMARS[vocabulary]):
        middle = vocabulary.decode(written)
        if vocabulary is NOTE_OFF:
            assert released(written)
        assert (in_order(written) if vocabulary is NOTE_OFF else written) == vocabulary.encode(middle)
        onsets = columns(middle)[0]
        assert within is None or (onsets < within).all()
        joined = filled(whole, start, start + length, middle)
        assert NOTE_OFF.decode(NOTE_OFF.encode(joined)) == joined
        kept = columns(whole)
        outside = (kept[0] < start) | (kept[0] >= start + length)
        assert len(columns(joined)[0]) == outside.sum() + len(onsets)
        if vocabulary.says_lengths:  # what sounds into the hole is left to sound
            before = kept[:, kept[0] < start]
            again = np.array(
                [np.append(kept[0, (kept[2] == key) & (kept[0] >= start + length)], 2**30)[0] for key in before[2]]
            )
            assert (columns(joined)[1, : before.shape[1]] == np.minimum(before[1], again)).all()


@both
@given(notes)
@settings(max_examples=30)
def test_what_was_in_the_hole_is_allowed(vocabulary, rows):
    hole = Hole.cut(piece(rows, vocabulary), vocabulary, 200, 500)
    grammar = GRAMMARS[vocabulary]
    state = grammar.new_state(1, "cpu")
    grammar.begin(state, 0, list(hole.line(vocabulary, 600).context), len(hole.middle) + 1)
    for event in [*hole.middle, vocabulary.end]:
        assert grammar.allowed(state)[0, event]
        grammar.advance(state, torch.tensor([event]))


def test_a_key_of_the_past_is_struck_again_only_when_its_length_is_over():
    hole = Hole.cut(piece([(0, 150, 60, 64), (300, 50, 60, 64)], WITH_NOTE), WITH_NOTE, 100, 300)
    prompt, grammar = list(hole.line(WITH_NOTE, 60).context), GRAMMARS[WITH_NOTE]
    state, strike = grammar.new_state(1, "cpu"), WITH_NOTE.tokens["Pitch_60"]
    found = []
    for tick in (0, 49, 50, 199):
        written = (
            []
            if not tick
            else [*([WITH_NOTE.shifts[100]] if tick > 100 else []), WITH_NOTE.shifts[(tick - 1) % 100 + 1]]
        )
        grammar.begin(state, 0, prompt, 20, written)
        found.append(bool(grammar.allowed(state)[0, strike]))
    assert found == [False, False, True, True]
    assert not grammar.allowed(state)[0, WITH_NOTE.shifts[1]]  # to the hole's end


@both
@given(notes, st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_a_hole_at_the_end_of_a_piece_is_filled_to_where_it_was_asked_to_end(vocabulary, rows, seed):
    hole = Hole.cut(piece(rows, vocabulary), vocabulary, 1300, 1400)
    grammar = music(vocabulary, {"hole_from": 13, "hole_to": 14}).constraint()
    for written, _ in walk([list(hole.line(vocabulary, 400).context)] * 8, 80, seed, grammar):
        assert (columns(vocabulary.decode(written))[0] < 100).all()


@both
def test_a_file_is_filled_where_asked(vocabulary, tmp_path):
    whole = piece([(0, 50, 60, 64), (100, 50, 62, 64), (200, 50, 64, 64), (300, 50, 65, 64)])
    save(whole, tmp_path / "piece.mid")
    task = music(vocabulary, {"hole_from": 0.9, "hole_to": 2.1})
    row = task.request(str(tmp_path / "piece.mid"))
    given = vocabulary.encode(whole)
    assert row == {"job": "infill", "given": given, "hole": [90, 210], "path": str(tmp_path / "piece.mid")}
    prompt = task.prompt(row, 256, 64)
    assert prompt.cut == 0
    assert length_of_hole(list(prompt.context), vocabulary) == 210
    output = vocabulary.encode(piece([(10, 30, 70, 64), (150, 200, 71, 64)]))
    task.write_outputs([output], [row], tmp_path / "out")
    found = columns(performance(tmp_path / "out" / "piece-1.mid"))
    assert found[:3].T.tolist() == [[0, 50, 60], [100, 130, 70], [240, 440, 71], [300, 350, 65]]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "and --from and --to in seconds of it"),
        ({"hole_from": 9, "hole_to": 10}, "--from 9: .*piece.mid ends after 0.5 s"),
    ],
)
def test_a_hole_that_is_nowhere_is_an_error(tmp_path, asked, message):
    save(piece([(0, 50, 60, 64)]), tmp_path / "piece.mid")
    with pytest.raises(UserError, match=message):
        music(NOTE_OFF, asked).request(str(tmp_path / "piece.mid"))
    with pytest.raises(UserError, match="give a MIDI file, and --from and --to in seconds of it"):
        music(NOTE_OFF, asked).request("")


@pytest.mark.parametrize("unfit", [{"prime_seconds": 2}, {"write_prime": False}])
def test_a_hole_is_filled_in_the_whole_file(tmp_path, unfit):
    save(piece([(0, 500, 60, 64)]), tmp_path / "piece.mid")
    with pytest.raises(UserError, match=f"--{next(iter(unfit))}.*: leave it out to infill"):
        music(NOTE_OFF, {"hole_from": 1, "hole_to": 2, **unfit}).request(str(tmp_path / "piece.mid"))


@pytest.mark.parametrize("wrong", [{"hole_from": 1}, {"hole_from": 2, "hole_to": 2}, {"hole_from": -1, "hole_to": 2}])
def test_holes_that_cannot_be_meant(wrong):
    with pytest.raises(ValueError, match="--from"):
        MusicRequestArguments(**wrong)
