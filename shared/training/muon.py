"""Muon: steps of one size in every direction for the layers' matrices, AdamW for all else.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/: the momentum of a matrix is replaced by the nearest
semi-orthogonal one. `torch.optim.Muon` takes the matrices one by one; here those of one shape go together, which small
decoders, bound by the number of launches, need.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainingArguments

from shared.errors import UserError
from shared.hardware import multiplies_bfloat16

MUON = "muon"  # as `--optim` calls it
MOMENTUM = 0.95
SETTINGS = ("momentum", "adamw_rate")  # what --optim_args may set
STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of a quintic that raises small singular values fastest; all end near 1


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices [N, A, B] of rank A <= B with singular values between about 0.7 and 1.2 (Newton-Schulz iteration)."""
    # First row by row: a GPU would give each matrix to one of its many processors.
    exact = torch.promote_types(matrices.dtype, torch.float32)
    norms = torch.linalg.vector_norm(matrices, dim=2, keepdim=True, dtype=exact).norm(dim=1, keepdim=True)
    matrices = matrices / norms.clamp(min=1e-7).to(matrices.dtype)
    if matrices.dtype == torch.float32 and 2 * matrices.shape[1] <= matrices.shape[2]:
        return _factor(matrices @ matrices.mT) @ matrices
    for _ in range(STEPS):
        gram = matrices @ matrices.mT
        matrices = _polynomial(gram) @ matrices
    return matrices


def _factor(gram: Tensor) -> Tensor:
    """What all the iterations multiply wide matrices by, on the left, from their Gram matrices [N, A, A].

    The steps are the same, but all of their products are of A x A. They need float32: what the matrices' squares lose
    of small singular values grows with the steps.
    """
    factor = polynomial = _polynomial(gram)
    for _ in range(STEPS - 1):
        gram = polynomial @ (polynomial @ gram)  # that of the matrices so far: all of them commute
        polynomial = _polynomial(gram)
        factor = polynomial @ factor
    return factor


def _polynomial(gram: Tensor) -> Tensor:
    """What one iteration multiplies matrices by, on the left, from their Gram matrices [N, A, A]."""
    first, third, fifth = COEFFICIENTS
    polynomial = third * gram
    polynomial.diagonal(dim1=1, dim2=2).add_(first)
    # In its own place: else it would begin with a copy.
    return polynomial.baddbmm_(gram, gram, alpha=fifth)


class Muon(torch.optim.AdamW):
    """AdamW whose groups with `parts` > 0 hold matrices [A, B] and are stepped orthogonally.

    `parts` is how many matrices stand side by side in one, [A, parts * B], as queries, keys and values do. A step is
    as large as AdamW's usual one (Liu et al. 2025, https://arxiv.org/abs/2502.16982, section 2.2), so that learning
    rate and weight decay mean the same for both. `momentum` is the share of itself that a step's direction keeps.
    """

    def __init__(self, groups: list[dict[str, Any]], momentum: float = MOMENTUM, **settings: Any):
        super().__init__(groups, **settings)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None if closure is None else torch.enable_grad()(closure)()
        stacks = defaultdict(list)
        for group in self.param_groups:
            for stack in self._stacks(group) if group["parts"] else ():
                stacks[stack.shape].append(stack)
        _at_once([super().step, *(partial(_orthogonal_step, same) for same in stacks.values())])
        return loss

    def _stacks(self, group: dict[str, Any]) -> list["_Stack"]:
        """The group's weights, which all else of a step is done to, with their directions, by shape."""
        weights = [weight for weight in group["params"] if weight.grad is not None]
        if not weights:
            return []
        gradients = [weight.grad for weight in weights]
        for weight in weights:
            if not self.state[weight]:
                # What AdamW's loading looks for in every state, and the momentum.
                self.state[weight] = {"step": torch.zeros(()), "momentum": torch.zeros_like(weight)}
            weight.grad = None  # so that AdamW passes it over
        momenta = [self.state[weight]["momentum"] for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - self.momentum)
        directions = torch._foreach_lerp(gradients, momenta, self.momentum)  # Nesterov's
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        same = defaultdict(list)
        for weight, direction in zip(weights, directions, strict=True):
            same[weight.shape].append((weight, direction))
        return [_Stack(group, *map(list, zip(*pairs, strict=True))) for pairs in same.values()]


def _at_once(jobs: list[Callable[[], Any]]) -> None:
    """Do jobs that know nothing of each other: one after the other, or on a GPU, which none of them fills, abreast."""
    if not torch.cuda.is_available():
        for job in jobs:
            job()
        return
    here = torch.cuda.current_stream()
    streams = [_stream(number) for number in range(len(jobs))]
    for stream, job in zip(streams, jobs, strict=True):
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            job()
    for stream in streams:
        here.wait_stream(stream)


