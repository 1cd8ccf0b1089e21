import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from tasks.midi.codec import encode, one_piano
from tasks.midi.novelty import longest_copies, matches, novelty, windows
from tasks.midi.scores import WINDOW, window_count
from tasks.midi.vocabulary import MusicVocabulary
from tests.tasks.midi.test_codec import seconds

VOCABULARY = MusicVocabulary()
line = st.lists(st.integers(0, 2), max_size=12).map(lambda line: np.array(line, dtype=int))


def occurs(run, line):
    return [at for at in range(len(line) - len(run) + 1) if line[at : at + len(run)] == run]


@given(st.lists(line, max_size=4), st.lists(line, min_size=1, max_size=4))
def test_matches_are_the_longest_there_are(lines, training):
    texts = [text.tolist() for text in training]
    for line, found in zip(lines, matches(lines, training), strict=True):
        assert len(found.length) == len(line)
        for at, length in enumerate(found.length):
            run = line[at : at + length + 1].tolist()
            if length:
                assert found.place[at] in occurs(run[:length], texts[found.line[at]])
            assert at + length == len(line) or not any(occurs(run, text) for text in texts)


def notes(seed, size=60):
    """Onsets, offsets, pitches and velocities of random music, no two successive intervals of two seeds alike."""
    rng = np.random.default_rng(seed)
    onset = np.cumsum(rng.integers(5, 40, size))
    return onset - onset[0], onset - onset[0] + 4, rng.integers(40, 90, size), rng.integers(1, 127, size)


@pytest.fixture
def training():
    pieces = [encode(one_piano(*notes(seed))) for seed in range(5)]
    return Dataset.from_dict({"path": [f"{number}.mid" for number in range(5)], "events": pieces})


def test_a_planted_copy_is_found_in_its_full_length(training):
    theirs, own = training["events"][3], encode(one_piano(*notes(99)))
    copied = theirs[41:90]
    piece = [*own[:100], *copied, *(event for event in own[100:] if event != theirs[90])]
    assert own[99] != theirs[40]
    _, _, [passages] = novelty([piece], [own], training, VOCABULARY)
    assert passages["copied"] == {
        "events": 49,
        "notes": sum(VOCABULARY.pitches[event] >= 0 for event in copied),
        "seconds": pytest.approx(seconds(copied)[-1]),
        "at": pytest.approx(seconds(own[:100])[-1]),
        "source": "3.mid",
        "source_at": pytest.approx(seconds(theirs[:41])[-1]),
    }


def test_a_copy_in_another_key_and_tempo_and_touch_is_found(training):
    onset, offset, pitch, velocity = (part[10:40] for part in notes(2))
    before, after = 40, 100  # intervals too large to be the random pieces'
    disguised = one_piano(
        np.array([0, *(2 * onset - 2 * onset[0] + 50), 4000]),
        np.array([9, *(2 * offset - 2 * onset[0] + 50), 4100]),
        np.array([pitch[0] + 4 - before, *(pitch + 4), pitch[-1] + 4 - after]) % 128,
        np.array([3, *velocity[::-1], 3]),
    )
    _, _, [passages] = novelty([encode(disguised)], [], training, VOCABULARY)
    found = passages["transposed"]
    assert (found["notes"], found["source"]) == (30, "2.mid")
    assert found["seconds"] == pytest.approx((onset[-1] - onset[0]) * 2 / 100)
    assert found["source_at"] == pytest.approx(onset[0] / 100)
    assert found["at"] == 0.5
    assert passages["copied"]["notes"] < 3


def test_what_shares_nothing_has_copied_nothing(training):
    nothing = longest_copies([np.array([], dtype=int)], training["events"], training["path"], VOCABULARY, False)
    assert (nothing[0].events, nothing[0].source) == (0, "")
    ours, theirs, _ = novelty([[VOCABULARY.end]], [training["events"][0]], training, VOCABULARY)
    assert [ours[name][0][0] for name in ("copied_events", "transposed_notes")] == [0, 0]
    assert theirs["copied_events"][0] == len(training["events"][0])
    assert theirs["transposed_notes"][0] == 60


def test_copies_are_measured_window_by_window(training):
    own = encode(one_piano(*notes(99, size=400)))
    piece = [*own, *training["events"][1]]
    cut = windows(np.array(piece), VOCABULARY)
    assert np.concatenate(cut).tolist() == piece[: sum(map(len, cut))]
    passed = seconds(piece)
    assert passed[len(cut[0]) - 1] < WINDOW / 100 <= passed[len(cut[0])]
    assert len(cut) == window_count(passed[-1] * 100) > 2
    ours, _, _ = novelty([piece], [], training, VOCABULARY)
    copied = [values.item() for values in ours["copied_events"]]
    assert max(copied[:-1]) < 12 < copied[-1] == len(training["events"][1]) - (len(piece) - sum(map(len, cut)))
