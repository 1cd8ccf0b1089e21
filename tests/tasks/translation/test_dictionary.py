"""A dictionary's lines become pairs of words."""

import json

import pytest

from recipes.dictionary import main
from shared.errors import UserError
from tasks.translation.dictionary import known, pairs
from tasks.translation.texts import write_pairs

LINES = """# Version :: made for this test
Haus {n}; Gebäude {n} [arch.] | Häuser {pl} :: house; building; home | houses
jdn. grüßen {vt} :: to greet sb.
laufen {vi} (zu Fuß) | laufend :: to run /rʌn/ | running
Apfel {m} | Äpfel :: apple
 :: nothing
schnell und/oder weit {adv} :: fast and/or far
""".splitlines()


def test_forms_pair_up_and_notes_go():
    found = [*pairs(LINES)]
    assert ("houses", "Häuser") in found and ("to run", "laufen") in found and ("running", "laufend") in found
    nouns = {("a house", "ein Haus"), ("a building", "ein Haus")}, {("house", "Haus"), ("building", "Haus")}
    assert any(pair <= {*found} for pair in nouns), "with the article everywhere, or nowhere"
    assert not any("greet" in english or "apple" in english for english, _ in found), "placeholders; forms that differ"
    assert not any(mark in word for pair in found for word in pair for mark in "{}[]()"), found


def test_each_pair_comes_once():
    assert len([*pairs(LINES * 2)]) == len({*pairs(LINES)}) == len([*pairs(LINES)])


def test_only_words_that_texts_have_are_known():
    words = {"a", "house", "fast", "and", "or", "far"}
    assert known(("a house", "ein Haus"), words)
    assert not known(("houses", "Häuser"), words)
    assert not known(("fast and/or far", "schnell und/oder weit"), words), "alternatives are no translation"
    assert not known(("a house and a house", "zwei Häuser"), words), "an explanation is none either"


def test_the_recipe_keeps_what_the_texts_have(tmp_path, capsys):
    (tmp_path / "de-en").write_text("\n".join(LINES), encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text('{"en": "We run.", "de": "Wir laufen."}\n', encoding="utf-8")
    (tmp_path / "more.en").write_text("They like to be here.\n", encoding="utf-8")
    made = tmp_path / "made" / "pairs.jsonl"
    texts = [str(tmp_path / "rows.jsonl"), str(tmp_path / "more.en")]
    main([str(tmp_path / "de-en"), "--texts", *texts, "--output_file", str(made)])
    assert [json.loads(line) for line in made.read_text().splitlines()] == [{"en": "to run", "de": "laufen"}]
    assert "1 pairs of" in capsys.readouterr().out


def test_what_is_read_is_not_written_over(tmp_path):
    (tmp_path / "de-en").write_text("\n".join(LINES), encoding="utf-8")
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine.jsonl").write_text("mine")
    for name, told in {
        "de-en": "is what is read: name another",
        "folder": "is a folder: name a file in it",
        "mine.jsonl": "is there already: name another",
        "pairs.jsonl.xz": "give a name that ends in .jsonl",
    }.items():
        with pytest.raises(UserError, match=told):
            main([str(tmp_path / "de-en"), "--output_file", str(tmp_path / name)])
    assert (tmp_path / "de-en").read_text(encoding="utf-8") == "\n".join(LINES)
    assert (tmp_path / "mine.jsonl").read_text() == "mine"
    with pytest.raises(UserError, match="there are no pairs"):
        write_pairs([], tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize("content", ["no dictionary at all\n", "", "\udcff :: x"])
def test_what_is_no_dictionary_is_named(tmp_path, content):
    (tmp_path / "file").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match="file"):
        main([str(tmp_path / "file"), "--output_file", str(tmp_path / "pairs.jsonl")])
