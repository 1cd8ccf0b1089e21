"""Which decoder to train: flags."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from shared.errors import ExclusiveSettingsError, UserError
from shared.model.build import SIZES

LONGEST = 1_000_000  # tokens: more would fill any memory
LEAST_AND_MOST = {
    "max_length": (1, LONGEST),
    "pack_length": (1, LONGEST),
    "vocab_size": (1, LONGEST),
    "relative_attention": (0, LONGEST),
    "copy_attention": (0, 10_000),
}


@dataclass
class ModelArguments:
    """Which decoder to train, and on which form of the sequence."""

    _argument_group_name: ClassVar[str] = "model"

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Start from these weights: a name on the hub such as gpt2, a folder, or an earlier run."},
    )
    from_scratch: bool = field(
        default=False,
        metadata={"help": "With --model_name_or_path: use its shape and vocabulary, but new weights."},
    )
    size: str = field(
        default="mini", metadata={"help": f"Otherwise start from new weights of this size: {', '.join(SIZES)}."}
    )
    config_overrides: str | None = field(
        default=None, metadata={"help": "Change the config of a size, as in n_layer=10,n_head=8 (new weights only)."}
    )
    vocab_size: int = field(default=8192, metadata={"help": "Maximum number of tokens of a new text vocabulary."})
    max_length: int = field(
        default=256, metadata={"help": "Maximum number of tokens in a sequence: source, separator, target and end."}
    )
    extend_positions: Literal["interpolate", "tile"] | None = field(
        default=None,
        metadata={"help": "How to add positions to a pre-trained decoder if --max_length is larger."},
    )
    pack_length: int | None = field(
        default=None,
        metadata={"help": "Number of tokens in a packed row of several sequences (default and minimum: max_length)."},
    )
    dropout: float = field(default=0.1, metadata={"help": "Dropout of embeddings and residuals."})
    attention_dropout: float = field(
        default=0.0, metadata={"help": "Dropout of attention weights (it makes packed rows slower on a GPU)."}
    )
    relative_attention: int = field(
        default=0,
        metadata={
            "help": "Number of distances with an embedding in relative attention (Huang et al. 2018); larger "
            "distances share the last one (0: none, or that of the decoder to start from)."
        },
    )
    position_period: int = field(
        default=0,
        metadata={
            "help": "Number of tokens after which position embeddings repeat: for chorales 64, a bar of four voices in "
            "16ths (0: each position has its own, or those of the decoder to start from)."
        },
    )
    copy_attention: int = field(
        default=0,
        metadata={
            "help": "Width of a head that may copy earlier tokens of the line, such as 64 (a pointer, See et al. 2017; "
            "0: none, or that of the decoder to start from)."
        },
    )
    bpe_dropout: float = field(
        default=0.0,
        metadata={"help": "Probability to leave out a merge when training texts are tokenised, such as 0.1."},
    )
    bpe_samples: int = field(
        default=8, metadata={"help": "With --bpe_dropout: how many times each training row is tokenised anew."}
    )
    mask: Literal["causal", "prefix"] = field(
        default="causal", metadata={"help": "Attention within the source: causal, or prefix (bidirectional)."}
    )
    loss_on: Literal["target", "all"] = field(
        default="target", metadata={"help": "Which tokens count in the loss: the target, or all of the sequence."}
    )

    def check(self, has_source: bool) -> None:
        """Refuse settings that cannot be meant; `has_source` says whether the task's lines begin with one.

        Raises:
            UserError: if one is out of its range, or needs another.
            ExclusiveSettingsError: if each could be meant, but not both.
        """
        if self.mask == "prefix" and self.loss_on == "all":
            raise ExclusiveSettingsError(
                "--mask prefix shows the source what --loss_on all asks of it: give --loss_on target"
            )
        usual = {"mask": "causal", "loss_on": "target"}
        of_a_source = [f"--{name} {value}" for name in usual if (value := getattr(self, name)) != usual[name]]
        if of_a_source and not has_source:
            raise ExclusiveSettingsError(f"the lines to learn have no source: leave out {' and '.join(of_a_source)}")
        if self.size not in SIZES:
            raise UserError(f"--size {self.size}: choose one of {', '.join(SIZES)}")
        for name, (least, most) in LEAST_AND_MOST.items():
            if (value := getattr(self, name)) is not None and not least <= value <= most:
                raise UserError(f"--{name} is {value}: give {least} to {most:,}")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}: give 0 (none) or a probability below 1")
        if not 0 <= self.position_period <= self.max_length:
            raise UserError(
                f"--position_period {self.position_period}: give 0 (none), or at most --max_length {self.max_length}"
            )
        if self.config_overrides and self.model_name_or_path:
            raise UserError("--config_overrides is for new weights: leave it out with --model_name_or_path")
        if self.from_scratch and not self.model_name_or_path:
            raise UserError(
                "--from_scratch needs --model_name_or_path, for its shape and vocabulary; --size is new anyway"
            )
        if not 0 <= self.bpe_dropout < 1:
            raise UserError(f"--bpe_dropout is {self.bpe_dropout}: give 0 (none) or a probability below 1")
        if self.bpe_samples < 1:
            raise UserError(f"--bpe_samples is {self.bpe_samples}: give 1 or more")
