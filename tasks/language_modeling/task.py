"""Plain language modeling: `<|endoftext|> text … <|endoftext|>`, the source is empty.

For pre-training what the other recipes start from, and for writing freely.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from shared.data.arguments import RequestArguments, TextDataArguments, WritingArguments
from shared.data.sequence import TokenSequence, windows
from shared.data.vocabulary import END
from shared.errors import UserError
from shared.task import Row, perplexity
from shared.text_task import TextTask

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@dataclass
class LanguageModelingArguments(WritingArguments, TextDataArguments):
    """Text files (each a document), rows with a text column, or articles as the summarization recipe reads them."""

    text_column: str = field(default="text", metadata={"help": "The column that holds the text."})
    concatenate: bool = field(
        default=False,
        metadata={"help": "Join all rows into one text, where rows are lines (as in the hub's wikitext)."},
    )
    article_text: Literal["all", "sections", "paragraphs"] = field(
        default="all",
        metadata={
            "help": "What is learned of articles: all, sections (without their leads) or paragraphs (without headings "
            "as well). A lead or a heading learned here is known by heart when a summary is to be learned from it."
        },
    )
    stride: int | None = field(
        default=None,
        metadata={
            "help": "Tokens learned or scored per window, the rest being context from the window before "
            "(default: max_length - 1 in training, half of max_length in evaluation)."
        },
    )


class LanguageModeling(TextTask):
    """No source, text as the target; long texts become overlapping windows, every token learned once."""

    arguments: LanguageModelingArguments
    name = "language_modeling"
    Arguments = LanguageModelingArguments
    RequestArguments = RequestArguments  # the text that it goes on from is its source
    generation_defaults: ClassVar = {"do_sample": True, "top_k": 40}
    needs_input = False
    likelihood_metrics = ("perplexity", "word_perplexity", "bits_per_byte")
    sliding = True
    separator = END
    separator_words = ""
    line = "<|endoftext|> text … <|endoftext|>"

    @classmethod
    def separators(cls, arguments: LanguageModelingArguments) -> dict[str, str]:
        return {}

    @classmethod
    def load_rows(cls, arguments: LanguageModelingArguments) -> DatasetDict:
        from shared.data.loading import load_text_rows
        from tasks.articles.sample import sample
        from tasks.language_modeling.reading import read_documents, text_rows

        column, joined, parts = arguments.text_column, arguments.concatenate, arguments.article_text
        return load_text_rows(arguments, sample, lambda rows: text_rows(rows, column, joined, parts), read_documents)

    @classmethod
    def texts(cls, row: Row, arguments: LanguageModelingArguments) -> tuple[str, str]:
        return "", row["text"]

    def lines(self, row: Row, texts: list[list[int]], max_length: int, training: bool) -> Iterable[TokenSequence]:
        end = self.vocabulary.end
        stride = self.arguments.stride
        if stride is None:
            stride = max_length - 1 if training else max_length // 2
        if not 0 < stride < max_length:
            raise UserError(f"--stride {stride}: give 1 to {max_length - 1}, less than --max_length")
        return windows([end, *texts[1], end], max_length, stride, vary_end=training)

    def prompt(self, row: Row, max_length: int, new_tokens: int) -> TokenSequence:
        """`<|endoftext|>` and the beginning of the text, of which the last tokens are kept if there are too many."""
        room = max(max_length - new_tokens, max_length // 2)
        ids = [self.vocabulary.end, *self.vocabulary.encode(row["text"])]
        return TokenSequence(ids[-room:], cut=max(0, len(ids) - room))

    def decode(self, ids: list[int]) -> str:
        return self.vocabulary.decode(ids)

    def request(self, given: str) -> Row:
        return {"text": given}

    def requests(self, rows: Dataset) -> list[Row]:
        return [self.request("")] * self.arguments.num_samples

    def show(self, row: Row, output: str) -> str:
        return f"{row['text']}{output}\n"

    def score_likelihood(
        self, nats: float, tokens: int, rows: Dataset, training_rows: Dataset | None
    ) -> dict[str, float]:
        """Perplexity per token, per word (as white space divides them) and bits per byte of UTF-8.

        Only the first is the model's own measure; the others compare models of different vocabularies.
        """
        words = sum(len(text.split()) for text in rows["text"])
        size = sum(len(text.encode()) for text in rows["text"])
        return {
            "perplexity": perplexity(nats, tokens),
            "word_perplexity": perplexity(nats, words),
            "bits_per_byte": nats / math.log(2) / size,
        }

    def record(self, row: Row, output: str) -> dict[str, str]:
        return {"prompt": row["text"], "output": output}
