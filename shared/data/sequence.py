"""The sequence: how every task becomes one line of tokens.

    source tokens  <separator>  target tokens  <|endoftext|>
    └── context: attended to ──┘└── target: learned ─────────┘

Liu et al. 2018, "Generating Wikipedia by Summarizing Long Sequences", section 4.2.3: a decoder alone can do the work of
an encoder and a decoder when source and target stand in one sequence, divided by a token of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

IGNORED = -100  # the label that torch's and transformers' cross-entropy leave out


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """One line of token ids: `context` is attended to, `target` is learned; `cut` source tokens were left out."""

    context: Sequence[int]
    target: Sequence[int] = field(default=())
    cut: int = 0

    def __len__(self) -> int:
        return len(self.context) + len(self.target)


def build_sequence(
    source: Sequence[int], separator: Sequence[int], target: Sequence[int], end: int, max_length: int
) -> TokenSequence | None:
    """The sequence of one training row, of at most `max_length` tokens; the separator is one token or a few.

    The end of an overlong source is cut; a target never is. None where the target leaves no room for a single
    source token: such a row cannot be learned, and the caller drops (and counts) it.
    """
    room = max_length - len(separator) - len(target) - 1  # 1 for the end
    if room < min(len(source), 1):
        return None
    kept = source[:room]
    return TokenSequence([*kept, *separator], [*target, end], cut=len(source) - len(kept))


def build_prompt(source: Sequence[int], separator: Sequence[int], max_length: int, new_tokens: int) -> TokenSequence:
    """The sequence up to and with its separator, its source cut so that `new_tokens` more fit into `max_length`.

    At least half of the sequence stays for the source, so that a generous `new_tokens` cannot empty the prompt.
    """
    room = max(max_length - new_tokens, max_length // 2, len(separator)) - len(separator)
    kept = source[:room]
    return TokenSequence([*kept, *separator], cut=len(source) - len(kept))


def windows(
    tokens: Sequence[int], max_length: int, stride: int, align: int = 1, vary_end: bool = False
) -> list[TokenSequence]:
    """A long text as overlapping windows of at most `max_length` tokens, each new one `stride` tokens further on.

    Every token but the first is learned exactly once: what overlaps the window before is context only. A small
    stride gives each token more context (and costs more), as in transformers' guide to the perplexity of
    fixed-length models. Where tokens come in groups of `align` (the voices of a chord), every window begins at the same
    place in a group.

    The last window is as full as the others. With `vary_end`, for training, it has up to half less of context, by the
    length of the text: or else all long texts end at the last position, and a decoder takes this position for the end.
    """
    if not 0 < stride <= max_length - align:
        raise ValueError(f"stride {stride} is outside 1 … {max_length - align}")
    found: list[TokenSequence] = []
    learned = 1
    while learned < len(tokens):
        stop = min(len(tokens), learned + stride if found else max_length)
        start = max(0, -(-(stop - max_length) // align) * align)
        if vary_end and found and stop == len(tokens):
            start += (learned - start) * (len(tokens) % 8) // 16 // align * align
        found.append(TokenSequence(tokens[start:learned], tokens[learned:stop]))
        learned = stop
    return found


def loss_mask(sequence_length: int, context_length: int, loss_on: str) -> np.ndarray:
    """Bool [sequence_length]: True where a token is learned, in the `target` only, or in `all` but the first token.

    The first token has nothing before it from which it could be predicted.
    """
    return np.arange(sequence_length) >= first_learned(context_length, loss_on)


def first_learned(context_length: np.ndarray | int, loss_on: str) -> np.ndarray:
    """From which position on a sequence, or each of some, is learned."""
    return np.maximum(1, context_length * (loss_on == "target"))
