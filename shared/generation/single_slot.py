"""`sampling.advance` for one slot on a CPU: the same choice in a few operations, on numbers in place of tensors."""

import numpy as np
import torch
from torch import Tensor

from shared.generation.arguments import GenerationArguments
from shared.generation.processors import WARPERS, Written, active, process
from shared.generation.slots import Slots


def supports(slots: int, device: torch.device) -> str | None:
    """What keeps a running batch from it, or None."""
    if device.type != "cpu":
        return "reading a token makes a GPU wait"
    return None if slots == 1 else "there are several slots"


def advance(logits: Tensor, slots: Slots, settings: GenerationArguments, end: int) -> None:
    """As `sampling.advance`, for logits [1, V]."""
    count = int(slots.count)
    if settings.do_sample:
        logits = process(logits, active(WARPERS, settings), settings, Written(slots.ids, slots.count, end))
        token = draw(logits, slots.uniform[0, min(count, slots.uniform.shape[1] - 1)].item())
    else:
        token = int(logits.argmax())
    slots.drawn.fill_(token)
    if slots.finished:
        return
    if token == end:
        slots.finished.fill_(True)
        return
    slots.tokens.fill_(token)
    slots.ids[0, count] = token
    slots.count.add_(1)
    slots.positions.add_(1)
    if count + 1 >= slots.limit:
        slots.finished.fill_(True)


def draw(logits: Tensor, uniform: float) -> int:
    """`sampling.draw` of one row, rounded as there."""
    cumulative = logits.softmax(-1).cumsum(-1)[0].numpy()
    mass = cumulative[-1]
    target = min(mass.dtype.type(uniform) * mass, np.nextafter(mass, mass.dtype.type(0)))
    return int(cumulative.searchsorted(target, side="right"))
