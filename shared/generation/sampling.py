"""The choice of the next token, and the slots of the running batch that it moves on."""

import numpy as np
import torch
from torch import Tensor

from shared.generation.arguments import GenerationArguments
from shared.generation.decode_step import DecodeStep, EnsembleStep
from shared.generation.processors import MASKS, WARPERS, Written, active, process
from shared.kernels.support import fast
from shared.task import Constraint


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """A token [N] of each distribution `logits` [N, V], by `uniform` [N] numbers in [0, 1).

    Inverts the cumulative distribution, so that the same number always draws the same token.
    """
    cumulative = logits.softmax(-1).cumsum(-1)
    mass = cumulative[:, -1:]
    # Below the whole mass even where rounding would reach it: what is drawn must have some probability.
    target = torch.minimum(uniform[:, None].to(mass.dtype) * mass, mass.nextafter(torch.zeros_like(mass)))
    return torch.searchsorted(cumulative, target, right=True)[:, 0]


def constrained(logits: Tensor, constraint: Constraint, state: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """`logits` [N, V] of what the constraint allows, and the probability [N] of what it forbids.

    That goes to the token that the forbidden one stands for or, if there is none or that is forbidden, too, to what is
    allowed of its kind, to each in proportion to its own. If nothing of its kind is allowed, it goes to all tokens.
    """
    allowed = constraint.allowed(state)
    target, kinds = constraint.stands_for, constraint.kinds.double()
    share = logits.double().softmax(-1)  # in 64 bits, so that no kind vanishes which has any probability
    removed = (share * ~allowed).sum(-1).float()
    moved = share * (~allowed & allowed[:, target])
    share = (share - moved).scatter_add(1, target.expand_as(share), moved)
    left = share * allowed
    of_kind = (share @ kinds.T) / (left @ kinds.T).clamp(min=torch.finfo(torch.double).tiny)
    return (left * (of_kind @ kinds)).log().to(logits.dtype), removed


class Slots:
    """The places of the running batch, each writing after a prompt of its own.

    All that a step changes is a tensor that is changed in place, so that a step can be replayed as a CUDA graph.
    """

    def __init__(self, slots: int, longest: int, device: torch.device):
        self.tokens = torch.zeros(slots, dtype=torch.long, device=device)  # the newest of each slot
        self.drawn = torch.zeros_like(self.tokens)  # what was chosen last, an end included
        self.positions = torch.zeros_like(self.tokens)  # where the newest stands
        self.count = torch.zeros_like(self.tokens)  # how many a slot has written
        self.limit = torch.zeros_like(self.tokens)  # how many it may write
        self.finished = torch.ones(slots, dtype=torch.bool, device=device)
        self.ids = torch.zeros(slots, longest, dtype=torch.long, device=device)
        self.uniform = torch.zeros(slots, longest, device=device)  # the numbers that draw its tokens
        self.removed = torch.zeros(slots, device=device)  # probability of what a constraint forbade, summed over tokens

    def admit(
        self,
        places: list[int],
        windows: list[list[int]],
        written: list[list[int]],
        limits: list[int],
        uniform: np.ndarray | None,
    ) -> None:
        """Begin the slots `places`, whose prompts are in the cache, or go on with those that have `written` something.

        Each ends with its limit of tokens, those included; `uniform` [places, longest] draw all it may ever write.
        """
        numbers = [
            places,
            [window[-1] for window in windows],
            [len(window) - 1 for window in windows],
            [*map(len, written)],
            limits,
        ]
        # One copy for all of them: for short outputs, a copy a value would take longer than writing.
        slots, *values = torch.tensor(numbers).to(self.tokens.device)
        for tensor, value in zip((self.tokens, self.positions, self.count, self.limit), values, strict=True):
            tensor[slots] = value
        self.finished[slots] = False
        self.removed[slots] = 0
        for slot, ids in zip(places, written, strict=True):
            if ids:
                self.ids[slot, : len(ids)] = torch.tensor(ids)
        if uniform is not None:
            self.uniform[slots] = torch.from_numpy(uniform).to(self.uniform)

    def keep(self, slots: Tensor) -> None:
        """Drop all slots but these."""
        for name, tensor in vars(self).items():
            setattr(self, name, tensor[slots])


def advance(logits: Tensor, slots: Slots, settings: GenerationArguments, end: int) -> None:
    """Choose each slot's next token from `logits` [N, V], and move the slots on by it.

    The likeliest token or, with `do_sample`, one drawn from what the settings leave of the distribution.
    """
    place = slots.count.clamp(max=slots.ids.shape[1] - 1)[:, None]
    if settings.do_sample:
        written = Written(slots.ids, slots.count, end)
        logits = process(logits, active(WARPERS, settings), settings, written)
        tokens = draw(logits, slots.uniform.gather(1, place)[:, 0])
    else:
        tokens = logits.argmax(-1)
    slots.drawn.copy_(tokens)
    writing = ~slots.finished & tokens.ne(end)
    slots.tokens.copy_(torch.where(writing, tokens, slots.tokens))
    slots.ids.scatter_(1, place, torch.where(writing, tokens, slots.ids.gather(1, place)[:, 0])[:, None])
    slots.count += writing
    slots.positions += writing
    slots.finished |= ~writing | slots.count.ge(slots.limit)


class Sampler:
    """Writes in all slots at once: a decoding step, what the settings and a constraint rule out, and a choice."""

    def __init__(
        self,
        decode: DecodeStep | EnsembleStep,
        longest: int,
        settings: GenerationArguments,
        end: int,
        constraint: Constraint | None = None,
    ):
        count, device = decode.cache.slots, decode.cache.device
        self.decode, self.settings, self.end, self.constraint = decode, settings, end, constraint
        self.slots = Slots(count, longest, device)
        self.state = constraint.new_state(count, device) if constraint else {}
        self.masks = active(MASKS, settings)
        warpers = active(WARPERS, settings) if settings.do_sample else {}
        fused = fast("sampling", device, warpers=tuple(warpers), dtype=decode.logits_dtype)
        self.advance = fused.advance if fused else advance

    @torch.inference_mode()
    def step(self) -> None:
        """One token more in every slot that is not finished."""
        slots = self.slots
        logits = self.decode(slots.tokens, slots.positions)
        if self.constraint:
            logits, removed = constrained(logits, self.constraint, self.state)
            slots.removed += removed * ~slots.finished
        logits = process(logits, self.masks, self.settings, Written(slots.ids, slots.count, self.end))
        self.advance(logits, slots, self.settings, self.end)
        if self.constraint:
            self.constraint.advance(self.state, slots.drawn)

    def keep(self, slots: Tensor) -> None:
        """Drop all slots but these."""
        self.slots.keep(slots)
        self.state = {name: tensor[slots] for name, tensor in self.state.items()}
        self.decode.cache.keep(slots)
