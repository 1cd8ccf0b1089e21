"""What a task says of itself; everything else is shared.

rows ── Task.sequences ──> TokenSequence ── pack ──────> batch ── Decoder ──> loss              training
rows ── Task.prompt ─────> TokenSequence ── generate ──> ids ── Task.decode ──> output          writing
                                                                  rows, outputs ── Task.score ──> metrics

                   source <separator> target <|endoftext|>
Task.sequences:    └────────────── from a row ───────────┘
Task.prompt:       └─────────────────┘└── Task.decode ───┘
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from shared.data.arguments import DataArguments
from shared.data.arguments import RequestArguments as Request  # which the attribute of its name does not hide
from shared.data.sequence import TokenSequence
from shared.data.vocabulary import Vocabulary
from shared.errors import UserError
from shared.writing import Constraint, Window, everything, latter_half

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from shared.data.packing import Augment

Row = Mapping[str, Any]
Judge = Callable[[Sequence[Any]], int]


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
    beams: ClassVar[bool] = True  # whether beam search can write it: not window after window
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
    def sequences(self, row: Row, max_length: int, training: bool) -> Sequence[TokenSequence | None]:
        """The sequences of one row, each of at most `max_length` tokens; None for one that does not fit.

        Raises:
            UserError: if the task's `arguments` do not go with that length.
        """

    def all_sequences(self, rows: Sequence[Row], max_length: int, training: bool) -> Iterator[TokenSequence | None]:
        """The sequences of some rows, in their order."""
        return (sequence for row in rows for sequence in self.sequences(row, max_length, training))

    @abstractmethod
    def prompt(self, row: Row, max_length: int, new_tokens: int) -> TokenSequence:
        """The sequence of one row up to where the decoder begins to write.

        Raises:
            UserError: if what is asked of the output leaves no room, or the run has not learned it.
        """

    def window(self, row: Row, prompt: Sequence[int], written: Sequence[int], context: int) -> Window:
        """What is read to write on after a row's `prompt` and what is `written`, nothing at first.

        By default all so far, or its latter half where the task is `sliding`.
        """
        return latter_half(prompt, written, context) if self.sliding else everything(prompt, written)

    def new_tokens(self, row: Row, most: int) -> int:
        """How many tokens may be written for a row, where `most` are set: more where the request is for a long one."""
        return most

    def reversed_sequence(self, row: Row, output: Any, max_length: int) -> TokenSequence | None:
        """The sequence that asks for the row's source after an output; None for one that does not fit.

        Only tasks that `check_reverse` lets through have one.
        """
        raise NotImplementedError(f"{self.name}: see check_reverse")

    @abstractmethod
    def decode(self, ids: list[int]) -> Any:
        """The output that a continuation stands for, whatever ids it holds."""

    @abstractmethod
    def request(self, given: str) -> Row:
        """The row for what a user gave: a text, or the path of a file (see `input_kind`); "" is no input.

        Raises:
            UserError: if the file cannot be read, or the run has not learned what is asked for.
        """

    def row(self, given: str | Path) -> Row:
        """The `request` for what a user gave.

        Raises:
            UserError: if it is neither a text nor a file's name, or there is nothing to write for, or as there.
        """
        if not isinstance(given, str | Path):
            raise UserError(f"{type(given).__name__} is no input: give a text or a file's name")
        if self.needs_input and not str(given).strip():
            raise UserError(f"nothing to write for in an empty input: give the {self.name} decoder a text")
        return self.request(str(given))

    @classmethod
    def check_reverse(cls, arguments: Any) -> None:
        """Refuse `--rerank_reverse`, unless the task, as its `arguments` say, learns to write sources, too.

        Raises:
            UserError: if it does not.
        """
        raise UserError(f"--rerank_reverse: this {cls.name} run has not learned to write a source after its output")

    @classmethod
    def chooses(cls, arguments: Any) -> bool:
        """Whether the best of several outputs can be told where a split is scored."""
        return False

    def judge(self, row: Row) -> Judge:
        """What tells the best of several outputs of a row, as its index.

        Raises:
            UserError: if nothing does.
        """
        raise UserError(f"--num_candidates: {self.name} has no measure to choose one by here")

    def requests(self, rows: Dataset) -> Dataset | list[Row]:
        """The rows to write for when a split is scored: its own, unless the task writes freely."""
        return rows

    @abstractmethod
    def write_outputs(
        self, outputs: list[Any], rows: Dataset | list[Row], folder: Path, keep: bool = False
    ) -> list[Path]:
        """Save outputs in `folder`, to be read, looked at or listened to; returns the files that hold them.

        They take the place of those that are there, or stand behind them where those are to be kept.

        Raises:
            UserError: if they cannot be written.
        """

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
