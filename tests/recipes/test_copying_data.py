"""The probe of copying: its targets stand in its sources, and nowhere else."""

import json
from itertools import islice

import pytest

from recipes.copying_data import CopyingArguments, main, rows
from shared.errors import UserError


def test_the_target_is_what_follows_the_word_that_is_asked_for():
    for row in islice(rows(CopyingArguments(records=4, span=3)), 50):
        *records, asked = row["asked"].removesuffix("?").split("; ")
        found = dict(record.split(" ", 1) for record in records)
        assert len(found) == 4 and row["copy"] == found[asked] and len(row["copy"].split()) == 3


def test_the_same_words_stand_beside_others_in_every_row():
    drawn = list(islice(rows(CopyingArguments(words=20)), 200))
    assert len({word for row in drawn for word in row["copy"].split()}) == 20
    assert len({row["copy"] for row in drawn}) > 100
    assert (
        drawn
        == list(islice(rows(CopyingArguments(words=20)), 200))
        != list(islice(rows(CopyingArguments(seed=1)), 200))
    )


def test_three_files_are_written(tmp_path, capsys):
    main([str(tmp_path), "--rows=30", "--records=2"])
    found = {path.stem: path.read_text().splitlines() for path in tmp_path.glob("*.jsonl")}
    assert {name: len(lines) for name, lines in found.items()} == {"train": 30, "validation": 200, "test": 200}
    assert set(json.loads(found["test"][0])) == {"asked", "copy"}
    assert not set(found["test"]) & set(found["train"])
    with pytest.raises(UserError, match=r"train\.jsonl is there already: give another folder"):
        main([str(tmp_path)])
    assert (tmp_path / "train.jsonl").read_text().splitlines() == found["train"]


@pytest.mark.parametrize("flag", ["--rows=0", "--records=0", "--span=0", "--words=3", "--words=5000"])
def test_what_cannot_be_drawn_is_refused(tmp_path, flag):
    with pytest.raises(UserError, match=flag.split("=", maxsplit=1)[0]):
        main([str(tmp_path), flag])
