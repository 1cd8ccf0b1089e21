"""Which decoding step runs over a new cache: that of the first line below which the decoder and its cache fit.

    where   what                                                     step             is compared with (its plain twin)
    any     several decoders                                         `EnsembleStep`   `Ensemble.packed_logits`
    CPU     one slot, float32, after `compile_step`; no beams        `CompiledStep`   `DecodeStep`
    CPU     float32 or float64, without autocast; no beams           `LeanStep`       `DecodeStep`
    CPU     beams, autocast, or weights of 16 bits                   `DecodeStep`     `Decoder.packed_logits`
    GPU     all that the kernels of `shared.kernels.decode` take     `DecodeStep`     the same without kernels
    GPU     all else, as float64                                     `DecodeStep`     `Decoder.packed_logits`

An `EnsembleStep` has one of the other steps for each decoder. A `LeanStep` computes as a `DecodeStep` while its slots
stand at different positions. `why_not_compiled` and the files' `why_not` have the conditions in full.

On a CPU no step is recorded. On a GPU `cuda_graph.replayed` records any of them with the choice after it, where so many
tokens may be written that it is worth while. `recorded` keeps what was recorded for the next call of `generate`, if it
is one decoder's and writes under no constraint. The plain twin of all this is `reference`, which has neither steps nor
a cache.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from shared.generation import lean_step
from shared.generation.cache import KeyValueCache
from shared.generation.compiled_step import compiled_step
from shared.generation.decode_step import DecodeStep, compute_dtype
from shared.generation.ensemble import Ensemble
from shared.generation.ensemble_step import EnsembleCache, EnsembleStep
from shared.model.decoder import Decoder


class Step(Protocol):
    """What sampling and beam search need of a step, whatever it is."""

    @property
    def cache(self) -> KeyValueCache | EnsembleCache:
        """What the slots hold; some are dropped there, and beams reordered."""

    @property
    def logits_dtype(self) -> torch.dtype:
        """That of what a call returns."""

    def __call__(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Logits or log-probabilities [N, V] after `tokens` [N], one in each slot, at `positions` [N]."""

    def prefill(self, prompts: Mapping[int, Sequence[int]]) -> None:
        """Let slots begin with `prompts`, token ids by slot: the cache holds them afterwards."""


def new_step(decoder: Decoder | Ensemble, slots: int, length: int, beams: bool = False) -> Step:
    """A step over an empty cache of so many `slots`, each of `length` tokens; with `beams`, they can be reordered."""

    def alone(each: Decoder) -> DecodeStep:
        cache = KeyValueCache(each, slots, length, compute_dtype(each), beams)
        if compiled := compiled_step(each, cache):
            return compiled
        kind = DecodeStep if lean_step.why_not(each, cache) else lean_step.LeanStep
        return kind(each, cache)

    if not isinstance(decoder, Ensemble):
        return alone(decoder)
    return EnsembleStep([alone(each) for each in decoder.decoders])
