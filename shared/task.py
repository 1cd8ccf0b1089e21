"""What a task says of itself; everything else is shared.

rows ── Task.sequences ──> Sequence ── pack ──────> batch ── Decoder ──> loss              training
rows ── Task.prompt ─────> Sequence ── generate ──> ids ── Task.decode ──> output          writing
                                                                  rows, outputs ── Task.score ──> metrics

                   source <separator> target <|endoftext|>
Task.sequences:    └────────────── from a row ───────────┘
Task.prompt:       └─────────────────┘└── Task.decode ───┘
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Tokens
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from shared.data.arguments import DataArguments, TextRequestArguments
from shared.data.arguments import RequestArguments as Request  # which the attribute of its name does not hide
from shared.data.sequence import Sequence, build_prompt, build_sequence
from shared.data.vocabulary import TextVocabulary, Vocabulary
from shared.errors import UserError
from shared.files import atomic_directory
from shared.writing import Constraint, Window, everything, latter_half

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from sacrebleu.metrics import CHRF

    from shared.data.packing import Augment

Row = Mapping[str, Any]


class Task(ABC):
    """One task: how its rows become sequences, its continuations outputs, and its outputs scores.

    `arguments` say where the rows come from and what is learned of them, `request_arguments` what is asked of an
    output; in training they are the defaults.
    """

    name: ClassVar[str]
    Arguments: ClassVar[type[DataArguments]] = DataArguments
    RequestArguments: ClassVar[type[Request]] = Request
    generation_defaults: ClassVar[dict[str, Any]] = {}  # where they differ from GenerationArguments'
    likelihood_metrics: ClassVar[tuple[str, ...]] = ("perplexity",)  # of `score_likelihood`: lower is better
    output_metrics: ClassVar[tuple[str, ...]] = ()  # of `score`: higher is better
    input_kind: ClassVar[Literal["text", "lines", "file"]] = "text"  # one input is a text, a line, or a file's path
    fixed: ClassVar[tuple[str, ...]] = ()  # arguments that say what its tokens mean: a resumed training has the same
    learned: ClassVar[tuple[str, ...]] = ()  # arguments that list what is learned: a run can be asked for no more
    needs_input: ClassVar[bool] = True  # whether there is nothing to write without a source
    utility: ClassVar[staticmethod[[Any, Any], float] | None] = None  # of an output if another were the reference
    # A task says here of which kind its own are.
    arguments: DataArguments
    vocabulary: Vocabulary
    request_arguments: Request

    def __init__(self, arguments: DataArguments, vocabulary: Vocabulary, request_arguments: Request | None = None):
        self.arguments, self.vocabulary = arguments, vocabulary
        self.request_arguments = request_arguments or self.RequestArguments()

    @classmethod
    def has_source(cls, arguments: Any) -> bool:
        """Whether a line begins with a source, as the task's own `arguments` have it."""
        return cls.needs_input

    @property
    @abstractmethod
    def line(self) -> str:
        """How a row becomes one sequence, for people to read."""

    @property
    def sliding(self) -> bool:
        """Whether writing may go on past the context, after the latter half of the sequence."""
        return False

    @classmethod
    @abstractmethod
    def load_rows(cls, arguments: Any) -> DatasetDict:
        """The rows of `train`, `validation` and `test`, as far as given.

        Raises:
            UserError: if they cannot be read.
        """

    @classmethod
    @abstractmethod
    def load_vocabulary(cls, name: str) -> Vocabulary:
        """The vocabulary of a decoder to start from: a run's folder or a hub name.

        Raises:
            UserError: if there is none that this task can start from.
        """

    @classmethod
    @abstractmethod
    def build_vocabulary(cls, arguments: Any, old: Vocabulary | None, rows: Dataset | None, size: int) -> Vocabulary:
        """This task's vocabulary: grown from the `old` one, or new, with at most `size` tokens learned from `rows`.

        Raises:
            UserError: if `size` is too small.
        """

    @abstractmethod
    def sequences(self, row: Row, max_length: int, training: bool) -> Tokens[Sequence | None]:
        """The sequences of one row, each of at most `max_length` tokens; None for one that does not fit.

        Raises:
            UserError: if the task's `arguments` do not go with that length.
        """

    def all_sequences(self, rows: Tokens[Row], max_length: int, training: bool) -> Iterator[Sequence | None]:
        """The sequences of some rows, in their order."""
        return (sequence for row in rows for sequence in self.sequences(row, max_length, training))

    @abstractmethod
    def prompt(self, row: Row, max_length: int, new_tokens: int) -> Sequence:
        """The sequence of one row up to where the decoder begins to write."""

    def window(self, row: Row, prompt: Tokens[int], written: Tokens[int], context: int) -> Window:
        """What is read to write on after a row's `prompt` and what is `written`, nothing at first.

        By default all so far, or its latter half where the task is `sliding`.
        """
        return latter_half(prompt, written, context) if self.sliding else everything(prompt, written)

    def new_tokens(self, row: Row, most: int) -> int:
        """How many tokens may be written for a row, where `most` are set: more where the request is for a long one."""
        return most

    def reversed_sequence(self, row: Row, output: Any, max_length: int) -> Sequence | None:
        """The sequence that asks for the row's source after an output; None for one that does not fit.

        Raises:
            UserError: if the run has not learned that direction.
        """
        raise UserError(f"--rerank_reverse: this {self.name} run has not learned to write a source after its output")

    @abstractmethod
    def decode(self, ids: list[int]) -> Any:
        """The output that a continuation stands for, whatever ids it holds."""

    @abstractmethod
    def request(self, given: str) -> Row:
        """The row for what a user gave: a text, or the path of a file (see `input_kind`); "" is no input.

        Raises:
            UserError: if the file cannot be read, or the run has not learned what is asked for.
        """

    def requests(self, rows: Dataset) -> Dataset | list[Row]:
        """The rows to write for when a split is scored: its own, unless the task writes freely."""
        return rows

    @abstractmethod
    def write_outputs(self, outputs: list[Any], rows: Dataset | list[Row], folder: Path) -> None:
        """Save outputs in `folder`, to be read, looked at or listened to."""

    def show(self, row: Row, output: Any) -> str | None:
        """An output as it is printed; None where outputs are files."""
        return str(output)

    def score(self, outputs: list[Any], rows: Dataset, training_rows: Dataset | None) -> dict[str, Any]:
        """Metrics of what was written for the split `rows`, `output_metrics` among them."""
        return {}

    def score_likelihood(
        self, nats: float, tokens: int, rows: Dataset, training_rows: Dataset | None
    ) -> dict[str, float]:
        """Metrics of the negative log-likelihood of `rows`: `nats` in all, over `tokens` learned tokens."""
        return {"perplexity": perplexity(nats, tokens)}

    def compare(self, outputs: list[Any], others: list[Any], rows: Dataset) -> dict[str, dict[str, float]]:
        """Which of two lists of outputs is better, by paired bootstrap resampling (Koehn 2004).

        Each metric has the `score` of `outputs`, that of the `others`, and `p_value`, the probability of so large a
        difference where there is none.

        Raises:
            UserError: if the task has no such metric.
        """
        raise UserError(f"the outputs of {self.name} have no scores to be compared by: leave out --compare_to")

    def report(self, metrics: Mapping[str, Any]) -> str | None:
        """The metrics of a split for people to read, as Markdown; None where the numbers need no explanation."""
        return None

    @property
    def augment(self) -> Augment | None:
        """How the sequences of training change from epoch to epoch, if they do; their lengths stay."""
        return None

    def constraint(self) -> Constraint | None:
        """Which tokens may follow which while the decoder writes; None: any may."""
        return None


