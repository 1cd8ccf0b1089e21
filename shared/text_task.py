"""A task from text to text."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from shared.data.arguments import RequestArguments as Request  # which the attribute of its name does not hide
from shared.data.arguments import TextRequestArguments
from shared.data.sequence import TokenSequence, build_prompt, build_sequence
from shared.data.vocabulary import TextVocabulary, Vocabulary
from shared.errors import UserError
from shared.files import atomic_directory
from shared.mbr import chrf, consensus
from shared.task import Judge, Row, Task

if TYPE_CHECKING:
    import numpy as np
    from datasets import Dataset


class TextTask(Task):
    """A task from text to text: source and target of a row are strings, tokenised apart."""

    RequestArguments: ClassVar[type[Request]] = TextRequestArguments
    request_arguments: TextRequestArguments
    vocabulary: TextVocabulary
    separator: ClassVar[str]  # the token that names the job, where there is only one
    separator_words: ClassVar[str]  # what it means in English; its embedding starts from that of these words

    @classmethod
    @abstractmethod
    def texts(cls, row: Row, arguments: Any) -> tuple[str, str]:
        """Source and target of a row."""

    @classmethod
    def separators(cls, arguments: Any) -> dict[str, str]:
        """The tokens that name jobs, and their words."""
        return {cls.separator: cls.separator_words}

    def separator_ids(self, row: Row) -> list[int]:
        """The ids between source and target of a row.

        Raises:
            UserError: if the run has not learned the job that the row names.
        """
        return [self.vocabulary.tokens[self.separator]]

    @classmethod
    def load_vocabulary(cls, name: str) -> TextVocabulary:
        return TextVocabulary.load(name)

    @classmethod
    def build_vocabulary(
        cls, arguments: Any, old: Vocabulary | None, rows: Dataset | None, size: int
    ) -> TextVocabulary:
        if isinstance(old, TextVocabulary):
            return TextVocabulary(old.tokenizer, cls.separators(arguments))
        texts: Iterable[str] = (text for row in rows or () for text in cls.texts(row, arguments))
        return TextVocabulary.train(texts, size, cls.separators(arguments))

    def sequences(self, row: Row, max_length: int, training: bool) -> list[TokenSequence | None]:
        return list(self.all_sequences([row], max_length, training))

    def all_sequences(self, rows: Sequence[Row], max_length: int, training: bool) -> Iterator[TokenSequence | None]:
        ids = self.vocabulary.encode_all([text for row in rows for text in self.texts(row, self.arguments)])
        for row, *texts in zip(rows, ids[::2], ids[1::2], strict=True):
            yield from self.lines(row, texts, max_length, training)

    def lines(
        self, row: Row, texts: list[list[int]], max_length: int, training: bool
    ) -> Iterable[TokenSequence | None]:
        """The sequences of a row whose source and target have these ids."""
        return [build_sequence(texts[0], self.separator_ids(row), texts[1], self.vocabulary.end, max_length)]

    def prompt(self, row: Row, max_length: int, new_tokens: int) -> TokenSequence:
        source, begun = self.vocabulary.encode(self.texts(row, self.arguments)[0]), self.prefix_ids()
        if len(begun) > max_length // 4:
            raise UserError(
                f"--target_prefix has {len(begun)} tokens: give a shorter one, of at most {max_length // 4}"
            )
        return build_prompt(source, [*self.separator_ids(row), *begun], max_length, new_tokens)

    @classmethod
    def chooses(cls, arguments: Any) -> bool:
        return True

    @staticmethod
    def utilities(outputs: Sequence[str]) -> np.ndarray:
        """By what candidates are compared with each other: of N outputs [N, N]."""
        return chrf(outputs)

    def judge(self, row: Row) -> Judge:
        return partial(consensus, utilities=self.utilities)

    def prefix_ids(self) -> list[int]:
        """What the output is to begin with, as the target's first tokens."""
        return self.vocabulary.encode(self.request_arguments.target_prefix.strip())

    def decode(self, ids: list[int]) -> str:
        return self.vocabulary.decode([*self.prefix_ids(), *ids]).strip()

    def write_outputs(
        self, outputs: list[str], rows: Dataset | list[Row], folder: Path, keep: bool = False
    ) -> list[Path]:
        """`outputs.jsonl`: a line of JSON for each row (see `record`)."""
        place = folder / "outputs.jsonl"
        with atomic_directory(folder) as staging, (staging / place.name).open("w", encoding="utf-8") as file:
            if keep and place.is_file():
                file.write(place.read_text(encoding="utf-8"))
            for row, output in zip(rows, outputs, strict=True):
                file.write(json.dumps(self.record(row, output), ensure_ascii=False) + "\n")
        return [place]

    def record(self, row: Row, output: str) -> dict[str, str]:
        """What is saved of an output: by default with its source and its reference."""
        source, reference = self.texts(row, self.arguments)
        return {"source": source, "output": output, "reference": reference}
