"""`sampling.constrained` and `advance` for one slot on a CPU: the same in few operations, on numbers and small arrays.

NumPy takes less time than PyTorch to call anything, and a distribution over events is small.
"""

import numpy as np
import torch
from torch import Tensor

from shared.generation.arguments import GenerationArguments
from shared.generation.processors import WARPERS, Written, active, narrowed, process
from shared.generation.slots import Slots
from shared.writing import Constraint


def why_not(slots: int, device: torch.device) -> str | None:
    """What keeps a running batch from these forms, or None."""
    if device.type != "cpu":
        return "reading a token makes a GPU wait"
    return None if slots == 1 else "there are several slots"


def constrained(logits: Tensor, constraint: Constraint, state: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """As `sampling.constrained`, for logits [1, V]."""
    allowed = constraint.allowed(state)[0].numpy()
    target, kinds = constraint.stands_for.numpy(), constraint.kinds.numpy()
    share = logits[0].double().softmax(-1).numpy()
    removed = torch.tensor([share[~allowed].sum()], dtype=torch.float32)
    moved = np.where(~allowed & allowed[target], share, 0)
    share = share - moved + np.bincount(target, moved, len(share))
    left = share * allowed
    of_kind = (kinds @ share) / (kinds @ left).clip(min=np.finfo(np.double).tiny)
    return narrowed(torch.from_numpy(left * (of_kind @ kinds))[None], constraint).log().to(logits.dtype), removed


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
