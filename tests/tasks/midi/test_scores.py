import math

import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.midi.codec import TOKENIZER, decode, one_piano, save
from tasks.midi.evaluation import tables
from tasks.midi.scores import (
    WINDOW,
    compare,
    consonance,
    consonance_at_equal_length,
    features,
    overlap,
    unigram_nll,
    valid_share,
    window_count,
)


def piece(onset, offset, pitch, velocity=63):
    return one_piano(*map(np.array, (onset, offset, pitch, [velocity] * len(pitch))))


def only(found):
    """The values of the one window there is."""
    assert {len(windows) for windows in found.values()} == {1}
    return {name: windows[0].tolist() for name, windows in found.items()}


def test_features_of_a_small_piece():
    # A second of C, then a second of C and G together, then a second of silence and a second of C.
    found = only(features([piece([0, 100, 100, 300], [100, 200, 200, 400], [60, 60, 67, 72])]))
    assert found == {
        "notes_per_second": [1.0],
        "polyphony": [pytest.approx(4 / 3)],
        "pitch_class_entropy": [pytest.approx(2 - 0.75 * np.log2(3))],
        "scale_consistency": [1.0],
        "pitch_range": [12],
        "inter_onset": [1.0, 0.0, 2.0],
        "duration": [1.0] * 4,
        "velocity": [63] * 4,
    }


def test_twelve_tones_have_the_highest_entropy_and_fit_no_scale():
    found = only(features([piece(range(0, 120, 10), range(10, 130, 10), range(60, 72))]))
    assert found["pitch_class_entropy"] == [pytest.approx(np.log2(12))]
    assert found["scale_consistency"] == [pytest.approx(7 / 12)]


def test_a_piece_without_a_note_is_a_window_of_zeros():
    found = only(features([decode([])]))
    assert {value for values in found.values() for value in values} == {0}


def test_windows_are_of_30_seconds_and_notes_held_into_the_next_sound_there():
    found = features([piece([0, 2900, 4500], [100, 3300, 4600], [60, 64, 67])])
    assert [values.tolist() for values in found["notes_per_second"]] == [[2 / 30], [1 / 16]]
    assert [values.tolist() for values in found["duration"]] == [[1.0, 4.0], [1.0]]
    assert found["polyphony"] == [[1.0], [1.0]]
    half = WINDOW // 2
    assert [window_count(n) for n in (0, 1, WINDOW + half - 1, WINDOW + half, 3 * WINDOW)] == [1, 1, 1, 2, 3]


def test_pitch_classes_are_those_of_pretty_midi(tmp_path):
    rng = np.random.default_rng(0)
    onset = np.sort(rng.choice(2000, 60, replace=False))
    score = piece(onset, onset + 20, rng.integers(30, 90, 60))
    save(score, tmp_path / "piece.mid")
    share = pretty_midi.PrettyMIDI(str(tmp_path / "piece.mid")).get_pitch_class_histogram()
    expected = -(share[share > 0] * np.log2(share[share > 0])).sum()
    assert only(features([score]))["pitch_class_entropy"] == [pytest.approx(expected)]


@pytest.mark.parametrize(
    ("onset", "offset", "pitch", "expected"),
    [
        # A minor sixth, a fifth, a fourth and a semitone below the melody, a second each.
        ([0, 100, 200, 300], [100, 200, 300, 400], [52, 53, 55, 59], [0.25]),
        ([0, 300], [300, 400], [48, 59], [0.5]),  # three seconds of an octave weigh three times as much
        ([0, 0], [400, 400], [57, 58], [0.0]),  # a third and a tone at once
        ([0, 0], [400, 400], [60, 59], [-1.0]),  # the melody itself, and a semitone below
        ([500], [600], [62], []),  # after the melody
    ],
)
def test_consonance_with_a_melody(onset, offset, pitch, expected):
    melody = piece([0], [400], [60])
    assert only(features([piece(onset, offset, pitch)], [melody]))["consonance"] == pytest.approx(expected)


def test_consonance_of_a_whole_piece_is_that_of_all_its_windows_together():
    """A fifth for ten seconds and a semitone for ten, in windows of their own."""
    melody = piece([0, 4000], [1000, 5000], [60, 60])
    assert consonance(piece([0, 4000], [1000, 5000], [53, 59]), melody) == 0
    assert consonance(piece([0], [1000], [53]), melody) == 1
    assert consonance(piece([2000], [3000], [53]), melody) == -1  # nothing sounds with the melody


