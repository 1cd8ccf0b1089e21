"""Documents and rows with a text column -> {"text"}."""

from datasets import Dataset

from shared.data.loading import clean_text, convert_rows, load_files, origin
from shared.errors import UserError
from shared.task import Row
from tasks.articles.reading import article_rows


def read_documents(paths: list[str], split: str) -> Dataset:
    """Text files as one document each, everything else as rows."""
    return load_files(paths, split, sample_by="document")


def text_rows(rows: Dataset, column: str = "text", concatenate: bool = False) -> Dataset:
    """The texts of a `column`, or of articles as summarization reads them; with `concatenate` all as one text.

    Raises:
        UserError: there is no such column.
    """
    if column not in rows.column_names:
        if column == "text" and {"title", "lead", "sections"} <= set(rows.column_names):
            articles = article_rows(rows)
            return articles.map(_article_text, remove_columns=articles.column_names, load_from_cache_file=False)
        raise UserError(f"{origin(rows)}: no --text_column '{column}'; found: {', '.join(rows.column_names)}")
    if concatenate:
        joined = Dataset.from_dict(
            {"text": ["".join(line if line.endswith("\n") else line + "\n" for line in rows[column] if line)]}
        )
        joined.info.description = origin(rows)
        rows, column = joined, "text"
    return convert_rows(
        rows, lambda row: {"text": text} if (text := clean_text(row[column], column)) else None, ["text"]
    )


def _article_text(article: Row) -> Row:
    """Title, lead and body, as one would read an article."""
    title, _, body = article["document"].partition("\n")
    return {"text": f"{title}\n{article['summary']}\n{body}"}
