import pickle
from itertools import chain

import numpy as np
import pytest

from shared.errors import UserError
from tasks.midi.codec import encode, one_piano, performance, save
from tasks.music import reading
from tasks.music.reading import read_folder

MAESTRO = "canonical_composer,canonical_title,split,year,midi_filename,audio_filename,duration\n"


def write_piece(path, pitch=60):
    path.parent.mkdir(parents=True, exist_ok=True)
    times = [[0, 50], [40, 90], [pitch, pitch + 4], [64, 80]]
    save(one_piano(*map(np.array, times)), path)


@pytest.fixture
def folder(tmp_path):
    for index in range(20):
        write_piece(tmp_path / f"{index % 3}" / f"piece {index}.{['mid', 'MID', 'midi'][index % 3]}", 40 + index)
    (tmp_path / "notes.txt").write_text("no music")
    return tmp_path


def paths(rows):
    return {split: list(rows[split]["path"]) for split in rows}


def test_a_folder_is_split_at_random_and_always_the_same(folder):
    rows, skipped = read_folder(folder)
    assert {split: len(rows[split]) for split in rows} == {"train": 16, "validation": 2, "test": 2}
    assert skipped == []
    assert sorted(chain(*paths(rows).values())) == sorted(str(path) for path in folder.rglob("*.[mM]*"))
    assert paths(read_folder(folder)[0]) == paths(rows)
    assert paths(read_folder(folder, seed=1)[0]) != paths(rows)
    for row in rows["test"]:
        assert row["events"] == encode(performance(row["path"]))


def test_unreadable_files_are_skipped_and_named(folder):
    (folder / "0" / "bad.mid").write_bytes(b"no music")
    rows, skipped = read_folder(folder)
    assert sum(map(len, rows.values())) == 20
    assert len(skipped) == 1
    assert str(folder / "0" / "bad.mid") in skipped[0]


def test_splits_csv(folder):
    table = "path,composer,split\n0/piece 0.mid,A,test\n1/piece 1.MID,B,validation\n2/piece 2.midi,A,train\n"
    (folder / "splits.csv").write_text(table, encoding="utf-8-sig")
    rows, _ = read_folder(folder)
    assert paths(rows) == {
        "train": [str(folder / "2/piece 2.midi")],
        "validation": [str(folder / "1/piece 1.MID")],
        "test": [str(folder / "0/piece 0.mid")],
    }


def test_maestro_csv(folder):
    lines = [
        '"Bach, J.S.",Fugue,train,2004,0/piece 0.mid,x.wav,1.0',
        "Berg,Sonata,validation,2006,1/piece 1.MID,x.wav,1.0",
        "Liszt,Sonata,test,2008,2/piece 2.midi,x.wav,1.0",
    ]
    (folder / "maestro-v3.0.0.csv").write_text(MAESTRO + "\n".join(lines))
    rows, _ = read_folder(folder)
    assert paths(rows)["validation"] == [str(folder / "1/piece 1.MID")]
    assert [len(rows[split]) for split in rows] == [1, 1, 1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path\n0/piece 0.mid\n", "line 1: no column 'split'"),
        ("", "line 1: no column 'path'"),
        ("path,split\n0/piece 0.mid,train\n0/gone.mid,test\n", "line 3: no such file: .*gone.mid"),
        ("path,split\n0/piece 0.mid,dev\n", "line 2: unknown split 'dev'"),
        ("path,split\n0/piece 0.mid\n", "line 2: unknown split 'None'"),
        ("path,split\n0/piece 0.mid,train\n0/piece 0.mid,test\n", "line 3: names .* again"),
        ("path,split\n0/piece 0.mid,train\n", "no MIDI file for the validation split; give more"),
    ],
)
def test_a_fault_in_the_table_is_named_with_its_line(folder, table, message):
    (folder / "splits.csv").write_text(table)
    with pytest.raises(UserError, match=message) as caught:
        read_folder(folder)
    assert str(folder) in str(caught.value)


