"""Translation without an encoder: `I am a student <|to-de|> Ich bin Student <|endoftext|>`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.data.arguments import TextDataArguments, TextRequestArguments
from shared.data.sequence import TokenSequence
from shared.errors import UserError
from shared.task import Row
from shared.text_task import TextTask

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@dataclass
class TranslationArguments(TextDataArguments):
    """Rows hold two columns named by their languages, or the hub's {"translation": {"en": …, "de": …}}."""

    source_lang: str = field(default="en", metadata={"help": "The language to translate from: a column's name."})
    target_lang: str = field(default="de", metadata={"help": "The language to translate to: a column's name."})
    both_directions: bool = field(
        default=False, metadata={"help": "Learn every pair the other way round, too; scored is the first direction."}
    )
    comet: str | None = field(
        default=None,
        metadata={"help": "Score with this COMET model, too, such as Unbabel/wmt22-comet-da (needs unbabel-comet)."},
    )


@dataclass
class TranslationRequestArguments(TextRequestArguments):
    """Which way to translate, and how the translation is to begin."""

    target_lang: str | None = field(
        default=None, metadata={"help": "The language to write, of those learned (default: the training's)."}
    )


class Translation(TextTask):
    """Source language in, target language out; the separator names the language to write.

    A row has `source` and `target`, and `to`, the language to write, where it is not the arguments' `target_lang`.
    """

    arguments: TranslationArguments
    request_arguments: TranslationRequestArguments
    name = "translation"
    Arguments = TranslationArguments
    RequestArguments = TranslationRequestArguments
    fixed = ("source_lang", "target_lang", "both_directions")
    input_kind = "lines"
    output_metrics = ("bleu", "bleu_lowercase_tokenized", "chrf", "exact")

    @classmethod
    def separators(cls, arguments: TranslationArguments) -> dict[str, str]:
        from transformers.models.whisper.tokenization_whisper import LANGUAGES

        return {
            separator(language): f"in {LANGUAGES.get(language.split('_')[0], language).capitalize()}:"
            for language in cls.languages(arguments)
        }

    @staticmethod
    def languages(arguments: TranslationArguments) -> list[str]:
        """Those that are learned to write."""
        return [arguments.target_lang, *([arguments.source_lang] if arguments.both_directions else [])]

    @property
    def line(self) -> str:
        return f"source … {' or '.join(self.separators(self.arguments))} target … <|endoftext|>"

    def separator_ids(self, row: Row) -> list[int]:
        language = row.get("to") or self.arguments.target_lang
        if separator(language) not in self.vocabulary.tokens:
            known = " or ".join(self.languages(self.arguments))
            raise UserError(f"--target_lang {language}: the run has not learned to write it; give {known}")
        return [self.vocabulary.tokens[separator(language)]]

    def all_sequences(self, rows: Sequence[Row], max_length: int, training: bool) -> Iterator[TokenSequence | None]:
        if training and self.arguments.both_directions:
            rows = [each for row in rows for each in (row, self._turned(row, row["target"]))]
        return super().all_sequences(rows, max_length, training)

    def _turned(self, row: Row, text: str) -> Row:
        """The row whose source is a `text` in the language that this row is translated to."""
        forward = row.get("to") in (None, self.arguments.target_lang)
        back = self.arguments.source_lang if forward else self.arguments.target_lang
        return {"source": text, "target": row["source"], "to": back}

    @classmethod
    def check_reverse(cls, arguments: TranslationArguments) -> None:
        if not arguments.both_directions:
            super().check_reverse(arguments)

    def reversed_sequence(self, row: Row, output: str, max_length: int) -> TokenSequence | None:
        return self.sequences(self._turned(row, output), max_length, training=False)[0]

    @classmethod
    def load_rows(cls, arguments: TranslationArguments) -> DatasetDict:
        from shared.data.loading import load_text_rows
        from tasks.translation.comet import check_installed
        from tasks.translation.reading import read_translation_files, translation_rows
        from tasks.translation.sample import sample

        if arguments.comet:
            check_installed(arguments.comet)  # before anything is learned or written
        languages = arguments.source_lang, arguments.target_lang
        return load_text_rows(
            arguments, sample, lambda rows: translation_rows(rows, *languages), read_translation_files
        )

    @classmethod
    def texts(cls, row: Row, arguments: TranslationArguments) -> tuple[str, str]:
        return row["source"], row["target"]

    def request(self, given: str) -> Row:
        return {"source": given.strip(), "target": "", "to": self.request_arguments.target_lang}

    def score(self, outputs: list[str], rows: Dataset, training_rows: Dataset | None) -> dict[str, Any]:
        from tasks.translation.scores import score

        scores = score(outputs, rows["target"])
        if self.arguments.comet:
            from tasks.translation.comet import comet

            scores["comet"] = comet(outputs, rows["source"], rows["target"], self.arguments.comet)
        return scores

    def compare(self, outputs: list[str], others: list[str], rows: Dataset) -> dict[str, dict[str, float]]:
        from tasks.translation.scores import compare

        return compare(outputs, others, rows["target"])


def separator(language: str) -> str:
    """The token that asks for a language."""
    return f"<|to-{language}|>"
