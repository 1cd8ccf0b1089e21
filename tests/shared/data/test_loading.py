"""Reading rows: every format, and every fault as one line that names the file, the line and the way out."""

import bz2
import gzip
import json
import lzma
import os

import datasets
import pytest
from datasets import Dataset, DatasetDict

from shared.data.arguments import TextDataArguments
from shared.data.loading import (
    clean_text,
    convert_rows,
    format_suffix,
    hold_out_validation,
    load_files,
    load_rows,
    load_text_rows,
    origin,
)
from shared.errors import UserError

ROWS = [{"en": "Hi.", "de": "Hallo!"}, {"en": "Go.", "de": 'Geh, "müde"!'}]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("a.jsonl", JSONL),
        ("a.json", JSONL),
        ("array.json", json.dumps(ROWS, indent=1)),
        ("bom.jsonl", b"\xef\xbb\xbf" + JSONL),
        ("blank lines [1]*.jsonl", JSONL.replace(b"\n", b"\n\n")),
        ("a.csv", 'en,de\nHi.,Hallo!\nGo.,"Geh, ""müde""!"\n'),
        ("bom.csv", '\ufeffen,de\nHi.,Hallo!\nGo.,"Geh, ""müde""!"\n'),
        ("a.tsv", 'en\tde\nHi.\tHallo!\nGo.\tGeh, "müde"!\n'),
        ("a.jsonl.xz", lzma.compress(JSONL)),
        ("a.jsonl.gz", gzip.compress(JSONL)),
        ("a.JSONL.bz2", bz2.compress(JSONL)),
    ],
    ids=lambda value: value if str(value).startswith(("a.", "array", "bom", "blank")) else "",
)
def test_every_format_gives_the_same_rows(write, name, contents):
    assert load_files([write(name, contents)], "train").to_list() == ROWS


def test_parquet(tmp_path):
    Dataset.from_list(ROWS).to_parquet(tmp_path / "a.parquet")
    assert load_files([str(tmp_path / "a.parquet")], "train").to_list() == ROWS


def test_text_lines_and_documents(write):
    paths = [write("a.txt", "\ufeffone\r\n\n two \n"), write("b.raw.gz", gzip.compress(b"three"))]
    assert load_files(paths[:1], "train")["text"][:] == ["one", "", " two "]
    with pytest.raises(UserError, match="several formats"):
        load_files(paths, "train")
    paths[1] = write("c.txt", "three")
    assert load_files(paths, "train", sample_by="document")["text"][:] == ["\ufeffone\n\n two \n"[1:], "three"]


def test_words_that_pandas_takes_for_missing_or_numbers_stay_text(write):
    rows = load_files([write("a.csv", "en,de\nNA,null\n1,007\nx,\n")], "train")
    assert rows.to_list() == [{"en": "NA", "de": "null"}, {"en": "1", "de": "007"}, {"en": "x", "de": ""}]


def test_a_long_article_in_a_csv(write):
    assert len(load_files([write("a.csv", "text,summary\n" + "a" * 200_000 + ",b\n")], "train")[0]["text"]) == 200_000


def test_a_changed_file_is_read_again(write):
    path = write("a.jsonl", JSONL)
    assert len(load_files([path], "train")) == 2
    write("a.jsonl", JSONL * 2)
    os.utime(path, (1, 1))
    assert len(load_files([path], "train")) == 4


