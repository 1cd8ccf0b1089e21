"""A decoding step of several decoders that write as one."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from shared.generation.cache import KeyValueCache
from shared.generation.decode_step import DecodeStep
from shared.generation.ensemble import mean_of


class EnsembleStep:
    """The steps of several decoders as one: log-probabilities of the mean distribution in place of logits."""

    def __init__(self, steps: Sequence[DecodeStep]):
        self.steps, self.cache = steps, EnsembleCache([step.cache for step in steps])
        self.logits_dtype = steps[0].logits_dtype

    def __call__(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Log-probabilities [N, V] after `tokens` [N] at `positions` [N]."""
        return mean_of([step(tokens, positions) for step in self.steps])

    def prefill(self, prompts: Mapping[int, Sequence[int]]) -> None:
        """Let every decoder read the `prompts`, token ids by slot."""
        for step in self.steps:
            step.prefill(prompts)


class EnsembleCache:
    """The decoders' caches as one: what happens to the slots happens to those of every decoder."""

    def __init__(self, caches: Sequence[KeyValueCache]):
        self.caches = caches

    @property
    def slots(self) -> int:
        """How many there are: as many in each."""
        return self.caches[0].slots

    @property
    def device(self) -> torch.device:
        """Where all of them lie."""
        return self.caches[0].device

    def reorder(self, origins: Tensor, positions: Tensor) -> None:
        """As `KeyValueCache.reorder`."""
        for cache in self.caches:
            cache.reorder(origins, positions)

    def keep(self, slots: Tensor) -> None:
        """As `KeyValueCache.keep`."""
        for cache in self.caches:
            cache.keep(slots)
