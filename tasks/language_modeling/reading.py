"""Documents and rows with a text column -> {"text"}."""

from collections.abc import Callable

from datasets import Dataset

from shared.data.loading import clean_text, convert_rows, load_files, origin
from shared.errors import UserError
from shared.task import Row
from tasks.articles.reading import article_rows


def read_documents(paths: list[str], split: str) -> Dataset:
    """Text files as one document each, everything else as rows."""
    return load_files(paths, split, sample_by="document")


def text_rows(rows: Dataset, column: str = "text", concatenate: bool = False, article_text: str = "all") -> Dataset:
    """The texts of a `column`, or of articles as summarization reads them; with `concatenate` all as one text.

    `article_text` says what of articles: a name of `ARTICLE_TEXT`.

    Raises:
        UserError: there is no such column, or there are no articles of which to take a part.
    """
    if column not in rows.column_names:
        if column == "text" and {"title", "lead", "sections"} <= set(rows.column_names):
            articles, part = article_rows(rows), ARTICLE_TEXT[article_text]
            return articles.map(
                lambda article: {"text": part(article)},
                remove_columns=articles.column_names,
                load_from_cache_file=False,
            )
        raise UserError(f"{origin(rows)}: no --text_column '{column}'; found: {', '.join(rows.column_names)}")
    if article_text != "all":
        raise UserError(f"{origin(rows)}: --article_text {article_text} is for articles (title, lead, sections)")
    if concatenate:
        try:
            lines = [line for line in rows[column] if clean_text(line, column) or line]
        except ValueError as error:
            raise UserError(f"{origin(rows)}: {error}") from error
        joined = Dataset.from_dict({"text": ["".join(line if line.endswith("\n") else line + "\n" for line in lines)]})
        joined.info.description = origin(rows)
        rows, column = joined, "text"
    return convert_rows(
        rows, lambda row: {"text": text} if (text := clean_text(row[column], column)) else None, ["text"]
    )


def _all(article: Row) -> str:
    """Title, lead and sections, as one would read an article."""
    sections = article["document"].removeprefix(article["title"]).lstrip("\n")
    return "\n".join(filter(None, (article["title"], article["summary"], sections)))


def _paragraphs(article: Row) -> str:
    """The title and the sections' paragraphs, a line each."""
    return "\n".join(filter(None, (article["title"], *article["body"].split("\n\n"))))


ARTICLE_TEXT: dict[str, Callable[[Row], str]] = {
    "all": _all,
    "sections": lambda article: article["document"],
    "paragraphs": _paragraphs,
}
