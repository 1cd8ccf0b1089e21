"""Wikipedia-style summarization: `article … <|summarize|> lead … <|endoftext|>`.

Liu et al. 2018, "Generating Wikipedia by Summarizing Long Sequences"; Khandelwal et al. 2019, "Sample Efficient Text
Summarization Using a Single Pre-Trained Transformer".
"""

from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset, DatasetDict
from rouge_score.rouge_scorer import RougeScorer

from shared.rows import hold_out_validation, read_rows
from shared.task import Row, TextDataArguments, TextTask
from tasks.summarization.reading import summarization_rows
from tasks.summarization.sample import sample
from tasks.summarization.scores import StemmedTokenizer, score

UTILITY = RougeScorer(["rouge1", "rouge2"], tokenizer=StemmedTokenizer())


@dataclass
class SummarizationArguments(TextDataArguments):
    """Rows hold `title`, `lead` and `sections`, WikiText's lines, or any two text columns."""

    text_column: str | None = field(default=None, metadata={"help": "The column to summarise."})
    summary_column: str | None = field(default=None, metadata={"help": "The column that holds the summary."})


class Summarization(TextTask):
    """An article's title, headings and paragraphs in, its lead out."""

    name = "summarization"
    Arguments = SummarizationArguments
    separator = "<|summarize|>"
    separator_words = "In summary:"
    line = "article … <|summarize|> lead … <|endoftext|>"

    def read_rows(self) -> DatasetDict:
        if self.arguments.sample:
            splits = DatasetDict({split: Dataset.from_list(rows) for split, rows in sample().items()})
        else:
            splits = read_rows(**self.arguments.sources)
        columns = self.arguments.text_column, self.arguments.summary_column
        splits = DatasetDict({split: summarization_rows(rows, *columns) for split, rows in splits.items()})
        return hold_out_validation(splits, self.arguments.validation_split_percentage)

    def texts(self, row: Row) -> tuple[str, str]:
        return row["document"], row["summary"]

    def request(self, given: str) -> Row:
        return {"document": given.strip(), "summary": ""}

    def show(self, row: Row, output: str) -> str:
        return output + "\n"

    def utility(self, output: str, other: str) -> float:
        """The mean of ROUGE-1 and ROUGE-2 (F1, stemmed)."""
        scores = UTILITY.score(other, output)
        return sum(score.fmeasure for score in scores.values()) / len(scores)

    def score(self, outputs: list[str], rows: Dataset) -> dict[str, Any]:
        return score(outputs, rows["summary"], rows["document"])
