"""Rows of text from articles with sections, WikiText's raw files and any two columns."""

import json

import pytest
from datasets import Dataset

from shared.data.loading import load_files, origin
from shared.errors import UserError
from tasks.articles.reading import article_files, article_rows, wikitext_articles

ARTICLE = {
    "title": "Lobster",
    "lead": "A lobster is a crustacean.",
    "sections": [
        {"heading": "Body", "paragraphs": ["It has claws.", "It is blue."]},
        {"heading": "Life", "paragraphs": []},
        {"heading": None, "paragraphs": ["It is long."]},
    ],
}
ROW = {
    "title": "Lobster",
    "document": "Lobster\nBody\nIt has claws.\nIt is blue.\nLife\nIt is long.",
    "body": "It has claws.\nIt is blue.\n\nIt is long.",
    "summary": "A lobster is a crustacean.",
}
# Each line of these files begins and ends with a blank.
WIKITEXT = """
= Lobster =

A lobster is a crustacean .
It is known .

= = Body = =


= = = Claws = = =

The circuit has inductance L
= 1 henry and capacitance C =
1 farad .

= No lead =

= = Body = =

Text .

= No body =

A lead .

= = Heading only = =

""".replace("\n", " \n ")


@pytest.fixture
def read(tmp_path):
    def read(name, contents):
        (tmp_path / name).write_text(contents, encoding="utf-8")
        return load_files([str(tmp_path / name)], "train")

    return read


def test_title_lead_and_sections(read, caplog):
    articles = [
        ARTICLE,
        ARTICLE | {"lead": " "},
        ARTICLE | {"sections": []},
        ARTICLE | {"sections": [{"heading": "x", "paragraphs": [""]}]},
    ]
    rows = read("a.jsonl", "".join(json.dumps(article) + "\n" for article in articles))
    assert article_rows(rows).to_list() == [ROW]
    assert "3 of 4 rows are empty" in caplog.text


def test_wikitexts_raw_files(read, caplog):
    row = {
        "title": "Lobster",
        "document": "Lobster\nBody\nClaws\nThe circuit has inductance L\n= 1 henry and capacitance C =\n1 farad .",
        "body": "The circuit has inductance L\n= 1 henry and capacitance C =\n1 farad .",
        "summary": "A lobster is a crustacean .\nIt is known .",
    }
    assert article_rows(read("wiki.raw", WIKITEXT)).to_list() == [row]
    assert "2 of 3 rows are empty" in caplog.text


def test_a_second_wikitext_file_may_begin_with_its_title(tmp_path):
    contents = [f" = {title} = \n \n The lead . \n \n = = Part = = \n \n It is {title} . " for title in "AB"]
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path, text in zip(paths, contents, strict=True):
        path.write_text(text, encoding="utf-8")
    rows = article_files([str(path) for path in paths], "train")
    assert origin(rows) == ", ".join(map(str, paths))
    assert article_rows(rows)["body"] == ["It is A .", "It is B ."]
    found = article_files([str(path) for path in reversed(paths)], "train")
    assert article_rows(found)["title"] == ["B", "A"]


def test_wikitexts_lines_as_on_the_hub():
    lines = [line.strip() and line + "\n" for line in WIKITEXT.splitlines()]
    assert [article["title"] for article in wikitext_articles([None, *lines, None])][:1] == ["Lobster"]
    assert [article["title"] for article in wikitext_articles(lines)] == ["Lobster", "No lead", "No body"]


def test_any_two_columns():
    rows = Dataset.from_dict({"article": ["A long text.", None], "highlights": ["Short.", "x"]})
    expected = [{"title": "", "document": "A long text.", "body": "A long text.", "summary": "Short."}]
    assert article_rows(rows, "article", "highlights").to_list() == expected
    rows = rows.add_column("title", ["News", "News"])
    assert article_rows(rows, "article", "highlights")[0]["title"] == "News"


def test_missing_columns_list_what_there_is():
    rows = Dataset.from_dict({"article": ["x"], "lead": ["x"]})
    with pytest.raises(UserError, match="no --text_column 'body'; found: article, lead"):
        article_rows(rows, "body", "lead")
    with pytest.raises(UserError, match="no --summary_column ''; found: article, lead"):
        article_rows(rows, text_column="article")
    with pytest.raises(UserError, match="no column 'sections'; found: article, lead; name two"):
        article_rows(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lead": 5}, r"row 2: column 'lead' holds '5' \(int\), not text"),
        ({"sections": "text"}, r"row 2: column 'sections' needs a list of"),
        ({"sections": ["text"]}, r"row 2: column 'sections' needs a list of"),
        ({"sections": 7}, r"row 2: column 'sections' needs a list of"),
        ({"sections": [{"heading": "x"}]}, r"row 2: column 'sections' needs a list of"),
        ({"sections": [{"heading": "x", "paragraphs": "text"}]}, r"row 2: column 'sections' needs a list of"),
        ({"sections": [{"heading": "x", "paragraphs": [5]}]}, r"row 2: column 'paragraphs' holds '5'"),
    ],
)
def test_anything_but_text_names_the_row(read, change, message):
    rows = read("a.jsonl", json.dumps(ARTICLE) + "\n" + json.dumps(ARTICLE | change) + "\n")
    with pytest.raises(UserError, match=r"a\.jsonl, " + message):
        article_rows(rows)


def test_no_article_in_the_lines(read):
    with pytest.raises(UserError, match=r"a\.txt: no article, which WikiText begins with a line ' = Title = '"):
        article_rows(read("a.txt", "some text\nwithout titles\n"))


def test_all_articles_empty(read):
    with pytest.raises(UserError, match="all 1 rows are empty"):
        article_rows(read("a.raw", "\n = Title = \n\n A lead . \n"))


def test_each_section_is_a_row_with_its_heading():
    rows = article_rows(Dataset.from_list([ARTICLE, ARTICLE | {"title": "Crab"}]), by_section=True)
    body = "It has claws.\nIt is blue."  # what has no heading or no paragraph is left out
    documents = [f"{ARTICLE['title']}\n{body}", f"Crab\n{body}"]
    assert list(rows) == [{"title": "", "document": text, "body": body, "summary": "Body"} for text in documents]
    with pytest.raises(UserError, match="--unit section divides articles"):
        article_rows(Dataset.from_list([ARTICLE]), "lead", "title", by_section=True)
    with pytest.raises(UserError, match="column 'sections' needs a list"):
        article_rows(Dataset.from_list([ARTICLE | {"sections": [{"heading": "x"}]}]), by_section=True)