@cache
def _stream(number: int) -> torch.cuda.Stream:
    return torch.cuda.Stream()


def _orthogonal_step(stacks: list["_Stack"]) -> None:
    """Step along the directions of stacks of one shape."""
    counts, like = [stack.count for stack in stacks], stacks[0].directions
    dtype = torch.bfloat16 if multiplies_bfloat16(like.device) else like.dtype
    matrices = like.new_empty(sum(counts), *stacks[0].shape, dtype=dtype)
    for stack, own in zip(stacks, matrices.split(counts), strict=True):
        stack.fill(own)
    for stack, own in zip(stacks, orthogonalised(matrices).split(counts), strict=True):
        stack.step(own)


class _Stack:
    """Weights of one shape [A, parts * B] and their `directions` [N, A, parts * B], as wide matrices and back.

    There are `count` matrices, of the `shape` (a, b) with a <= b. Either way is a single pass over memory.
    """

    def __init__(self, group: dict[str, Any], weights: list[Tensor], directions: list[Tensor]):
        self.group, self.weights, self.directions = group, weights, torch.stack(directions)
        height, width = weights[0].shape[0], weights[0].shape[1] // group["parts"]
        self.count, self.shape = len(weights) * group["parts"], (min(height, width), max(height, width))
        self.tall = height > width

    def _in_rows(self, matrices: Tensor) -> Tensor:
        """Matrices [count, a, b] as the weights hold them, [N, A, parts, B], without a copy."""
        matrices = matrices.mT if self.tall else matrices
        return matrices.unflatten(0, (-1, self.group["parts"])).transpose(1, 2)

    def fill(self, matrices: Tensor) -> None:
        """Write the directions to `matrices` [count, a, b]."""
        self._in_rows(matrices).copy_(self.directions.unflatten(2, (self.group["parts"], -1)))

    def step(self, steps: Tensor) -> None:
        """Take orthogonal `steps` [count, a, b], as large as the group's learning rate wants them."""
        steps = self._in_rows(steps)
        # A tensor of one number, not a number: the product is of its type, float32, which the steps need not be.
        size = self.directions.new_ones(1) * self.group["lr"] * (-0.2 * self.shape[1] ** 0.5)
        torch.mul(steps, size, out=self.directions.view(steps.shape))
        torch._foreach_add_(self.weights, self.directions.unbind())


def muon(
    model: nn.Module,
    decayed: Collection[str],
    weight_decay: float,
    lr: float,
    momentum: float = MOMENTUM,
    adamw_rate: float = 1.0,
    **settings: Any,
) -> Muon:
    """The optimizer of a GPT-2: Muon's steps for the blocks' matrices, AdamW's, as `settings` say, for all else.

    `decayed` names the parameters that `weight_decay` is for. The learning rate of AdamW's steps is `lr * adamw_rate`.
    """
    parameters = defaultdict(list)
    for name, weight in model.named_parameters():
        parts = (3 if ".c_attn." in name else 1) if ".h." in name and weight.ndim == 2 else 0
        parameters[parts, name in decayed].append(weight)
    groups = [
        {
            "params": weights,
            "parts": parts,
            "weight_decay": weight_decay if with_decay else 0.0,
            "lr": lr if parts else lr * adamw_rate,
        }
        for (parts, with_decay), weights in parameters.items()
    ]
    return Muon(groups, momentum, lr=lr, fused=True, **settings)


def muon_of(arguments: TrainingArguments, model: nn.Module, decayed: Collection[str]) -> Muon:
    """The optimizer of a GPT-2 that a training's arguments ask for; `decayed` as for `muon`.

    Raises:
        UserError: if --optim_args are none of its own.
    """
    return muon(
        model,
        decayed,
        lr=arguments.learning_rate,
        weight_decay=arguments.weight_decay,
        betas=(arguments.adam_beta1, arguments.adam_beta2),
        eps=arguments.adam_epsilon,
        **muon_settings(arguments.optim_args),
    )


def muon_settings(text: str | None) -> dict[str, float]:
    """The numbers of --optim_args, as in `momentum=0.9,adamw_rate=2`.

    Raises:
        UserError: for anything else.
    """
    pairs = [pair.partition("=") for pair in (text or "").replace(" ", "").split(",") if pair]
    try:
        settings = {name: float(value) for name, _, value in pairs}
    except ValueError:
        settings = {"": 0.0}
    if not settings.keys() <= set(SETTINGS) or not 0 <= settings.get("momentum", 0) < 1:
        raise UserError(
            f"--optim_args {text}: of muon, give momentum=0.95,adamw_rate=1 with other numbers, or one of them"
        )
    return settings
