"""Articles in the shapes Wikipedia comes in, or any two text columns -> {"title", "document", "body", "summary"}."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from datasets import Dataset, Features, List, Value, concatenate_datasets

from shared.data.loading import FORMATS, clean_text, convert_rows, format_suffix, load_files, origin, quiet
from shared.errors import UserError

COLUMNS = ["title", "document", "body", "summary"]
SECTIONS = List({"heading": Value("string"), "paragraphs": List(Value("string"))})
ARTICLE = Features({"title": Value("string"), "lead": Value("string"), "sections": SECTIONS})
# WikiText: ` = Title = `, ` = = Section = = `, ` = = = Subsection = = = `.
HEADING = re.compile(r"\s*(=(?: =)*) (.*[^ =].*) \1\s*")


def article_files(paths: list[str], split: str) -> Dataset:
    """As `load_files`; between lines of two files stands an empty one, so that the second may begin with a title.

    Raises:
        UserError: as `load_files`.
    """
    suffixes = {format_suffix(path).lower() for path in paths}
    if len(paths) == 1 or len(suffixes) > 1 or FORMATS.get(*suffixes) != "text":
        return load_files(paths, split)
    files = [load_files([path], split) for path in paths]
    empty = Dataset.from_dict({"text": [""]}, features=files[0].features)
    joined = concatenate_datasets([part for file in files for part in (file, empty)])
    joined.info.description = ", ".join(paths)
    return joined


def article_rows(
    rows: Dataset, text_column: str | None = None, summary_column: str | None = None, by_section: bool = False
) -> Dataset:
    """Rows of text: title, document, body, summary; articles without lead or body are skipped.

    `rows` hold the two named columns (with `title`, if there is one), or `title`, `lead` and `sections` (a
    list of {"heading", "paragraphs"}), or the lines of WikiText's raw files in a column `text`. The lead, the
    text before the first section, is the summary; the document is the title, the headings and the paragraphs,
    a line each; the body is the paragraphs alone, a line each, with a blank line between two sections. What comes from
    a column is document and body at once. With `by_section` each section of an article is a row of its own: its
    document is the article's title and the section's paragraphs, its summary the heading. (Its own title is empty:
    what it tells of stands in the heading.)

    Raises:
        UserError: if columns are missing, hold anything but text, or leave no article.
    """
    found = rows.column_names
    if by_section and (text_column or summary_column):
        raise UserError("--unit section divides articles: leave out --text_column and --summary_column")
    if text_column or summary_column:
        text, summary = text_column or "", summary_column or ""
        for flag, column in (("--text_column", text), ("--summary_column", summary)):
            if column not in found:
                raise UserError(f"{origin(rows)}: no {flag} '{column}'; found: {', '.join(found)}")
        return convert_rows(rows, lambda row: _from_columns(row, text, summary), COLUMNS)
    if found == ["text"]:
        rows = _wikitext_rows(rows)
    elif missing := ARTICLE.keys() - set(found):
        raise UserError(
            f"{origin(rows)}: no column '{min(missing)}'; found: {', '.join(found)}; "
            "name two of them with --text_column and --summary_column"
        )
    if by_section:
        return convert_rows(_one_per_section(rows), _from_section, COLUMNS)
    return convert_rows(rows, _from_sections, COLUMNS)


def wikitext_articles(rows: Sequence[str | None]) -> Iterator[dict[str, Any]]:
    """The articles of WikiText's raw files (Merity et al. 2016) as {"title", "lead", "sections"}.

    A title stands between blank lines. A paragraph may be broken at a formula, and a line of it such as
    ` = 1 henry and capacitance C = ` is no title.
    """
    article: dict[str, Any] | None = None
    lines = [line or "" for line in rows]
    for index, line in enumerate(lines):
        heading = HEADING.fullmatch(line)
        neighbours = lines[max(index - 1, 0) : index] + lines[index + 1 : index + 2]
        if heading and heading[1] == "=" and any(map(str.strip, neighbours)):
            heading = None
        if heading and heading[1] == "=":
            if article:
                yield article
            article = {"title": heading[2], "lead": "", "sections": []}
        elif article and heading:
            article["sections"].append({"heading": heading[2], "paragraphs": []})
        elif article and (text := line.strip()):
            if article["sections"]:
                article["sections"][-1]["paragraphs"].append(text)
            else:
                article["lead"] += "\n" * bool(article["lead"]) + text
    if article:
        yield article


def _wikitext_rows(lines: Dataset) -> Dataset:
    with quiet():
        articles = lines.map(
            lambda batch: _columns(list(wikitext_articles(batch["text"]))),
            batched=True,
            batch_size=None,  # an article is many rows
            remove_columns=["text"],
            features=ARTICLE,
            load_from_cache_file=False,  # as in convert_rows
        )
    if not len(articles):
        raise UserError(
            f"{origin(lines)}: no article, which WikiText begins with a line ' = Title = '; "
            f"give its raw files, or rows with {', '.join(ARTICLE)}"
        )
    return articles


def _columns(articles: list[dict[str, Any]]) -> dict[str, list]:
    return {column: [article[column] for article in articles] for column in ARTICLE}


def _from_columns(row: dict[str, Any], text_column: str, summary_column: str) -> dict[str, str] | None:
    document = clean_text(row[text_column], text_column)
    summary = clean_text(row[summary_column], summary_column)
    title = clean_text(row.get("title"), "title") or ""
    return (
        {"title": title, "document": document, "body": document, "summary": summary} if document and summary else None
    )


def _from_section(row: dict[str, Any]) -> dict[str, str] | None:
    found = _from_columns(row, "body", "heading")
    return found and found | {"document": "\n".join(filter(None, (row["article"], row["body"])))}


def _from_sections(row: dict[str, Any]) -> dict[str, str] | None:
    title = clean_text(row["title"], "title") or ""
    summary = clean_text(row["lead"], "lead")
    lines: list[str | None] = [title]
    blocks: list[str] = []
    for heading, paragraphs in _sections(row["sections"]):
        lines += [heading, *paragraphs]
        blocks.append("\n".join(filter(None, paragraphs)))
    document, body = "\n".join(filter(None, lines)), "\n\n".join(filter(None, blocks))
    return {"title": title, "document": document, "body": body, "summary": summary} if summary and body else None


def _sections(value: Any) -> Iterator[tuple[str | None, list[str | None]]]:
    """The heading and the paragraphs of each section."""
    for section in value if isinstance(value, list) else [value] if value else []:
        match section:
            case {"heading": heading, "paragraphs": [*paragraphs]}:
                yield clean_text(heading, "heading"), [clean_text(paragraph, "paragraphs") for paragraph in paragraphs]
            case _:
                raise ValueError('column \'sections\' needs a list of {"heading": …, "paragraphs": […]}')


def _one_per_section(articles: Dataset) -> Dataset:
    """Rows of `article` (its title), `heading` and `body`."""

    def divide(batch: dict[str, list]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"article": [], "heading": [], "body": []}
        try:
            for title, value in zip(batch["title"], batch["sections"], strict=True):
                article = clean_text(title, "title") or ""
                for heading, paragraphs in _sections(value):
                    found["article"].append(article)
                    found["heading"].append(heading or "")
                    found["body"].append("\n".join(filter(None, paragraphs)))
        except ValueError as error:
            raise UserError(f"{origin(articles)}: {error}") from error
        return found

    columns = Features({name: Value("string") for name in ("article", "heading", "body")})
    with quiet():
        return articles.map(
            divide, batched=True, remove_columns=articles.column_names, features=columns, load_from_cache_file=False
        )