FAULTS = {
    "empty.jsonl": (b"", "empty.jsonl: is empty"),
    "blank.jsonl": (b"\n\n", "blank.jsonl: "),
    "header.csv": ("en,de\n", "header.csv: "),
    "unnamed.csv": (",en,de\n0,a,b\n", r"unnamed\.csv, line 1: column 1 has no name"),
    "a.xlsx": (b"PK", r"unknown suffix '\.xlsx'; known: \.json \.jsonl"),
    "no_suffix": (b"x", "unknown suffix ''"),
    "broken.jsonl": (JSONL + b'{"en": "x",\n' + JSONL, r"broken\.jsonl, line 3: is not JSON: .*give one \{…\}"),
    "broken.jsonl.xz": (lzma.compress(JSONL + b"{"), r"broken\.jsonl\.xz, line 3: is not JSON"),
    "broken.json": (json.dumps(ROWS, indent=1).encode()[:-3], r"broken\.json, line \d+: is not JSON"),
    "strings.jsonl": (JSONL + b'"x"\n', r"strings\.jsonl, line 3: is not a JSON object"),
    "latin.jsonl": (JSONL + '{"en": "ü"}\n'.encode("latin-1"), r"latin\.jsonl, line 3: is not UTF-8 \(byte 0xfc\)"),
    "latin.csv": ("en,de\na,b\nü,d\n".encode("latin-1"), r"latin\.csv, line 3: is not UTF-8 .*iconv"),
    "latin.tsv": ("ü\tde\na\tb\n".encode("latin-1"), r"latin\.tsv, line 1: is not UTF-8"),
    "latin.txt": ("a\nü\n".encode("latin-1"), r"latin\.txt, line 2: is not UTF-8"),
    "utf16.jsonl": (JSONL.decode().encode("utf-16"), r"utf16\.jsonl, line 1: is not UTF-8"),
    "twice.csv": ("en,de,en\na,b,c\n", r"twice\.csv, line 1: two columns are called 'en'; give each its own name"),
    "shifted.csv": ("en,de\na, b,c\n", r"shifted\.csv, line 2: 3 fields under 2 column names"),
    "ragged.csv": ("en,de\na,b\nc,d,e\n", r"ragged\.csv, line 3: 3 fields under 2 column names"),
    "bad.parquet": (b"abc", r"bad\.parquet: cannot be read as parquet"),
    "cut.jsonl.xz": (lzma.compress(JSONL * 9)[:50], r"cut\.jsonl\.xz: cannot be read"),
    "cut.jsonl.gz": (gzip.compress(JSONL * 9)[:50], r"cut\.jsonl\.gz: cannot be read"),
    "no.csv.gz": (b"en,de\n", r"no\.csv\.gz: cannot be read: Not a gzipped file"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_in_files_are_one_line(write, name, capfd):
    contents, message = FAULTS[name]
    with pytest.raises(UserError, match=message) as error:
        load_files([write(name, contents)], "train")
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""  # no log of datasets beside it


def test_bad_bytes_beyond_what_the_json_builder_checks(write):
    line = json.dumps({"en": "a" * 100_000}).encode() + b"\n"
    path = write("a.jsonl", line * 110 + b'{"en": "\xfc"}\n')
    with pytest.raises(UserError, match=r"a\.jsonl, line 111: is not UTF-8"):
        load_files([path], "train")


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(UserError, match=r"no/such\.csv: no such file"):
        load_files(["no/such.csv"], "train")
    with pytest.raises(UserError, match="is a folder; give its files, or --dataset_name"):
        load_files([str(tmp_path)], "train")


@pytest.mark.parametrize(
    ("suffix", "first", "second", "message"),
    [
        ("csv", "en,de\nx,y\n", "en,fr\nx,y\n", r"b\.csv, line 1: the columns are en, fr, but .*a\.csv are en, de"),
        ("tsv", "en\tde\nx\ty\n", "en\nx\n", r"b\.tsv, line 1: the columns are en, but .*a\.tsv are en, de"),
        ("jsonl", '{"en": "x"}\n', '{"fr": "x"}\n', r"b\.jsonl, row 1: has a column 'fr', but .* has only en"),
        ("json", '[{"en": "x"}]', '[{"en": "x"}, {"fr": "x"}]', r"b\.json, row 2: has a column 'fr', but .* only en"),
        ("json", "[]", '[{"en": "x"}, {"fr": "x"}]', r"b\.json, row 2: has a column 'fr', but .* only en"),
    ],
)
def test_files_that_differ_in_columns(write, suffix, first, second, message):
    with pytest.raises(UserError, match=f"{message}; give all .* of a split the same columns"):
        load_files([write(f"a.{suffix}", first), write(f"b.{suffix}", second)], "train")


def test_columns_may_stand_in_another_order(write):
    paths = [write("a.csv", "en,de\nHi.,Hallo!\n"), write("b.csv", "de,en\nHallo!,Hi.\n")]
    assert load_files(paths, "train").to_list() == ROWS[:1] * 2


def test_rows_that_differ_in_columns_beyond_those_of_which_the_json_builder_takes_them(write):
    line = json.dumps({"en": "a" * 100_000}).encode() + b"\n"
    with pytest.raises(UserError, match=r"a\.jsonl, row 251: has a column 'fr', but .* has only en; give all"):
        load_files([write("a.jsonl", line * 250 + b'{"en": "x", "fr": "y"}\n')], "train")


def test_zst_says_what_to_install(write, monkeypatch):
    monkeypatch.setattr(datasets.config, "ZSTANDARD_AVAILABLE", False)
    with pytest.raises(UserError, match="pip install zstandard"):
        load_files([write("a.jsonl.zst", b"x")], "train")


def test_read_rows_has_the_given_splits(write):
    path = write("a.jsonl", JSONL)
    rows = load_rows(train_file=[path, path], test_file=path)
    assert {split: len(part) for split, part in rows.items()} == {"train": 4, "test": 2}
    assert origin(rows["test"]) == path


def test_read_rows_wants_files_or_a_name(write):
    with pytest.raises(UserError, match="give --train_file"):
        load_rows()
    with pytest.raises(UserError, match="--dataset_name x and --test_file: give only one"):
        load_rows(dataset_name="x", test_file="y")


def test_a_folder_in_the_hubs_layout(write, tmp_path):
    (tmp_path / "set" / "big").mkdir(parents=True)
    write("set/README.md", "---\nconfigs:\n- config_name: big\n  data_dir: big\n---\n")
    write("set/big/train.jsonl", JSONL)
    write("set/big/validation.jsonl", JSONL)
    rows = load_rows(dataset_name=str(tmp_path / "set"), dataset_config_name="big")
    assert {split: part.to_list() for split, part in rows.items()} == {"train": ROWS, "validation": ROWS}
    with pytest.raises(UserError, match=r"set' could not be loaded: .*'small' not found.*--dataset_config_name"):
        load_rows(dataset_name=str(tmp_path / "set"), dataset_config_name="small")


def test_a_hub_name_without_network(monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"hub data set 'no/such' could not be loaded: .*--train_file.*connection"):
        load_rows(dataset_name="no/such")


def test_validation_is_a_seeded_share_of_training(caplog):
    rows = DatasetDict(train=Dataset.from_dict({"text": [str(i) for i in range(100)]}))
    split = hold_out_validation(rows, percentage=10, seed=1)
    assert (len(split["train"]), len(split["validation"])) == (90, 10)
    assert {*split["train"]["text"], *split["validation"]["text"]} == {*rows["train"]["text"]}
    assert split["validation"]["text"][:] == hold_out_validation(rows, 10, 1)["validation"]["text"][:]
    assert split["validation"]["text"][:] != hold_out_validation(rows, 10, 2)["validation"]["text"][:]
    assert "10 of 100 training rows (10 %, seed 1)" in caplog.text
    assert hold_out_validation(split) is split


def test_validation_that_cannot_be_held_out():
    rows = DatasetDict(train=Dataset.from_dict({"text": ["one"]}))
    with pytest.raises(UserError, match="give --validation_file"):
        hold_out_validation(rows)
    with pytest.raises(UserError, match="--validation_split_percentage 100"):
        hold_out_validation(rows, percentage=100)
    with pytest.raises(UserError, match=r"--validation_split_percentage 95: of 10 .* one side empty"):
        hold_out_validation(DatasetDict(train=Dataset.from_dict({"text": [*"abcdefghij"]})), percentage=95)


def test_convert_rows_skips_counts_and_names_the_row(write, caplog):
    rows = load_files([write("a.jsonl", '{"a": " x "}\n{"a": null}\n{"a": " "}\n')], "train")

    def convert(row):
        text = clean_text(row["a"], "a")
        return {"text": text} if text else None

    assert convert_rows(rows, convert, ["text"]).to_list() == [{"text": "x"}]
    assert "2 of 3 rows are empty" in caplog.text
    with pytest.raises(UserError, match=r"a\.jsonl: all 2 rows are empty"):
        convert_rows(rows.select([1, 2]), convert, ["text"]).to_list()
    rows = load_files([write("b.jsonl", '{"a": "x"}\n{"a": 5}\n')], "train")
    with pytest.raises(UserError, match=r"b\.jsonl, row 2: column 'a' holds '5' \(int\), not text"):
        convert_rows(rows, convert, ["text"])


@pytest.mark.parametrize(
    ("path", "suffix"), [("a.en.jsonl.xz", ".jsonl"), ("a.en.gz", ".en"), ("a.zh_Hans", ".zh_Hans"), ("a", "")]
)
def test_format_suffix(path, suffix):
    assert format_suffix(path) == suffix


def test_a_task_reads_its_sample_or_the_files_named_and_holds_out_a_validation_split(write):
    sample = lambda: {"train": [{"text": "a"}] * 4, "validation": [{"text": "b"}]}  # noqa: E731
    convert = lambda rows: rows.map(lambda row: {"text": row["text"] * 2}, load_from_cache_file=False)  # noqa: E731
    embedded = load_text_rows(TextDataArguments(), sample, convert)
    assert {split: list(rows["text"]) for split, rows in embedded.items()} == {
        "train": ["aa"] * 4,
        "validation": ["bb"],
    }
    path = write("lines.txt", "x\ny\nx\ny\n")
    named = load_text_rows(TextDataArguments(train_file=[path], validation_split_percentage=50), sample, convert)
    assert sorted([*named["train"]["text"], *named["validation"]["text"]]) == ["xx", "xx", "yy", "yy"]
    assert len(named["validation"]) == 2