def perplexity(nats: float, count: int) -> float:
    """exp(nats / count), infinite where that is too large for a number."""
    try:
        return math.exp(nats / count)
    except OverflowError:
        return math.inf


@cache
def _chrf() -> CHRF:
    from sacrebleu.metrics import CHRF  # noqa: PLC0415 (only what compares outputs needs it)

    return CHRF()


def sentence_chrf(output: str, other: str) -> float:
    """chrF in 0-100 (Popović 2015), which needs no words and so fits any language."""
    return _chrf().sentence_score(output, [other]).score


class TextTask(Task):
    """A task from text to text: source and target of a row are strings, tokenised apart."""

    utility: ClassVar[staticmethod[[Any, Any], float] | None] = staticmethod(sentence_chrf)
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

    def sequences(self, row: Row, max_length: int, training: bool) -> list[Sequence | None]:
        return list(self.all_sequences([row], max_length, training))

    def all_sequences(self, rows: Tokens[Row], max_length: int, training: bool) -> Iterator[Sequence | None]:
        ids = self.vocabulary.encode_all([text for row in rows for text in self.texts(row, self.arguments)])
        for row, *texts in zip(rows, ids[::2], ids[1::2], strict=True):
            yield from self.lines(row, texts, max_length, training)

    def lines(self, row: Row, texts: list[list[int]], max_length: int, training: bool) -> Iterable[Sequence | None]:
        """The sequences of a row whose source and target have these ids."""
        return [build_sequence(texts[0], self.separator_ids(row), texts[1], self.vocabulary.end, max_length)]

    def prompt(self, row: Row, max_length: int, new_tokens: int) -> Sequence:
        source, begun = self.vocabulary.encode(self.texts(row, self.arguments)[0]), self.prefix_ids()
        if len(begun) > max_length // 4:
            raise UserError(
                f"--target_prefix has {len(begun)} tokens: give a shorter one, of at most {max_length // 4}"
            )
        return build_prompt(source, [*self.separator_ids(row), *begun], max_length, new_tokens)

    def prefix_ids(self) -> list[int]:
        """What the output is to begin with, as the target's first tokens."""
        return self.vocabulary.encode(self.request_arguments.target_prefix.strip())

    def decode(self, ids: list[int]) -> str:
        return self.vocabulary.decode([*self.prefix_ids(), *ids]).strip()

    def write_outputs(self, outputs: list[str], rows: Dataset | list[Row], folder: Path) -> None:
        """`outputs.jsonl`: a line of JSON for each row (see `record`)."""
        with atomic_directory(folder) as staging, (staging / "outputs.jsonl").open("w", encoding="utf-8") as file:
            for row, output in zip(rows, outputs, strict=True):
                file.write(json.dumps(self.record(row, output), ensure_ascii=False) + "\n")

    def record(self, row: Row, output: str) -> dict[str, str]:
        """What is saved of an output: by default with its source and its reference."""
        source, reference = self.texts(row, self.arguments)
        return {"source": source, "output": output, "reference": reference}
