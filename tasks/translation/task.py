"""Translation without an encoder: `I am a student <|to-de|> Ich bin Student <|endoftext|>`."""

from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset, DatasetDict
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from shared.rows import hold_out_validation, read_rows
from shared.task import Row, TextDataArguments, TextTask
from tasks.translation.reading import read_translation_files, translation_rows
from tasks.translation.sample import sample
from tasks.translation.scores import score


@dataclass
class TranslationArguments(TextDataArguments):
    """Rows hold two columns named by their languages, or the hub's {"translation": {"en": …, "de": …}}."""

    source_lang: str = field(default="en", metadata={"help": "The language to translate from: a column's name."})
    target_lang: str = field(default="de", metadata={"help": "The language to translate to: a column's name."})


class Translation(TextTask):
    """Source language in, target language out; the separator names the language to write."""

    name = "translation"
    Arguments = TranslationArguments

    def __init__(self, arguments: TranslationArguments):
        super().__init__(arguments)
        language = arguments.target_lang
        self.separator = f"<|to-{language}|>"
        self.line = f"source … {self.separator} target … <|endoftext|>"
        self.separator_words = f"in {LANGUAGES.get(language.split('_')[0], language).capitalize()}:"

    def read_rows(self) -> DatasetDict:
        if self.arguments.sample:
            splits = DatasetDict({split: Dataset.from_list(rows) for split, rows in sample().items()})
        else:
            splits = read_rows(**self.arguments.sources, read=read_translation_files)
        languages = self.arguments.source_lang, self.arguments.target_lang
        splits = DatasetDict({split: translation_rows(rows, *languages) for split, rows in splits.items()})
        return hold_out_validation(splits, self.arguments.validation_split_percentage)

    def texts(self, row: Row) -> tuple[str, str]:
        return row["source"], row["target"]

    def request(self, given: str) -> Row:
        return {"source": given.strip(), "target": ""}

    def inputs(self, text: str) -> list[str]:
        return [line for line in text.splitlines() if line.strip()]

    def score(self, outputs: list[str], rows: Dataset) -> dict[str, Any]:
        return score(outputs, rows["target"])
