"""What is composed stands beside as much of the test's pieces as it could be."""

import numpy as np
import pytest
from datasets import Dataset

from tasks.midi.codec import encode, one_piano
from tasks.midi.vocabulary import MusicVocabulary
from tasks.music.arguments import MusicArguments
from tasks.music.task import PRIMER_SECONDS, Music


def piece(*gaps):
    """Notes of 90 ms, each so many ticks after the one before."""
    onsets = np.cumsum(gaps)
    pitches = 60 + np.arange(len(gaps)) % 12
    return encode(one_piano(onsets, onsets + 9, pitches, np.full(len(gaps), 64)))


@pytest.fixture(scope="module")
def rows():
    calm, busy = [100] * 20, [10] * 400
    return Dataset.from_list([{"path": f"{shift}.mid", "events": piece(shift, *calm, *busy)} for shift in (0, 3)])


def scores(job, outputs, rows, **settings):
    return Music(MusicArguments(job=[job], **settings), MusicVocabulary()).score(outputs, rows, rows)


def test_a_composition_stands_beside_openings(rows):
    found = scores("compose", [events[:60] for events in rows["events"]], rows)
    assert found["generated_notes_per_second"] == pytest.approx(found["real_notes_per_second"])
    assert found["real_notes_per_second"] < 2, "whole pieces have ten notes a second"
    whole = scores("compose", list(rows["events"]), rows)
    assert whole["real_notes_per_second"] > 5


@pytest.mark.parametrize("settings", [{"job": "continue"}, {"job": "compose", "primed": True}], ids=str)
def test_a_continuation_stands_beside_what_follows_the_primer(rows, settings):
    seconds_of_calm = 20 - PRIMER_SECONDS
    found = scores(outputs=[piece(*[100] * seconds_of_calm)] * 2, rows=rows, **settings)
    assert found["real_notes_per_second"] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("whole", [False, True])
def test_an_accompaniment_stands_beside_what_was_played_to_the_melody(rows, whole):
    melodies = [piece(500 + shift, 100, 100) for shift in (0, 3)]  # 2 s of it, from the sixth second on
    songs = rows.add_column("melody", melodies)
    played = [piece(0, *[100] * 14, *[10] * (410 if whole else 0))] * 2
    found = scores("accompany", played, songs, segment_seconds=15, whole_songs=whole)
    assert found["real_notes_per_second"] == pytest.approx(found["generated_notes_per_second"], rel=0.05)
    assert (found["real_notes_per_second"] > 3) == whole


def test_a_test_piece_may_be_shorter_than_the_primer(rows):
    short = Dataset.from_list([{"path": "short.mid", "events": piece(0, 100, 100)}, rows[0]])
    found = scores("continue", [piece(100, 100)] * 2, short)
    assert found["real_notes_per_second"] > 0
