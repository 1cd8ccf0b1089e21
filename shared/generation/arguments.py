"""How to write: flags, under the names of transformers' GenerationConfig."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from shared.errors import UserError

LOWEST_TEMPERATURE = 1e-4  # below it scaled logits leave float32's range, and the result is greedy long before

MOST = {"num_beams": 1000, "num_candidates": 10_000}  # more would fill any memory
OF_SAMPLING = ("temperature", "top_k", "top_p")
OF_BEAMS = ("length_penalty", "early_stopping")
STEEPEST = 5  # of a power of lengths: scores stay well within float32


@dataclass
class GenerationArguments:
    """How to write. A setting at its default here does nothing."""

    _argument_group_name: ClassVar[str] = "generation"

    max_new_tokens: int = field(default=128, metadata={"help": "Maximum number of new tokens after a prompt."})
    min_new_tokens: int = field(
        default=0, metadata={"help": "Minimum number of new tokens: the output does not end before."}
    )
    no_repeat_ngram_size: int = field(
        default=0,
        metadata={"help": "What is written contains no n-gram of this size twice (0: no limit)."},
    )
    do_sample: bool = field(default=False, metadata={"help": "Sample tokens instead of taking the likeliest."})
    temperature: float = field(
        default=1.0, metadata={"help": "A temperature below 1 sharpens the distribution, above 1 flattens it."}
    )
    top_k: int = field(default=0, metadata={"help": "Sample from the k likeliest tokens only (0: from all)."})
    top_p: float = field(
        default=1.0,
        metadata={"help": "Sample from the likeliest tokens that together have this probability."},
    )
    num_beams: int = field(default=1, metadata={"help": "Number of beams (1: no beam search)."})
    length_penalty: float = field(
        default=1.0, metadata={"help": "The score of a hypothesis is log-probability / length ** length_penalty."}
    )
    early_stopping: bool = field(
        default=False, metadata={"help": "End beam search as soon as num_beams hypotheses are finished."}
    )
    rerank_reverse: float = field(
        default=0.0,
        metadata={
            "help": "Of the num_beams hypotheses take the one with the best score + this weight * log p(source | "
            "output) per token; for a decoder that has learned both directions."
        },
    )
    num_candidates: int = field(
        default=1,
        metadata={
            "help": "With --do_sample: draw this many outputs and keep the one most similar to the others, or of "
            "accompaniments the most consonant with their melody."
        },
    )
    generation_batch_size: int = field(
        default=64, metadata={"help": "Number of prompts (times beams) to process at once."}
    )

    def check(self, given: Iterable[str] = ()) -> None:
        """Refuse settings that cannot be meant.

        Raises:
            UserError: if one is out of its range, excludes another, or, where somebody asked for it (`given` has the
                names; a run may well keep it for another time), does nothing.
        """
        least_of = {"max_new_tokens": 1, "num_beams": 1, "num_candidates": 1, "generation_batch_size": 1}
        if self.temperature == math.inf:
            raise UserError(f"--temperature is {self.temperature}: give a finite number")
        if not abs(self.length_penalty) <= STEEPEST:
            raise UserError(f"--length_penalty is {self.length_penalty}: give -{STEEPEST} to {STEEPEST}")
        lowest = least_of | dict.fromkeys(("top_k", "min_new_tokens", "no_repeat_ngram_size"), 0)
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}: give {least} or more")
        for name, most in {**MOST, "min_new_tokens": self.max_new_tokens}.items():
            if getattr(self, name) > most:
                raise UserError(f"--{name} is {getattr(self, name)}: give up to {most:,}")
        if not self.temperature >= LOWEST_TEMPERATURE:
            raise UserError(
                f"--temperature is {self.temperature}: give {LOWEST_TEMPERATURE} or more, or --do_sample false (greedy)"
            )
        if not 0 < self.top_p <= 1:
            raise UserError(f"--top_p is {self.top_p}: give a share above 0 and up to 1")
        if self.do_sample and self.num_beams > 1:
            raise UserError(f"--do_sample and --num_beams {self.num_beams} exclude each other: choose one")
        if not 0 <= self.rerank_reverse < math.inf:
            raise UserError(f"--rerank_reverse is {self.rerank_reverse}: give 0 (off) or a weight above")
        if self.rerank_reverse and self.num_beams == 1:
            raise UserError(f"--rerank_reverse {self.rerank_reverse} chooses among beams: give --num_beams as well")
        if self.num_candidates > 1 and not self.do_sample:
            raise UserError(f"--num_candidates {self.num_candidates} are drawn: give --do_sample true as well")
        self._refuse_idle(given)

    def _refuse_idle(self, given: Iterable[str]) -> None:
        """Refuse settings of one way of writing where it is another's turn, as far as they would change it."""
        idle = dict.fromkeys(OF_SAMPLING, "--do_sample true") if not self.do_sample else {}
        idle |= dict.fromkeys(OF_BEAMS, "--num_beams") if self.num_beams == 1 else {}
        for name in given:
            if name in idle and getattr(self, name) != getattr(GenerationArguments, name):
                raise UserError(f"--{name} does nothing without {idle[name]}: give that as well, or leave it out")


@dataclass
class DecoderArguments:
    """Which decoders write together, and in how many bits their weights are held."""

    ensemble: list[str] | None = field(
        default=None,
        metadata={"help": "More runs of the same vocabulary: each token's probability is the mean of all of them."},
    )
    load_in_8bit: bool = field(
        default=False,
        metadata={"help": "Round the decoder's matrices to 8 bits: a CPU writes one output faster, a little worse."},
    )
