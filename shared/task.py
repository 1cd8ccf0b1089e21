"""What a task must say of itself; everything else is shared.

rows ── Task.sequences ──> Sequence ── pack ──> Batch ── Decoder ──> loss             training
rows ── Task.prompt ─────> Sequence ── generate ──> ids ── Task.read ──> output ── Task.score ──> metrics

                   source <separator> target <|endoftext|>
Task.sequences:    └────────────── from a row ───────────┘
Task.prompt:       └─────────────────┘└── Task.read ─────┘
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset, DatasetDict
from sacrebleu.metrics import CHRF

from shared.constraint import Constraint
from shared.files import written_whole
from shared.generation import GenerationArguments
from shared.packing import Augment
from shared.sequence import Sequence, lay_out, lay_out_prompt
from shared.vocabulary import TextVocabulary, Vocabulary

Row = Mapping[str, Any]
CHRF_SCORER = CHRF()


@dataclass
class DataArguments:
    """How many rows of each split to use."""

    train_share: float = field(
        default=1.0,
        metadata={"help": "Learn from this share of the rows, drawn by --seed: a smaller one is part of a larger."},
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Learn from the first N rows only."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Validate on the first N rows only."})
    max_predict_samples: int | None = field(default=None, metadata={"help": "Score the first N test rows only."})
    preprocessing_num_workers: int | None = field(
        default=None, metadata={"help": "Tokenise in so many processes (default: in this one)."}
    )

    @property
    def sample(self) -> bool:
        """Whether no data were given, so that the embedded sample is meant."""
        raise NotImplementedError


@dataclass
class WritingArguments(DataArguments):
    """For tasks that write freely, not from each row of a split."""

    num_samples: int = field(default=4, metadata={"help": "Outputs to write freely at the end, at least one."})

    def __post_init__(self):
        if self.num_samples < 1:
            raise ValueError(f"--num_samples is {self.num_samples}: give 1 or more")


@dataclass
class TextDataArguments(DataArguments):
    """Where rows of text come from. Without any of these a recipe runs on its embedded sample."""

    train_file: list[str] | None = field(default=None, metadata={"help": "File(s) to learn from."})
    validation_file: list[str] | None = field(default=None, metadata={"help": "File(s) to watch the training by."})
    test_file: list[str] | None = field(default=None, metadata={"help": "File(s) to score at the end."})
    dataset_name: str | None = field(
        default=None, metadata={"help": "A data set on the hub, or a folder in the hub's layout."}
    )
    dataset_config_name: str | None = field(default=None, metadata={"help": "Which part of that data set."})
    validation_split_percentage: int = field(
        default=5, metadata={"help": "The share of training that validates where there is no validation split."}
    )

    @property
    def sample(self) -> bool:
        return not any(self.sources.values())

    @property
    def sources(self) -> dict[str, Any]:
        """The arguments of `shared.rows.read_rows`."""
        names = ("train_file", "validation_file", "test_file", "dataset_name", "dataset_config_name")
        return {name: getattr(self, name) for name in names}


@dataclass
class RequestArguments:
    """What may be asked of an output beside its input: flags of `generate.py` that a task brings along."""


class Task(ABC):
    """One task. `arguments` are an instance of `Arguments`; `vocabulary` is set before any sequence is made.

    `wanted` are the `RequestArguments` of those who let it write; in training they are the defaults.
    """

    name: ClassVar[str]
    line: str  # how a row becomes one sequence, for people to read
    Arguments: ClassVar[type[DataArguments]] = DataArguments
    RequestArguments: ClassVar[type[RequestArguments]] = RequestArguments
    generation_defaults: ClassVar[dict[str, Any]] = {}  # where they differ from GenerationArguments
    sliding: bool = False  # whether writing may go on past the context, after the latter half of the line
    needs_input: ClassVar[bool] = True  # whether there is nothing to write without a source
    input_is_file: ClassVar[bool] = False  # whether an input is a file's name rather than a text
    # How well an output would do if another were the reference; None where the task knows no such measure.
    utility: Callable[[Any, Any], float] | None = None

    def __init__(self, arguments: DataArguments):
        self.arguments = arguments
        self.vocabulary: Any = None
        self.wanted = self.RequestArguments()

    @property
    def augment(self) -> Augment | None:
        """How the lines of training change from epoch to epoch, if they do; their lengths stay."""
        return None

    @abstractmethod
    def read_rows(self) -> DatasetDict:
        """The rows of `train`, `validation` and `test`, as far as given; UserError where they cannot be read."""

    @abstractmethod
    def load_vocabulary(self, name: str) -> Vocabulary:
        """The vocabulary of a decoder to start from: a run's folder or a hub name."""

    @abstractmethod
    def make_vocabulary(self, old: Vocabulary | None, rows: Dataset | None, size: int) -> Vocabulary:
        """This task's vocabulary: grown from the `old` one, or new, with at most `size` tokens learned from `rows`."""

    @abstractmethod
    def sequences(self, row: Row, max_length: int, training: bool) -> list[Sequence | None]:
        """The lines of one row, each in at most `max_length` tokens; None for one that does not fit."""

    @abstractmethod
    def prompt(self, row: Row, max_length: int, new_tokens: int) -> Sequence:
        """The line of one row up to where the decoder shall write."""

    def constraint(self, generation: GenerationArguments) -> Constraint | None:
        """Which tokens may follow which while the decoder writes; None: any may."""
        return None

    @abstractmethod
    def read(self, ids: list[int]) -> Any:
        """The output that a continuation spells, whatever ids it holds."""

    @abstractmethod
    def request(self, given: str) -> Row:
        """The row behind what a user typed (or named, where the input is a file)."""

    def inputs(self, text: str) -> list[str]:
        """The inputs that a file or standard input holds: by default the whole text is one."""
        return [text] if text.strip() else []

    def requests(self, rows: Dataset) -> Dataset | list[Row]:
        """The rows to generate for when a split is scored: its own, unless the task writes freely."""
        return rows

    def score(self, outputs: list[Any], rows: Dataset) -> dict[str, Any]:
        """Metrics of what was generated for the split `rows`."""
        return {}

    def score_likelihood(self, nats: float, tokens: int, rows: Dataset) -> dict[str, float]:
        """Metrics of the total negative log-likelihood of `rows`: `nats` over `tokens` learned tokens."""
        return {"perplexity": perplexity(nats, tokens)}

    def report(self, metrics: Mapping[str, Any]) -> str | None:
        """The metrics of a split for people to read, as Markdown; None: they speak for themselves."""
        return None

    def output_folder(self, run: Path) -> Path | None:
        """Where generated outputs go if no folder is named; None: they are printed."""
        return None

    def show(self, row: Row, output: Any) -> str:
        """An output as it is printed."""
        return str(output)

    @abstractmethod
    def write_outputs(self, outputs: list[Any], rows: Dataset | list[Row], folder: Path) -> None:
        """Leave outputs in `folder` to be read, looked at or listened to."""


