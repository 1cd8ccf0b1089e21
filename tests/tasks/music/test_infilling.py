"""Holes in pieces: their lines, what may fill them, and how the two are joined."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import UserError
from tasks.midi.codec import TOKENIZER, columns, decode, encode, one_piano, performance, save
from tasks.midi.vocabulary import GAP, INFILL, MusicVocabulary
from tasks.music.arguments import MusicArguments, MusicRequestArguments
from tasks.music.constraint import EventConstraint
from tasks.music.infilling import Hole, filled, infill, length_of_hole
from tasks.music.task import Music
from tests.tasks.midi.test_codec import seconds
from tests.tasks.music.test_constraint import in_order, released, walk

VOCABULARY = MusicVocabulary()
SEPARATORS = TOKENIZER[GAP], TOKENIZER[INFILL]


def music(asked=None, **settings_):
    return Music(
        MusicArguments(job=["infill"], **settings_), VOCABULARY, MusicRequestArguments(**asked) if asked else None
    )


def piece(rows):
    onset, duration, pitch, velocity = np.array(rows).T
    return one_piano(onset, onset + duration, pitch, velocity)


notes = st.lists(
    st.tuples(st.integers(0, 900), st.integers(1, 400), st.integers(50, 70), st.integers(1, 127)), min_size=1
)


@given(notes, st.integers(0, 700), st.integers(1, 300))
@example([(100, 50, 60, 64), (200, 50, 62, 64)], 100, 100)  # a note where the hole begins, and one where it ends
@settings(max_examples=60)
def test_a_hole_and_what_was_in_it_are_the_piece(rows, start, length):
    whole = piece(rows)
    hole = Hole.cut(whole, start, start + length)
    assert seconds(hole.past)[-1:].sum() * 100 == pytest.approx(start)
    middle = decode(hole.middle)
    assert filled(whole, start, start + length, middle) == whole
    onsets = columns(whole)[0]
    assert len(columns(middle)[0]) == ((start <= onsets) & (onsets < start + length)).sum()
    line = hole.line(VOCABULARY, 400)
    behind = onsets[onsets >= start + length]
    assert length_of_hole(list(line.context), VOCABULARY) == (behind.min() - start if len(behind) else None)


@given(notes, st.integers(16, 60), st.booleans())
@settings(max_examples=60)
def test_lines_of_a_piece_are_as_if_each_was_cut_from_all_of_it(rows, room, future):
    whole = piece(rows)
    lines = infill({"events": encode(whole)}, VOCABULARY, room, 1.0, future)
    for number, line in enumerate(lines):
        hole = Hole.cut(whole, 100 * number, 100 * (number + 1))
        target = [*hole.middle, VOCABULARY.end]
        if len(target) > room // 2:
            assert line is None
            continue
        around = hole if future else Hole(hole.past, hole.middle, [])
        assert list(line.target) == target
        assert list(line.context) == list(around.line(VOCABULARY, room - len(target)).context)


@given(notes, st.integers(20, 200))
@settings(max_examples=40)
def test_a_line_keeps_what_is_next_to_the_hole(rows, room):
    hole = Hole.cut(piece(rows), 300, 500)
    line = hole.line(VOCABULARY, room)
    context = list(line.context)
    gap = context.index(SEPARATORS[0])
    past, future = context[:gap], context[gap + 1 : -1]
    assert context[-1] == SEPARATORS[1]
    assert len(context) <= room
    assert hole.past[len(hole.past) - len(past) :] == past
    assert hole.future[: len(future)] == future
    assert line.cut == len(hole.past) + len(hole.future) - len(past) - len(future)
    if line.cut:
        assert len(context) == room


def test_every_note_is_learned_once_and_validation_may_do_without_the_future():
    rng = np.random.default_rng(0)
    onset = np.sort(rng.integers(0, 4000, 200))
    whole = one_piano(onset, onset + 60, rng.integers(40, 80, 200), np.full(200, 64))
    row = {"events": encode(whole)}
    task = music(hole_seconds=4)
    lines = task.sequences(row, 512, training=True)
    counted = sum(len(columns(decode(line.target[:-1]))[0]) for line in lines)
    assert counted == len(columns(whole)[0])
    assert all(len(line) <= 512 for line in lines)

    def futures(lines):
        return [line.context.index(SEPARATORS[1]) - line.context.index(SEPARATORS[0]) > 1 for line in lines]

    assert futures(lines) == [True, True, True, False, True, True, True, False, True, False]  # the last has none
    assert futures(task.sequences(row, 512, training=False)) == [*[True] * 9, False]
    assert not any(futures(music(hole_seconds=4, future=False).sequences(row, 512, training=False)))
    assert task.sequences(row, 24, training=True).count(None) == 10


@given(notes, st.integers(0, 2**32), st.integers(1, 300))
@settings(max_examples=10, deadline=None)
def test_whatever_fills_a_hole_begins_in_it_and_is_joined_to_both_sides(rows, seed, length):
    start = min(onset for onset, *_ in rows) + 1
    whole = piece(rows)
    hole = Hole.cut(whole, start, start + length)
    prompt = list(hole.line(VOCABULARY, 400).context)
    within = length_of_hole(prompt, VOCABULARY)
    for written, _ in walk([prompt] * 8, 80, seed):
        assert released(written)
        middle = decode(written)
        assert in_order(written) == encode(middle)
        onsets = columns(middle)[0]
        assert within is None or (onsets < within).all()
        joined = filled(whole, start, start + length, middle)
        assert decode(encode(joined)) == joined
        kept = columns(whole)[0]
        outside = ((kept < start) | (kept >= start + length)).sum()
        assert len(columns(joined)[0]) == outside + len(onsets)


@given(notes)
@settings(max_examples=30)
def test_what_was_in_the_hole_is_allowed(rows):
    hole = Hole.cut(piece(rows), 200, 500)
    grammar = EventConstraint(VOCABULARY)
    state = grammar.new_state(1, "cpu")
    grammar.begin(state, 0, list(hole.line(VOCABULARY, 600).context), len(hole.middle) + 1)
    for event in [*hole.middle, VOCABULARY.end]:
        assert grammar.allowed(state)[0, event]
        grammar.advance(state, torch.tensor([event]))


@given(notes, st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_a_hole_at_the_end_of_a_piece_is_filled_to_where_it_was_asked_to_end(rows, seed):
    hole = Hole.cut(piece(rows), 1300, 1400)
    grammar = music({"hole_from": 13, "hole_to": 14}).constraint()
    for written, _ in walk([list(hole.line(VOCABULARY, 400).context)] * 8, 80, seed, grammar):
        assert (columns(decode(written))[0] < 100).all()


def test_a_file_is_filled_where_asked(tmp_path):
    whole = piece([(0, 50, 60, 64), (100, 50, 62, 64), (200, 50, 64, 64), (300, 50, 65, 64)])
    save(whole, tmp_path / "piece.mid")
    task = music({"hole_from": 0.9, "hole_to": 2.1})
    row = task.request(str(tmp_path / "piece.mid"))
    assert row == {"job": "infill", "given": encode(whole), "hole": [90, 210], "path": str(tmp_path / "piece.mid")}
    prompt = task.prompt(row, 256, 64)
    assert prompt.cut == 0
    assert length_of_hole(list(prompt.context), VOCABULARY) == 210
    output = encode(piece([(10, 30, 70, 64), (150, 200, 71, 64)]))
    task.write_outputs([output], [row], tmp_path / "out")
    found = columns(performance(tmp_path / "out" / "piece-1.mid"))
    assert found[:3].T.tolist() == [[0, 50, 60], [100, 130, 70], [240, 440, 71], [300, 350, 65]]


@pytest.mark.parametrize(
    ("asked", "message"),
    [({}, "--from SECONDS"), ({"hole_from": 9, "hole_to": 10}, "--from 9: .*piece.mid ends after 0.5 s")],
)
def test_a_hole_that_is_nowhere_is_an_error(tmp_path, asked, message):
    save(piece([(0, 50, 60, 64)]), tmp_path / "piece.mid")
    with pytest.raises(UserError, match=message):
        music(asked).request(str(tmp_path / "piece.mid"))
    with pytest.raises(UserError, match="give a MIDI file, --from SECONDS --to SECONDS"):
        music(asked).request("")


@pytest.mark.parametrize("wrong", [{"hole_from": 1}, {"hole_from": 2, "hole_to": 2}, {"hole_from": -1, "hole_to": 2}])
def test_holes_that_cannot_be_meant(wrong):
    with pytest.raises(ValueError, match="--from"):
        MusicRequestArguments(**wrong)
