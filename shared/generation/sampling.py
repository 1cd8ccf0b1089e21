"""The choice of the next token, which moves the slots of the running batch on."""

import torch
from torch import Tensor

from shared.generation import single_slot
from shared.generation.arguments import GenerationArguments
from shared.generation.processors import MASKS, WARPERS, Written, active, narrowed, process
from shared.generation.slots import Slots
from shared.generation.steps import Step
from shared.kernels.support import fast
from shared.writing import Constraint


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
    allowed of its kind, to each in proportion to its own. If nothing of its kind is allowed, it goes to all tokens. Of
    a kind that the constraint has `narrowed`, only the nucleus is left, with all of its probability.
    """
    allowed = constraint.allowed(state)
    target, kinds = constraint.stands_for, constraint.kinds.double()
    share = logits.double().softmax(-1)  # in 64 bits, so that no kind vanishes which has any probability
    removed = (share * ~allowed).sum(-1).float()
    moved = share * (~allowed & allowed[:, target])
    share = (share - moved).scatter_add(1, target.expand_as(share), moved)
    left = share * allowed
    of_kind = (share @ kinds.T) / (left @ kinds.T).clamp(min=torch.finfo(torch.double).tiny)
    return narrowed(left * (of_kind @ kinds), constraint).log().to(logits.dtype), removed


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
        decode: Step,
        longest: int,
        settings: GenerationArguments,
        end: int,
        constraint: Constraint | None,
    ):
        count, device = decode.cache.slots, decode.cache.device
        self.decode, self.settings, self.end, self.constraint = decode, settings, end, constraint
        self.slots = Slots(count, longest, device)
        self.state = constraint.new_state(count, device) if constraint else {}
        self.masks = active(MASKS, settings)
        warpers = active(WARPERS, settings) if settings.do_sample else {}
        self.fused = fast("sampling", device, warpers=tuple(warpers), dtype=decode.logits_dtype)
        self._choose()

    def _choose(self) -> None:
        """The forms of the constraint and the choice that so many slots go on with."""
        cache = self.decode.cache
        in_tensors = single_slot.why_not(cache.slots, cache.device) is not None
        self.constrained = constrained if in_tensors else single_slot.constrained
        self.advance = advance if in_tensors else single_slot.advance
        if self.fused:
            self.advance = self.fused.advance

    @torch.inference_mode()
    def step(self) -> None:
        """One token more in every slot that is not finished."""
        slots = self.slots
        logits = self.decode(slots.tokens, slots.positions)
        if self.constraint:
            logits, removed = self.constrained(logits, self.constraint, self.state)
            slots.removed += removed * ~slots.finished
        logits = process(logits, self.masks, self.settings, Written(slots.ids, slots.count, self.end))
        self.advance(logits, slots, self.settings, self.end)
        if self.constraint:
            self.constraint.advance(self.state, slots.drawn)
        if "paused" in self.state:
            slots.finished |= self.state["paused"]

    def paused(self) -> list[bool]:
        """Whether each slot waits for another window."""
        found = self.state.get("paused")
        return [False] * len(self.slots.finished) if found is None else found.tolist()

    def keep(self, slots: Tensor) -> None:
        """Drop all slots but these."""
        self.slots.keep(slots)
        self.state = {name: tensor[slots] for name, tensor in self.state.items()}
        self.decode.cache.keep(slots)
        self._choose()
