"""What a task may say of its outputs while they are written: what is read before writing on, and what may come next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from collections.abc import Sequence as Tokens
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Window(NamedTuple):
    """What is read before writing (on): `ids`, fewer than the context holds.

    Another window follows where the context is full or a constraint's time is `until`, unless this one is the `last`.
    Where tokens say a time, it counts from `start`, by the constraint's time, and was said last at `said`.
    """

    ids: list[int]
    until: int | None = None
    last: bool = False
    start: int = 0
    said: int = -1


Look = Callable[[int, Tokens[int]], Window]  # prompt i and what is written after it -> what is read to write on


def show(window: Window, state: dict[str, Tensor], slot: int) -> None:
    """Let a slot of a constraint's `state` know the window that is read, as far as it knows time."""
    if window.until is not None:
        state["until"][slot] = window.until
    if "start" in state:
        state["start"][slot], state["said"][slot] = window.start, window.said


def everything(prompt: Tokens[int], written: Tokens[int]) -> Window:
    """All so far; the output ends with the context."""
    return Window([*prompt, *written], last=True)


def latter_half(prompt: Tokens[int], written: Tokens[int], context: int) -> Window:
    """All so far or, where that fills the context, its end."""
    ids = [*prompt, *written]
    return Window(ids if len(ids) < context else ids[-(context // 2) :])


def looking(prompts: Tokens[Tokens[int]], context: int, sliding: bool) -> Look:
    """Reads all so far and, if `sliding`, goes on where the context is full, after the latter half of that."""
    if sliding:
        return lambda index, written: latter_half(prompts[index], written, context)
    return lambda index, written: everything(prompts[index], written)


class Constraint(ABC):
    """Which tokens may come next, followed for many slots at once in tensors that belong to it: its state.

    Every tensor of the state has one row for each slot. After `new_state` none is ever replaced, and neither `allowed`
    nor `advance` waits for the device, so that both can be part of a CUDA graph.

    One that knows time has `until` and `paused` in its state: a slot is paused, and waits for another window, once its
    time is `until`. There are no beams then. What says times has the `start` from which a window counts them, too, and
    when one was `said` last.

    Beam search moves no probability: what is allowed keeps that which the decoder gives it.
    """

    removed: float  # the probability of what was forbidden, summed over the tokens last written under the constraint
    tokens: int  # how many tokens that was, ends included
    stands_for: Tensor  # [V]: where the probability of a forbidden id goes, if that one is allowed; itself: nowhere
    kinds: Tensor  # bool [K, V]: else it goes to what is allowed of its kind; each id is of one
    narrowed: tuple[int, float] | None  # of such a kind only the likeliest that hold this share of it may be drawn

    def __init__(self, size: int):
        """Over `size` ids: each is all of one kind and stands for itself, and no kind is narrowed."""
        import torch  # noqa: PLC0415 (which --help does without)

        self.removed, self.tokens, self.narrowed = 0.0, 0, None
        self.stands_for, self.kinds = torch.arange(size), torch.ones(1, size, dtype=torch.bool)

    def to(self, device: torch.device | str) -> None:
        """Move every tensor that is an attribute to the device; `new_state` does so first."""
        import torch  # noqa: PLC0415 (as above)

        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, value.to(device))

    @abstractmethod
    def new_state(self, slots: int, device: torch.device | str) -> dict[str, Tensor]:
        """The state of `slots` slots, none of which has begun."""

    @abstractmethod
    def begin(
        self, state: dict[str, Tensor], slot: int, prompt: Tokens[int], new_tokens: int, written: Tokens[int] = ()
    ) -> None:
        """On the CPU, set a slot to its prompt and what is `written`; at most `new_tokens` are still to come."""

    @abstractmethod
    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        """Bool [slots, V]: which ids may come next; at least one in every slot, also where the output has ended."""

    @abstractmethod
    def advance(self, state: dict[str, Tensor], tokens: Tensor) -> None:
        """Take in the token [slots] that each slot was given, in place. A beam that is out may be given any."""
