"""Logits processors: what the settings do to the logits before a token is chosen, each a function.

A new one is a function here, a line in `MASKS` or `WARPERS` and a field of GenerationArguments with the same name. The
names and meanings are those of transformers' logits processors.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import torch
from torch import Tensor

from shared.generation.arguments import GenerationArguments
from shared.generation.ngrams import repeats
from shared.writing import Constraint


@dataclass(frozen=True)
class Written:
    """What each slot has written: `ids` [N, T], of which the first `count` ([N], or one for all) are there; the `end`
    is the id of `<|endoftext|>`."""

    ids: Tensor
    count: Tensor
    end: int


def without(logits: Tensor, forbidden: Tensor) -> Tensor:
    """`logits` [N, V] without the tokens that are `forbidden`, bool [N, V]; of a row that loses all, with all.

    So a rule gives way to a grammar that allows the end alone, or to a rule before it: something must come.
    """
    left = logits.masked_fill(forbidden, -torch.inf)
    return torch.where((left > -torch.inf).any(-1, keepdim=True), left, logits)


def min_new_tokens(logits: Tensor, least: int, written: Written) -> Tensor:
    """No end before `least` tokens."""
    is_end = torch.arange(logits.shape[1], device=logits.device) == written.end
    return without(logits, (written.count[..., None] < least) & is_end)


def no_repeat_ngram_size(logits: Tensor, n: int, written: Written) -> Tensor:
    """No n-gram twice (Paulus et al. 2018, "A Deep Reinforced Model for Abstractive Summarization")."""
    return without(logits, repeats(written.ids, written.count, n, logits.shape[1]))


def temperature(logits: Tensor, value: float, written: Written) -> Tensor:
    """Sharpen (below 1) or flatten the distribution."""
    return logits / value


def top_k(logits: Tensor, k: int, written: Written) -> Tensor:
    """Only the `k` likeliest, and what is as likely as the last of them (Fan et al. 2018)."""
    if k >= logits.shape[-1]:
        return logits
    return logits.masked_fill(logits < logits.topk(k).values[:, -1:], -torch.inf)


def top_p(logits: Tensor, share: float, written: Written) -> Tensor:
    """Only the nucleus: the likeliest that together hold this share of the probability (Holtzman et al. 2020)."""
    likeliest = logits.sort(-1, descending=True).values
    return logits.masked_fill(logits < likeliest.gather(1, _last(likeliest.softmax(-1), share)), -torch.inf)


def narrowed(shares: Tensor, constraint: Constraint) -> Tensor:
    """`shares` [N, V] of probability, those of a kind that the `constraint` has narrowed on its nucleus alone."""
    if constraint.narrowed is None:
        return shares
    number, held = constraint.narrowed
    kind = constraint.kinds[number]
    of_kind = shares * kind
    likeliest, whole = of_kind.sort(-1, descending=True).values, of_kind.sum(-1, keepdim=True)
    nucleus = of_kind * (of_kind >= likeliest.gather(1, _last(likeliest, held * whole)))
    grown = whole / nucleus.sum(-1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)
    return torch.where(kind, nucleus * grown, shares)


def _last(likeliest: Tensor, held: Tensor | float) -> Tensor:
    """Of shares [N, V], the largest first, the place [N, 1] of the last before which less than `held` is held."""
    return (likeliest.cumsum(-1)[:, :-1] < held).sum(-1, keepdim=True)  # the first is always inside


Processor = Callable[[Tensor, Any, Written], Tensor]  # logits [N, V], the setting's value, what is written -> logits

MASKS: dict[str, Processor] = {  # rule tokens out, whether the next one is drawn, the likeliest, or a beam's
    "min_new_tokens": min_new_tokens,
    "no_repeat_ngram_size": no_repeat_ngram_size,
}
WARPERS: dict[str, Processor] = {  # shape the distribution that is drawn from
    "temperature": temperature,
    "top_k": top_k,
    "top_p": top_p,
}


def active(processors: dict[str, Processor], settings: GenerationArguments) -> dict[str, Processor]:
    """Those that `settings` ask for: their values are not the defaults, which do nothing."""
    defaults = _defaults(type(settings))  # type: ignore[arg-type]  # its instances have no hash, the class has
    return {name: apply for name, apply in processors.items() if getattr(settings, name) != defaults[name]}


@cache
def _defaults(kind: type[GenerationArguments]) -> dict[str, Any]:
    return {field.name: field.default for field in fields(kind)}


def process(
    logits: Tensor, processors: dict[str, Processor], settings: GenerationArguments, written: Written
) -> Tensor:
    """`logits` [N, V] after all `processors`, in their order."""
    for name, apply in processors.items():
        logits = apply(logits, getattr(settings, name), written)
    return logits
