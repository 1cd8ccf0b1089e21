"""Wikipedia-style summarization: `article … <|summarize|> lead … <|endoftext|>`.

Liu et al. 2018, "Generating Wikipedia by Summarizing Long Sequences"; Khandelwal et al. 2019, "Sample Efficient Text
Summarization Using a Single Pre-Trained Transformer".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from shared.data.arguments import RequestArguments as Request  # which the attribute of its name does not hide
from shared.data.arguments import TextDataArguments, TextRequestArguments
from shared.data.vocabulary import TextVocabulary
from shared.errors import UserError
from shared.task import Row
from shared.text_task import TextTask
from tasks.summarization.constraint import NamesFromSource
from tasks.summarization.ranking import ranked
from tasks.summarization.sentences import first_sentences, openings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from datasets import Dataset, DatasetDict


@dataclass
class SummarizationArguments(TextDataArguments):
    """Rows hold `title`, `lead` and `sections`, WikiText's lines, or any two text columns."""

    text_column: str | None = field(default=None, metadata={"help": "The column to summarise."})
    summary_column: str | None = field(default=None, metadata={"help": "The column that holds the summary."})
    unit: Literal["article", "section"] = field(
        default="article",
        metadata={"help": "What a row is: an article with its lead, or each of its sections with its heading."},
    )
    truncation: Literal["head", "ranked"] = field(
        default="head",
        metadata={
            "help": "What is kept of a long article: its head, or the paragraphs with the highest tf-idf of the "
            "title's words."
        },
    )
    target: Literal["summary", "openings"] = field(
        default="summary",
        metadata={
            "help": "What is learned: the summary or, to learn copying first, as much of the sections' first sentences."
        },
    )
    separator_text: str | None = field(
        default=None,
        metadata={
            "help": "Ask in words, such as TL;DR: (Radford et al. 2019), instead of by a token of its own; with "
            "--do_train false this scores a decoder that never learned to summarise."
        },
    )
    max_sentences: int | None = field(
        default=None, metadata={"help": "Keep the first N sentences of what is written (default: all)."}
    )
    names_from_source: bool = field(
        default=False,
        metadata={"help": "Write no name or number that the article lacks."},
    )
    lead_words: int | None = field(
        default=None, metadata={"help": "The baselines' length in words (default: the references' mean)."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_sentences", "lead_words"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"--{name} is {value}: give 1 or more")


@dataclass
class SummarizationRequestArguments(TextRequestArguments):
    """How a summary is to begin and end, and which names it may have."""

    max_sentences: int | None = field(
        default=None, metadata={"help": "Keep the first N sentences of what is written (default: the run's setting)."}
    )
    names_from_source: bool | None = field(
        default=None, metadata={"help": "Write no name or number that the article lacks (default: the run's setting)."}
    )

    def __post_init__(self) -> None:
        if self.max_sentences is not None and self.max_sentences < 1:
            raise ValueError(f"--max_sentences is {self.max_sentences}: give 1 or more")


class Summarization(TextTask):
    """An article's title, headings and paragraphs in, its lead out."""

    arguments: SummarizationArguments
    request_arguments: SummarizationRequestArguments
    RequestArguments = SummarizationRequestArguments
    name = "summarization"
    Arguments = SummarizationArguments
    fixed = ("separator_text",)
    separator = "<|summarize|>"
    separator_words = "In summary:"
    line = "article … <|summarize|> lead … <|endoftext|>"
    output_metrics = ("rouge1", "rouge2", "rougeL", "names_in_source", "subject_named")

    def __init__(self, arguments: SummarizationArguments, vocabulary: TextVocabulary, *request_arguments: Request):
        super().__init__(arguments, vocabulary, *request_arguments)
        words = arguments.separator_text
        self._separator_ids = vocabulary.encode(f"\n{words}") if words else [vocabulary.tokens[self.separator]]

    @classmethod
    def separators(cls, arguments: SummarizationArguments) -> dict[str, str]:
        return {} if arguments.separator_text else super().separators(arguments)

    def separator_ids(self, row: Row) -> list[int]:
        return self._separator_ids

    @classmethod
    def load_rows(cls, arguments: SummarizationArguments) -> DatasetDict:
        from shared.data.loading import load_text_rows, origin
        from tasks.articles.reading import article_files, article_rows
        from tasks.articles.sample import sample

        def convert(rows: Dataset) -> Dataset:
            rows = article_rows(rows, arguments.text_column, arguments.summary_column, arguments.unit == "section")
            if arguments.truncation == "ranked" and not any(rows["title"]):
                raise UserError(
                    f"{origin(rows)}: --truncation ranked ranks by the title, and no row has one: --truncation head"
                )
            return rows

        return load_text_rows(arguments, sample, convert, article_files)

    @classmethod
    def texts(cls, row: Row, arguments: SummarizationArguments) -> tuple[str, str]:
        summary = row["summary"]
        if arguments.target == "openings":
            summary = openings(row["body"], len(summary.split()))
        if arguments.separator_text:  # after words, the summary is the next one
            summary = f" {summary}"
        if arguments.truncation == "head":
            return row["document"], summary
        paragraphs = [line for line in row["body"].split("\n") if line]
        return "\n".join(filter(None, [row["title"], *ranked(row["title"], paragraphs)])), summary

    def decode(self, ids: list[int]) -> str:
        text = super().decode(ids)
        most = self.request_arguments.max_sentences or self.arguments.max_sentences
        return first_sentences(text, most) if most else text

    def constraint(self) -> NamesFromSource | None:
        asked = self.request_arguments.names_from_source
        wanted = self.arguments.names_from_source if asked is None else asked
        return NamesFromSource(self.vocabulary, self.prefix_ids()) if wanted else None

    @staticmethod
    def utilities(outputs: Sequence[str]) -> np.ndarray:
        from tasks.summarization.scores import agreement

        return agreement(outputs)

    def record(self, row: Row, output: str) -> dict[str, str]:
        return {"source": self.texts(row, self.arguments)[0], "output": output, "reference": row["summary"]}

    def request(self, given: str) -> Row:
        """A title in the first line, then headings and paragraphs, a line each."""
        title, _, body = given.strip().partition("\n")
        return {"title": title, "document": given.strip(), "body": body, "summary": ""}

    def show(self, row: Row, output: str) -> str:
        return output + "\n"

    def score(self, outputs: list[str], rows: Dataset, training_rows: Dataset | None) -> dict[str, Any]:
        from tasks.summarization.scores import score

        references, documents, bodies = rows["summary"], rows["document"], rows["body"]
        return score(outputs, references, documents, bodies, self.arguments.lead_words, rows["title"])

    def compare(self, outputs: list[str], others: list[str], rows: Dataset) -> dict[str, dict[str, float]]:
        from tasks.summarization.scores import compare

        return compare(outputs, others, rows["summary"])

    def prefix_ids(self) -> list[int]:
        prefix = self.request_arguments.target_prefix.strip()
        return self.vocabulary.encode(f" {prefix}" if prefix and self.arguments.separator_text else prefix)