def test_a_table_that_is_no_text(folder):
    (folder / "splits.csv").write_bytes(b"path,split\n\xff\xfe\n")
    with pytest.raises(UserError, match=r"splits.csv: cannot be read as CSV"):
        read_folder(folder)


def test_no_folder_no_files_or_too_few(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read_folder(tmp_path / "gone")
    with pytest.raises(UserError, match="no MIDI file for the train split"):
        read_folder(tmp_path)
    for name in ("a", "b"):
        write_piece(tmp_path / f"{name}.mid")
    with pytest.raises(UserError, match="no MIDI file for the train split; give more"):
        read_folder(tmp_path)


def test_nothing_but_unreadable_files(tmp_path):
    for index in range(3):
        (tmp_path / f"{index}.mid").write_bytes(b"no music")
    with pytest.raises(UserError, match=r"3 of 3 were skipped, first .*\.mid: not a sound MIDI file"):
        read_folder(tmp_path)


def test_rows_have_their_melodies_where_they_are_wanted(folder):
    rows, _ = read_folder(folder, with_melody=True)
    for row in rows["train"]:
        assert row["events"] == row["melody"] == encode(performance(row["path"]))  # a line of one voice
    assert "melody" not in read_folder(folder)[0]["train"].column_names


def test_what_was_read_is_kept_until_a_file_changes(folder, tmp_path_factory, monkeypatch):
    cache = tmp_path_factory.mktemp("cache")
    read_folder(folder, cache=cache)
    assert not list(cache.iterdir())  # so few files are not
    monkeypatch.setattr(reading, "KEPT", 20)
    (folder / "0" / "bad.mid").write_bytes(b"no music")
    first, skipped = read_folder(folder, cache=cache)
    read = []
    monkeypatch.setattr(reading, "performance", lambda path: read.append(path) or performance(path))
    again, skipped_again = read_folder(folder, cache=cache)
    assert not read
    assert skipped_again == skipped and len(skipped) == 1
    assert {split: list(again[split]) for split in again} == {split: list(first[split]) for split in first}

    write_piece(folder / "0" / "piece 0.mid", pitch=100)
    changed, _ = read_folder(folder, cache=cache)
    assert len(read) == 21
    events = {row["path"]: row["events"] for split in changed for row in changed[split]}
    assert events[str(folder / "0" / "piece 0.mid")] == encode(performance(folder / "0" / "piece 0.mid"))
    assert len(list(cache.iterdir())) == 1

    monkeypatch.setattr(reading, "VERSION", reading.VERSION + 1)
    read.clear()
    read_folder(folder, cache=cache)
    assert len(read) == 21


def test_many_files_are_read_by_several_processes_to_the_same_rows(folder, monkeypatch):
    alone, _ = read_folder(folder)
    chunks = []

    class Pool:
        """Counts what is handed out; to start processes would take seconds."""

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def map(self, function, *arguments):
            for chunk in zip(*arguments, strict=True):
                chunks.append(chunk)
                yield pickle.loads(pickle.dumps(function))(*pickle.loads(pickle.dumps(chunk)))

    monkeypatch.setattr(reading, "FEW", 19)
    monkeypatch.setattr(reading, "CHUNK", 3)
    monkeypatch.setattr(reading, "spawned_pool", Pool)
    monkeypatch.setattr(reading, "processors", lambda: 1)
    read_folder(folder)
    assert not chunks  # a container's quota may leave one of many
    monkeypatch.setattr(reading, "processors", lambda: 4)
    together, _ = read_folder(folder)
    assert len(chunks) == 7
    assert {split: list(together[split]) for split in together} == {split: list(alone[split]) for split in alone}


def test_where_nothing_can_be_kept_it_is_read_again(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "KEPT", 20)
    (tmp_path / "file").write_text("no folder")
    kept, _ = read_folder(folder, cache=tmp_path / "file" / "cache")
    assert kept["train"]["events"] == read_folder(folder)[0]["train"]["events"]