def perplexity(nats: float, count: int) -> float:
    """exp(nats / count), infinite where that is too large for a number."""
    try:
        return math.exp(nats / count)
    except OverflowError:
        return math.inf


class TextTask(Task):
    """A task from text to text: `source` and `target` of a row are strings, tokenised apart."""

    separator: str  # the token that names the job, where there is only one
    separator_words: str  # what it means in English, from which its embedding starts

    @abstractmethod
    def texts(self, row: Row) -> tuple[str, str]:
        """Source and target."""

    @property
    def separators(self) -> dict[str, str]:
        """The tokens that name jobs, and their words."""
        return {self.separator: self.separator_words}

    def divider(self, row: Row) -> list[int]:
        """The ids that stand between source and target of a row."""
        return [self.vocabulary.tokens[self.separator]]

    def load_vocabulary(self, name: str) -> TextVocabulary:
        return TextVocabulary.load(name)

    def make_vocabulary(self, old: TextVocabulary | None, rows: Dataset | None, size: int) -> TextVocabulary:
        if old is not None:
            return TextVocabulary(old.tokenizer, self.separators)
        texts: Iterable[str] = (text for row in rows for text in self.texts(row))
        return TextVocabulary.train(texts, size, self.separators)

    def sequences(self, row: Row, max_length: int, training: bool) -> list[Sequence | None]:
        source, target = (self.vocabulary.encode(text) for text in self.texts(row))
        return [lay_out(source, self.divider(row), target, self.vocabulary.end, max_length)]

    def prompt(self, row: Row, max_length: int, new_tokens: int) -> Sequence:
        source = self.vocabulary.encode(self.texts(row)[0])
        return lay_out_prompt(source, self.divider(row), max_length, new_tokens)

    def read(self, ids: list[int]) -> str:
        return self.vocabulary.decode(ids).strip()

    def utility(self, output: str, other: str) -> float:
        """chrF in 0-100 (Popović 2015), which needs no words and so fits any language."""
        return CHRF_SCORER.sentence_score(output, [other]).score

    def write_outputs(self, outputs: list[str], rows: Dataset | list[Row], folder: Path) -> None:
        """`outputs.jsonl`: a line of JSON for each row (see `record`)."""
        with written_whole(folder) as staging, (staging / "outputs.jsonl").open("w", encoding="utf-8") as file:
            for row, output in zip(rows, outputs, strict=True):
                file.write(json.dumps(self.record(row, output), ensure_ascii=False) + "\n")

    def record(self, row: Row, output: str) -> dict[str, str]:
        """What is kept of an output: by default with its source and its reference."""
        source, reference = self.texts(row)
        return {"source": source, "output": output, "reference": reference}
