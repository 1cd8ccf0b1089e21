"""Which decoding step runs over a new cache."""

from shared.generation import lean_step
from shared.generation.cache import KeyValueCache
from shared.generation.compiled_step import compiled_step
from shared.generation.decode_step import DecodeStep, EnsembleStep, compute_dtype
from shared.generation.ensemble import Ensemble
from shared.model.decoder import Decoder


def new_step(decoder: Decoder | Ensemble, slots: int, length: int, beams: bool = False) -> DecodeStep | EnsembleStep:
    """A step over an empty cache of so many `slots`, each of `length` tokens."""

    def alone(each: Decoder) -> DecodeStep:
        cache = KeyValueCache(each, slots, length, compute_dtype(each), beams)
        if compiled := compiled_step(each, cache):
            return compiled
        kind = DecodeStep if lean_step.why_not(each, cache) else lean_step.LeanStep
        return kind(each, cache)

    if not isinstance(decoder, Ensemble):
        return alone(decoder)
    return EnsembleStep([alone(each) for each in decoder.decoders])
