"""Where the rows come from, how many of them are used, and what is asked of an output: flags that tasks share."""

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass
class DataArguments:
    """How many rows of each split to use."""

    _argument_group_name: ClassVar[str] = "data"

    train_share: float = field(
        default=1.0,
        metadata={"help": "Learn from this share of the rows, drawn by --seed. A larger share contains a smaller one."},
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Learn from the first N rows only."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Validate on the first N rows only."})
    max_predict_samples: int | None = field(default=None, metadata={"help": "Score the first N test rows only."})
    preprocessing_num_workers: int | None = field(
        default=None, metadata={"help": "Number of processes that tokenise (default: this one only)."}
    )

    def __post_init__(self) -> None:
        if not 0 < self.train_share <= 1:
            raise ValueError(f"--train_share is {self.train_share}: give a share above 0 and up to 1")
        if (self.preprocessing_num_workers or 0) < 0:
            raise ValueError(
                f"--preprocessing_num_workers is {self.preprocessing_num_workers}: give 0 (this process alone) or more"
            )

    @property
    def sample(self) -> bool:
        """Whether no data were given, so that the embedded sample is meant."""
        raise NotImplementedError


@dataclass
class WritingArguments(DataArguments):
    """For tasks that write freely, not from each row of a split."""

    num_samples: int = field(default=4, metadata={"help": "Number of free outputs to write at the end, at least one."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_samples < 1:
            raise ValueError(f"--num_samples is {self.num_samples}: give 1 or more")


@dataclass
class TextDataArguments(DataArguments):
    """Where rows of text come from. Without any of these a recipe runs on its embedded sample."""

    train_file: list[str] | None = field(default=None, metadata={"help": "Training file(s)."})
    validation_file: list[str] | None = field(default=None, metadata={"help": "Validation file(s)."})
    test_file: list[str] | None = field(default=None, metadata={"help": "Test file(s), scored at the end."})
    dataset_name: str | None = field(
        default=None, metadata={"help": "A data set on the hub, or a folder in the hub's layout."}
    )
    dataset_config_name: str | None = field(default=None, metadata={"help": "The configuration of that data set."})
    validation_split_percentage: int = field(
        default=5, metadata={"help": "Per cent of the training rows to hold out if there is no validation split."}
    )

    @property
    def sample(self) -> bool:
        return not any(self.sources.values())

    @property
    def sources(self) -> dict[str, Any]:
        """The arguments of `shared.data.loading.load_rows`."""
        names = ("train_file", "validation_file", "test_file", "dataset_name", "dataset_config_name")
        return {name: getattr(self, name) for name in names}


@dataclass
class RequestArguments:
    """What may be asked of an output beside its input: flags of `generate.py` that a task brings along."""


@dataclass
class TextRequestArguments(RequestArguments):
    """How a text is to begin."""

    target_prefix: str = field(
        default="", metadata={"help": "What the output is to begin with; the decoder goes on after it."}
    )
