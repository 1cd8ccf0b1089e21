import json
import lzma
import sys
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.midi import corpus
from tasks.midi.codec import decode
from tasks.midi.corpus import read_score, titles
from tasks.midi.sample import QUARTER, SCORES, VELOCITIES, families, perform, read_chorales, split_families

MELODY = [60, 62, 64, 65, 67, 65, 64, 62, 64, 60, 59, 60, 67, 69, 71, 72]


def row(pitches, title, length=1.0):
    ticks = round(length * QUARTER)
    soprano = [(at * ticks, (at + 1) * ticks, pitch) for at, pitch in enumerate(pitches)]
    return {"title": title, "melody": perform({"Soprano": soprano}, ["Soprano"])}


def test_a_melody_is_known_by_its_beats_in_any_key_or_by_its_title():
    transposed = [pitch + 5 for pitch in MELODY]
    with_passing_notes = [pitch + extra for pitch in MELODY for extra in (0, 1)]
    late = [72, 67, 72, 67, *MELODY[3:14], 50]
    other = [60 + 7 * at % 13 for at in range(16)]
    rows = [
        row(MELODY, "Wachet auf"),
        row(other, "Jesu, meine Freude"),
        row(transposed, "Christ lag"),
        row(with_passing_notes, "Nun danket", length=0.5),
        row(late, "Vom Himmel hoch"),
        row(other[::-1], "Jesu, Meine Freude’"),
        row([*MELODY[:10], 40, 90, 40], "Ein feste Burg"),  # ten beats in common are not enough
    ]
    assert families(rows) == [[0, 2, 3, 4], [1, 5], [6]]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=150))
def test_families_stay_together(sizes):
    numbers = iter(range(sum(sizes)))
    members = [[next(numbers) for _ in range(size)] for size in sizes]
    splits = split_families(members)
    assert sorted(chain(*splits.values())) == list(range(sum(sizes)))
    assert max(len(splits["test"]), len(splits["validation"])) <= sum(sizes) / 10
    for family in members:
        assert sum(set(family) <= set(part) for part in splits.values()) == 1
    assert split_families(members) == splits


def test_voices_are_played_together():
    voices = {
        "Soprano": [(0, 80, 72), (80, 240, 74)],
        "Alto": [(0, 240, 67)],
        "Tenor": [(0, 240, 67)],
        "Bass": [(80, 100, 48)],
    }
    notes = decode(perform(voices, VELOCITIES)).tracks[0].notes
    assert [(n.start, n.end, n.pitch, n.velocity) for n in notes] == [
        (0, 240, 67, 67), (0, 80, 72, 79), (80, 100, 48, 71), (80, 240, 74, 79),
    ]  # fmt: skip


def test_the_sample_needs_no_music21(monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    splits = read_chorales()
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 280, "validation": 35, "test": 35}
    assert len({*chain(*(rows["path"] for rows in splits.values()))}) == 350


# The first of the edition; one with tied notes and instruments; one of which the corpus has several versions.
@pytest.mark.parametrize("name", ["bach/bwv269", "bach/bwv248.59-6", "bach/bwv8.6"])
def test_the_scores_are_those_of_music21s_corpus(name):
    pytest.importorskip("music21")
    found = titles()
    with lzma.open(SCORES, "rt", encoding="utf-8") as file:
        scores = {score["path"]: score for score in json.load(file)}
    assert {path: score["title"] for path, score in scores.items()} == found
    read = read_score(name)
    assert {voice: [*map(tuple, notes)] for voice, notes in scores[name]["voices"].items()} == read
    assert all(len(notes) > 20 for notes in read.values())


def test_the_first_chorale_of_the_edition():
    chorale = next(row for rows in read_chorales().values() for row in rows if row["path"] == "bach/bwv269")
    notes = decode(chorale["events"]).tracks[0].notes
    assert [n.pitch for n in notes if n.start == 0] == [43, 59, 62, 67]  # an upbeat in G major
    melody = [n.pitch for n in decode(chorale["melody"]).tracks[0].notes]
    assert melody[:6] == [67, 67, 74, 71, 69, 67]
    assert len(decode(chorale["events"]).tracks[0].notes) > 4 * len(melody)


def test_the_scores_stay_until_all_are_read_anew(monkeypatch, tmp_path):
    scores = tmp_path / "chorales.json.xz"
    scores.write_bytes(b"as they were")
    monkeypatch.setattr(corpus, "SCORES", scores)
    monkeypatch.setattr(sys, "argv", ["corpus"])

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(corpus, "read_edition", interrupted)
    with pytest.raises(KeyboardInterrupt):
        corpus.main()
    assert scores.read_bytes() == b"as they were"
    monkeypatch.setattr(corpus, "read_edition", lambda: [{"title": "Größe"}])
    corpus.main()
    assert json.loads(lzma.decompress(scores.read_bytes())) == [{"title": "Größe"}]
