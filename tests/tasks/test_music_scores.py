import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.music.codec import TOKENIZER, decode, encode, one_piano, save
from tasks.music.scores import mean_statistics, statistics, unigram_nll, valid_share


def piece(onset, offset, pitch):
    return encode(one_piano(*map(np.array, (onset, offset, pitch, [63] * len(pitch)))))


def test_statistics_of_a_small_piece():
    # A second of C, then a second of C and G together, then a second of silence and a second of C.
    found = statistics(piece([0, 100, 100, 300], [100, 200, 200, 400], [60, 60, 67, 72]))
    assert found == {
        "notes": 4,
        "seconds": 4.0,
        "notes_per_second": 1.0,
        "polyphony": pytest.approx(4 / 3),
        "pitch_class_entropy": pytest.approx(2 - 0.75 * np.log2(3)),
        "scale_consistency": 1.0,
        "pitch_range": 12,
        "mean_velocity": 63.0,
    }


def test_twelve_tones_have_the_highest_entropy_and_fit_no_scale():
    found = statistics(piece(range(0, 120, 10), range(10, 130, 10), range(60, 72)))
    assert found["pitch_class_entropy"] == pytest.approx(np.log2(12))
    assert found["scale_consistency"] == pytest.approx(7 / 12)


@pytest.mark.parametrize("events", [[], [TOKENIZER["<|endoftext|>_None"]]])
def test_without_a_note_all_is_zero(events):
    assert set(statistics(events).values()) == {0}


def test_means_are_over_pieces():
    short, long = piece([0], [10], [60]), piece([0, 10, 20], [10, 20, 30], [60, 62, 64])
    assert mean_statistics([short, long])["notes"] == 2


def test_valid_files_are_those_with_notes(tmp_path):
    save(decode(piece([0], [10], [60])), tmp_path / "good.mid")
    save(decode([]), tmp_path / "empty.mid")
    (tmp_path / "bad.mid").write_bytes(b"MThd")
    files = [tmp_path / name for name in ("good.mid", "empty.mid", "bad.mid", "missing.mid")]
    assert valid_share(files) == 0.25


pieces = st.lists(st.lists(st.integers(0, len(TOKENIZER) - 1), min_size=1, max_size=50), min_size=1, max_size=4)


@given(pieces, pieces)
@settings(max_examples=20)
def test_unigram_likelihoods_are_those_of_a_distribution(train, test):
    each = np.array([unigram_nll(train, [[event]]) for event in range(len(TOKENIZER))])
    assert np.exp(-each).sum() == pytest.approx(1)
    assert unigram_nll(train, test) == pytest.approx(np.mean([each[event] for events in test for event in events]))


def test_unigram_counts_once_more_than_seen():
    size = len(TOKENIZER)
    assert unigram_nll([[7, 7, 7]], [[7]]) == pytest.approx(-np.log(4 / (3 + size)))
    assert unigram_nll([[7, 7, 7]], [[8, 8]]) == pytest.approx(-np.log(1 / (3 + size)))
