import re

import numpy as np
import pytest
from datasets import Dataset

from tasks.midi.codec import encode, one_piano
from tasks.midi.evaluation import likelihoods, score_pieces, tables
from tasks.midi.vocabulary import MusicVocabulary

VOCABULARY = MusicVocabulary()


def piece(onset, offset, pitch):
    return encode(one_piano(*map(np.array, (onset, offset, pitch, [63] * len(pitch)))))


@pytest.fixture
def training():
    return Dataset.from_dict({"path": ["a.mid", "b.mid"], "events": [piece([0], [100], [50]), piece([0], [70], [51])]})


def test_likelihoods_are_per_event_note_and_second(training):
    pieces = [piece([0, 100], [100, 300], [60, 64]), piece([0], [100], [60])]
    found = likelihoods(24.0, 16, pieces, training["events"], VOCABULARY)
    assert (found["nll_per_token"], found["nll_per_note"], found["nll_per_second"]) == (1.5, 8.0, 6.0)
    assert found["unigram_nll_per_token"] > 0


def test_pieces_are_scored_beside_real_ones_and_with_their_melodies(training):
    melody, fifth_below, semitone_below = (piece([0], [200], [pitch]) for pitch in (72, 65, 71))
    scores = score_pieces(
        [fifth_below, piece([0], [70], [51])],
        [semitone_below],
        training,
        VOCABULARY,
        melodies=([melody, melody], [melody]),
    )
    # The other piece's E flat is a sixth below.
    assert (scores["generated_consonance"], scores["real_consonance"], scores["overlap_consonance"]) == (1, -1, 0)
    assert scores["valid_midi"] == 100
    assert scores["generated_notes_per_second"] == pytest.approx((1 / 2 + 1 / 0.7) / 2)
    assert [passages["copied"]["source"] for passages in scores["passages"]][1] == "b.mid"
    report = re.sub(" +", " ", tables(scores))
    assert "| consonance with the melody | 1.00 | -1.00 | 0.00 |" in report
    assert f"| 2 | exact | {scores['passages'][1]['copied']['events']} |" in report and "| b.mid |" in report
    assert "generated_consonance" not in score_pieces([melody], [melody], training, VOCABULARY)
    silent = score_pieces([[], melody], [melody], training, VOCABULARY)
    assert silent["valid_midi"] == 50
