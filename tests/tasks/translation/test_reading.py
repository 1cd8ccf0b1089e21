"""Translation rows from every usual shape."""

import pytest
from datasets import Dataset, Features, Translation

from shared.data.loading import load_files
from shared.errors import UserError
from tasks.translation.reading import read_translation_files, translation_rows

PAIRS = [{"source": "Hi.", "target": "Hallo!"}, {"source": "Go.", "target": "Geh."}]


def test_columns():
    rows = Dataset.from_dict({"id": [1, 2], "en": ["Hi. ", "Go."], "de": ["Hallo!", "Geh."]})
    assert translation_rows(rows, "en", "de").to_list() == PAIRS
    assert translation_rows(rows, "de", "en")[0] == {"source": "Hallo!", "target": "Hi."}


def test_the_hubs_translation_feature():
    pairs = [{"en": "Hi.", "de": "Hallo!"}, {"en": "Go.", "de": "Geh."}]
    features = Features({"translation": Translation(["en", "de"])})
    rows = Dataset.from_dict({"translation": pairs}, features=features)
    assert translation_rows(rows, "en", "de").to_list() == PAIRS


def test_pairs_that_lack_a_side_are_skipped(write, caplog):
    lines = ['{"en": "Hi.", "de": "Hallo!"}', '{"en": "Go.", "de": "Geh."}', '{"en": "x"}', '{"en": "x", "de": "\\t"}']
    path = write("a.jsonl", "".join(f'{{"translation": {line}}}\n' for line in lines) + '{"translation": null}\n')
    assert translation_rows(load_files([path], "train"), "en", "de").to_list() == PAIRS
    assert "3 of 5 rows are empty" in caplog.text


def test_parallel_text(write):
    first = [write("a.en", "Hi.\n\n"), write("a.de", "Hallo!\nleer\n")]
    second = [write("b.de", "Geh.\n"), write("b.en", "Go.")]
    rows = read_translation_files(first + second, "train")
    assert sorted(rows.column_names) == ["de", "en"]
    assert translation_rows(rows, "en", "de").to_list() == PAIRS


def test_parallel_text_of_unequal_length_names_both_files_and_counts(write):
    paths = [write("a.en", "Hi.\nGo.\n"), write("a.de", "Hallo!\n")]
    with pytest.raises(UserError, match=r"a\.en has 2 lines, .*a\.de has 1; "):
        read_translation_files(paths, "train")


@pytest.mark.parametrize(
    "names",
    [["a.en"], ["a.en", "b.en"], ["a.en", "a.de", "a.fr"], ["a.en", "a.de", "b.en"], ["a.en", "a.de", "b.en", "b.fr"]],
)
def test_parallel_text_comes_in_pairs(write, names):
    with pytest.raises(UserError, match=r"or parallel text in pairs named by two languages, like train\.en train\.de"):
        read_translation_files([write(name, "x\n") for name in names], "train")


def test_other_files_are_read_by_their_suffix(write):
    rows = read_translation_files([write("a.csv", "en,de\nHi.,Hallo!\n")], "train")
    assert translation_rows(rows, "en", "de").to_list() == PAIRS[:1]
    with pytest.raises(UserError, match=r"unknown suffix '\.en'"):
        read_translation_files([write("b.csv", "en,de\n"), write("a.en", "x")], "train")


def test_unknown_languages_list_what_there_is(write):
    rows = load_files([write("a.jsonl", '{"translation": {"en": "Hi.", "de": "Hallo!"}}\n')], "train")
    with pytest.raises(UserError, match=r"a\.jsonl: no --source_lang 'fr'; found: en, de"):
        translation_rows(rows, "fr", "de")
    with pytest.raises(UserError, match=r"no --target_lang 'fr'; found: id, en"):
        translation_rows(Dataset.from_dict({"id": [1], "en": ["Hi."]}), "en", "fr")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"en": "Hi.", "de": 4}', r"row 2: column 'de' holds '4' \(int\), not text"),
        ('{"en": ["Hi."], "de": "Hallo!"}', r"row 2: column 'en' holds .* \(list\), not text"),
    ],
)
def test_anything_but_text_names_the_row(write, line, message):
    path = write("a.jsonl", '{"en": "Hi.", "de": "Hallo!"}\n' + line + "\n")
    with pytest.raises(UserError, match=message):
        translation_rows(load_files([path], "train"), "en", "de")
    path = write("b.jsonl", '{"translation": {"en": "Hi.", "de": "Hallo!"}}\n{"translation": ' + line + "}\n")
    with pytest.raises(UserError, match=message):
        translation_rows(load_files([path], "train"), "en", "de")


def test_a_pair_that_is_none_names_the_row(write):
    path = write("a.jsonl", '{"translation": {"en": "Hi.", "de": "Hallo!"}}\n{"translation": "Hi."}\n')
    with pytest.raises(UserError, match=r"row 2: column 'translation' holds 'Hi.', not a pair"):
        translation_rows(load_files([path], "train"), "en", "de")


def test_all_rows_empty():
    rows = Dataset.from_dict({"en": ["Hi.", None], "de": [" ", "x"]})
    with pytest.raises(UserError, match="all 2 rows are empty"):
        translation_rows(rows, "en", "de")
