import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from symusic import ControlChange, Track

from tasks.midi.codec import decode, one_piano, performance, save
from tasks.music.melody import from_its_first_note, melody_and_performance, skyline


def piece(*rows):
    return one_piano(*(np.array(column) for column in zip(*rows, strict=True)))


def rows(score):
    return [(note.start, note.end, note.pitch) for note in score.tracks[0].notes]


def test_the_skyline_leaves_out_chords_and_what_lies_under_a_long_note():
    heard = piece(
        (0, 100, 72, 64), (0, 100, 64, 64),  # a chord
        (50, 100, 60, 64),  # under a long note
        (98, 200, 71, 64),  # legato: it begins while the one before, a higher one, still sounds for 20 ms
        (197, 300, 55, 64), (199, 300, 74, 64),  # a chord that is not struck at one instant
        (350, 400, 48, 64),  # alone: there is no higher one
    )  # fmt: skip
    assert rows(skyline(heard)) == [(0, 98, 72), (98, 199, 71), (199, 300, 74), (350, 400, 48)]


notes = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 90), st.integers(50, 80)), min_size=1)


@given(notes)
def test_a_skyline_is_one_voice_of_the_highest_notes_and_its_own_skyline(found):
    heard = piece(*((onset, onset + length, pitch, 64) for onset, length, pitch in found))
    line = skyline(heard)
    assert rows(skyline(line)) == rows(line)
    assert all(stop <= start for (_, stop, _), (start, *_) in zip(rows(line), rows(line)[1:], strict=False))
    assert {(start, pitch) for start, _, pitch in rows(line)} <= {(start, pitch) for start, _, pitch in rows(heard)}
    assert max(pitch for *_, pitch in rows(heard)) == max(pitch for *_, pitch in rows(line))


@pytest.mark.parametrize("name", ["MELODY", " melody"])
def test_a_track_that_says_so_is_the_melody_in_the_time_of_the_whole(tmp_path, name):
    song = piece((0, 100, 80, 64), (30, 60, 84, 64))
    song.tracks.append(Track(name, notes=piece((50, 90, 60, 64), (100, 150, 62, 64)).tracks[0].notes))
    save(song, tmp_path / "song.mid")
    melody, whole = melody_and_performance(tmp_path / "song.mid")
    assert rows(melody) == [(50, 90, 60), (100, 150, 62)]
    assert whole == performance(tmp_path / "song.mid")
    assert rows(from_its_first_note(melody, 60)) == [(0, 40, 60), (50, 60, 62)]


def test_the_pedal_does_not_hold_a_melody(tmp_path):
    song = piece((0, 50, 72, 64), (60, 100, 67, 64))
    song.tracks[0].controls.extend([ControlChange(0, 64, 127), ControlChange(200, 64, 0)])
    save(song, tmp_path / "song.mid")
    melody, whole = melody_and_performance(tmp_path / "song.mid")
    assert rows(melody) == [(0, 50, 72), (60, 100, 67)]
    assert rows(whole) == [(0, 200, 72), (60, 200, 67)]


def test_no_melody_is_none():
    assert rows(skyline(decode([]))) == []
    assert rows(from_its_first_note(decode([]), 100)) == []
