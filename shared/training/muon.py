"""Muon: steps of one size in every direction for the layers' matrices, AdamW for all else.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/: the momentum of a matrix is replaced by the nearest
semi-orthogonal one. `torch.optim.Muon` takes the matrices one by one; here those of one shape go together, which small
decoders, bound by the number of launches, need.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

MUON = "muon"  # as `--optim` calls it
MOMENTUM = 0.95
STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of a quintic that raises small singular values fastest; all end near 1


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices [N, A, B] of rank A <= B with singular values between about 0.7 and 1.2 (Newton-Schulz iteration)."""
    first, third, fifth = COEFFICIENTS
    matrices = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(STEPS):
        gram = matrices @ matrices.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth)
        matrices = torch.baddbmm(matrices, polynomial, matrices, beta=first)
    return matrices


class Muon(torch.optim.AdamW):
    """AdamW whose groups with `parts` > 0 hold matrices [A, B] and are stepped orthogonally.

    `parts` is how many matrices stand side by side in one, [A, parts * B], as queries, keys and values do. A step is
    as large as AdamW's usual one (Liu et al. 2025, https://arxiv.org/abs/2502.16982, section 2.2), so that learning
    rate and weight decay mean the same for both.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            if group["parts"]:
                self._orthogonal_step(group)
        super().step()
        return loss

    def _orthogonal_step(self, group: dict[str, Any]) -> None:
        weights = [weight for weight in group["params"] if weight.grad is not None]
        gradients = [weight.grad for weight in weights]
        for weight in weights:
            if not self.state[weight]:
                # What AdamW's loading looks for in every state, and the momentum.
                self.state[weight] = {"step": torch.zeros(()), "momentum": torch.zeros_like(weight)}
            weight.grad = None  # so that AdamW passes it over
        momenta = [self.state[weight]["momentum"] for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        directions = torch._foreach_lerp(gradients, momenta, MOMENTUM)  # Nesterov's
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        stacks = defaultdict(list)
        for weight, direction in zip(weights, directions, strict=True):
            for part, toward in zip(*(x.chunk(group["parts"], 1) for x in (weight, direction)), strict=True):
                wide = part.shape[0] <= part.shape[1]
                pair = (part, toward) if wide else (part.mT, toward.mT)
                stacks[pair[0].shape].append(pair)
        for (_, columns), pairs in stacks.items():
            parts, towards = zip(*pairs, strict=True)
            stacked = torch.stack(towards)
            # A CPU's bfloat16 may be emulated, and slow.
            steps = orthogonalised(stacked.bfloat16() if stacked.is_cuda else stacked).to(stacked.dtype)
            torch._foreach_add_(parts, steps.unbind(), alpha=-group["lr"] * 0.2 * columns**0.5)


def muon(model: nn.Module, decayed: Collection[str], weight_decay: float, **settings) -> Muon:
    """The optimizer of a GPT-2: Muon's steps for the blocks' matrices, AdamW's, as `settings` say, for all else.

    `decayed` names the parameters that `weight_decay` is for.
    """
    groups = defaultdict(list)
    for name, weight in model.named_parameters():
        parts = (3 if ".c_attn." in name else 1) if ".h." in name and weight.ndim == 2 else 0
        groups[parts, name in decayed].append(weight)
    groups = [
        {"params": weights, "parts": parts, "weight_decay": weight_decay if with_decay else 0.0}
        for (parts, with_decay), weights in groups.items()
    ]
    return Muon(groups, fused=True, **settings)
