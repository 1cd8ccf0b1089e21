"""What a task may say of its outputs while they are written: what is read before writing on, and what may come next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Window(NamedTuple):
    """The tokens that the decoder reads before it writes on: a prefill of the key-value cache.

    An output that is longer than the context is written window after window. The next one is read where the context is
    full or, under a constraint that knows time, where its time is `until`. Times are in the constraint's units.
    """

    ids: list[int]  # fewer than the context holds: what is written comes behind them
    until: int | None = None  # None: the window is left only where the context is full
    last: bool = False  # whether no other follows: the output ends with the context
    start: int = 0  # where tokens say a time, the time from which those of this window count
    said: int = -1  # the time that they said last


Look = Callable[[int, Sequence[int]], Window]  # the prompt's index and what is written after it -> what to read next


def show(window: Window, state: dict[str, Tensor], slot: int) -> None:
    """Write the window's `until`, `start` and `said` into the slot's row of the constraint's state.

    It follows `Constraint.begin`, which knows the prompt and not the window. A window without `until` leaves the
    state's own, and a state without `start` and `said` is left without them.
    """
    if window.until is not None:
        state["until"][slot] = window.until
    if "start" in state:
        state["start"][slot], state["said"][slot] = window.start, window.said


def everything(prompt: Sequence[int], written: Sequence[int]) -> Window:
    """The prompt and all that is written, as the last window: the output ends with the context."""
    return Window([*prompt, *written], last=True)


def latter_half(prompt: Sequence[int], written: Sequence[int], context: int) -> Window:
    """The prompt and all that is written or, where that fills the context, its last `context // 2` tokens."""
    ids = [*prompt, *written]
    return Window(ids if len(ids) < context else ids[-(context // 2) :])


def looking(prompts: Sequence[Sequence[int]], context: int, sliding: bool) -> Look:
    """The windows of tasks that choose none themselves: `latter_half` if `sliding`, `everything` otherwise."""
    if sliding:
        return lambda index, written: latter_half(prompts[index], written, context)
    return lambda index, written: everything(prompts[index], written)


class Constraint(ABC):
    """Which tokens may come next: a logits processor that remembers what was written, in tensors on the device.

    Transformers' processors are given all ids anew at every step. Here what matters of them is kept in a state, a
    dictionary of tensors that have a row for each slot of the running batch: `begin` sets a row, `allowed` is the mask
    of the next token, `advance` takes in the token that was chosen. After `new_state` no tensor of the state is ever
    replaced, and neither `allowed` nor `advance` waits for the device, so that both can be part of a CUDA graph.

    One that knows time has `until` [slots] and `paused` (bool [slots]) in its state: a slot is paused, and waits for
    its next window, once its time is `until`. There are no beams then. Where tokens say times, the state has `start`
    and `said` [slots], too: see `Window`.

    The probability of a forbidden token goes where `stands_for` and `kinds` say. Beam search moves none: what is
    allowed keeps that which the decoder gives it.
    """

    removed: float  # the probability of what was forbidden, summed over the tokens last written under the constraint
    tokens: int  # how many tokens that was, ends included
    stands_for: Tensor  # int64 [V]: the id that a forbidden id's probability goes to, if that one is allowed; or itself
    kinds: Tensor  # bool [K, V]: else it goes to what is allowed of its kind; each id is of one
    narrowed: tuple[int, float] | None  # (row of `kinds`, p): of that kind only its own top-p nucleus may be drawn

    def __init__(self, size: int):
        """Over `size` ids, all of one kind, which is not narrowed; each stands for itself."""
        import torch  # noqa: PLC0415 (which --help does without)

        self.removed, self.tokens, self.narrowed = 0.0, 0, None
        self.stands_for, self.kinds = torch.arange(size), torch.ones(1, size, dtype=torch.bool)

    @property
    def removed_share(self) -> float:
        """The mean over the tokens of the probability that was `removed`, from 0 to 1; 0 where nothing was written."""
        return self.removed / max(self.tokens, 1)

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
        self, state: dict[str, Tensor], slot: int, prompt: Sequence[int], new_tokens: int, written: Sequence[int] = ()
    ) -> None:
        """On the CPU, set a slot to its prompt and what is `written`; at most `new_tokens` are still to come."""

    @abstractmethod
    def allowed(self, state: dict[str, Tensor]) -> Tensor:
        """Bool [slots, V]: which ids may come next; at least one in every slot, also where the output has ended."""

    @abstractmethod
    def advance(self, state: dict[str, Tensor], tokens: Tensor) -> None:
        """Take in the token [slots] that each slot was given, in place; the token of a beam that is out is any."""
