import json
import sys
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UserError
from tasks.midi import sample as chorales
from tasks.midi.codec import decode
from tasks.midi.sample import VELOCITIES, families, perform, read_chorale, read_chorales, split_families

MELODY = [60, 62, 64, 65, 67, 65, 64, 62, 64, 60, 59, 60, 67, 69, 71, 72]


def row(pitches, title, length=1.0):
    soprano = [(at * length, (at + 1) * length, pitch) for at, pitch in enumerate(pitches)]
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
    voices = {"Soprano": [(0, 1, 72), (1, 3, 74)], "Alto": [(0, 3, 67)], "Tenor": [(0, 3, 67)], "Bass": [(1, 1.25, 48)]}
    notes = decode(perform(voices, VELOCITIES)).tracks[0].notes
    assert [(n.start, n.end, n.pitch, n.velocity) for n in notes] == [
        (0, 240, 67, 67), (0, 80, 72, 79), (80, 100, 48, 71), (80, 240, 74, 79),
    ]  # fmt: skip


def test_without_music21_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(UserError, match=r"pip install -e .\[music21\]"):
        read_chorales(tmp_path)


def test_a_chorale_of_the_corpus():
    pytest.importorskip("music21")
    chorale = read_chorale("bach/bwv269")  # "Aus meines Herzens Grunde", the first of the edition
    notes = decode(chorale["events"]).tracks[0].notes
    assert [n.pitch for n in notes if n.start == 0] == [43, 59, 62, 67]  # an upbeat in G major
    melody = [n.pitch for n in decode(chorale["melody"]).tracks[0].notes]
    assert melody[:6] == [67, 67, 74, 71, 69, 67]
    assert len(decode(chorale["events"]).tracks[0].notes) > 4 * len(melody)


def test_what_was_read_is_kept(tmp_path, monkeypatch):
    pytest.importorskip("music21")
    read = []

    def read_edition(titles):
        read.append(len(titles))
        return [{"path": path, "events": [5], **row(MELODY, title)} for path, title in titles.items()]

    monkeypatch.setattr(chorales, "_read_edition", read_edition)
    monkeypatch.setattr(chorales, "families", lambda rows: [[index] for index in range(len(rows))])
    first, second = read_chorales(tmp_path), read_chorales(tmp_path)
    assert read == [350]
    assert {split: len(first[split]) for split in first} == {"train": 280, "validation": 35, "test": 35}
    assert first["test"].to_list() == second["test"].to_list()
    assert len(json.loads(next(tmp_path.glob("*.json")).read_text())) == 350