def test_accompaniments_are_compared_as_if_their_notes_were_equally_long():
    melody = piece([0], [400], [60])
    long, short = piece([0], [400], [53]), piece([0], [100], [53])  # a fifth below, for four seconds and for one
    assert consonance_at_equal_length(short, melody) == 1
    assert consonance_at_equal_length(long, melody) == pytest.approx(1 + 0.13 * np.log(4))
    clashing = piece([0, 0], [400, 100], [53, 59])  # one long fifth and a short semitone: 0.6 of the time
    assert consonance(clashing, melody) < consonance(short, melody)
    assert consonance_at_equal_length(clashing, melody) == pytest.approx(0.6 + 0.13 * np.log(2.5))
    assert consonance_at_equal_length(piece([], [], []), melody) == -np.inf


def test_overlapping_areas():
    one, other = [np.array([0.1, 0.1])], [np.array([0.1, 1.0])]
    assert overlap("duration", one, other) == 0.5
    assert overlap("duration", one, [np.array([0.5])]) == 0
    # Single values are smoothed by a thousandth of the larger: two normal distributions, one unit apart.
    one, other = [np.array([999.0])], [np.array([1000.0])]
    assert overlap("polyphony", one, other) == pytest.approx(math.erfc(0.5 / math.sqrt(2)), abs=1e-3)
    assert overlap("consonance", [np.array([])], other) == 0


values = st.lists(st.integers(-5, 127).map(lambda value: np.array([value / 4])), min_size=1, max_size=20)


@given(values, values)
@pytest.mark.parametrize("name", ["velocity", "notes_per_second"])
def test_an_overlap_is_a_share_and_a_set_is_like_itself(name, some, others):
    positive = [abs(values) for values in some], [abs(values) for values in others]
    assert overlap(name, positive[0], positive[0]) == pytest.approx(1, abs=1e-3)
    assert -1e-9 <= overlap(name, *positive) <= 1 + 1e-3
    assert overlap(name, *positive) == pytest.approx(overlap(name, *positive[::-1]))


def test_a_comparison_says_what_is_attainable():
    rng = np.random.default_rng(0)
    real = {"polyphony": list(rng.normal(3, 1, (60, 1)))}
    like, unlike = ({"polyphony": list(rng.normal(mean, 1, (10, 1)))} for mean in (3, 9))
    good, bad = compare(like, real), compare(unlike, real)
    assert good["real_polyphony"] == pytest.approx(np.mean(real["polyphony"]))
    assert good["generated_polyphony"] == pytest.approx(np.mean(like["polyphony"]))
    assert bad["overlap_polyphony"] < 0.1
    assert good["overlap_polyphony"] > 0.6
    assert good["attainable_polyphony"] == bad["attainable_polyphony"]
    assert 0.6 < good["attainable_polyphony"] < 1
    assert "attainable_polyphony" not in compare(like, {"polyphony": real["polyphony"][:1]})


def test_the_table_has_a_row_for_each_score_and_each_copy():
    passage = {"events": 9, "notes": 3, "seconds": 1.25, "at": 2.0, "source": "a.mid", "source_at": 7.5}
    metrics = {"nll_per_note": 7.5, "passages": [{"copied": passage, "transposed": passage}]}
    metrics |= compare(features([piece([0], [100], [60])]), features([piece([0, 50], [100, 200], [60, 64])]))
    lines = [" ".join(line.split()) for line in tables(metrics).splitlines()]
    assert "| nats per note | | 7.500 | |" in lines
    assert "| notes per second | 1.00 | 1.00 | 1.00 |" in lines
    assert "| 1 | in any key | 9 | 3 | 1.2 | 2.0 | a.mid | 7.5 |" in lines
    assert all(line.count("|") == 5 for line in lines[: lines.index("")])


def test_valid_files_are_those_with_notes(tmp_path):
    save(piece([0], [10], [60]), tmp_path / "good.mid")
    save(decode([]), tmp_path / "empty.mid")
    (tmp_path / "bad.mid").write_bytes(b"MThd")
    files = [tmp_path / name for name in ("good.mid", "empty.mid", "bad.mid", "missing.mid")]
    assert valid_share(files) == 0.25


SIZE = len(TOKENIZER)
pieces = st.lists(st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=50), min_size=1, max_size=4)


@given(pieces, pieces)
@settings(max_examples=20)
def test_unigram_likelihoods_are_those_of_a_distribution(train, test):
    each = np.array([unigram_nll(train, [[event]], SIZE) for event in range(SIZE)])
    assert np.exp(-each).sum() == pytest.approx(1)
    expected = np.mean([each[event] for events in test for event in events])
    assert unigram_nll(train, test, SIZE) == pytest.approx(expected)


def test_unigram_counts_once_more_than_seen():
    assert unigram_nll([[7, 7, 7]], [[7]], SIZE) == pytest.approx(-np.log(4 / (3 + SIZE)))
    assert unigram_nll([[7, 7, 7]], [[8, 8]], SIZE) == pytest.approx(-np.log(1 / (3 + SIZE)))
