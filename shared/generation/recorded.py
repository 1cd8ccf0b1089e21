"""A decoding step with the choice after it; what a GPU has recorded in one call of `generate` serves the next.

To copy the weights, to make room for a cache and to record a step takes a GPU as long as to write eighty tokens.
"""

from collections.abc import Hashable
from dataclasses import astuple
from itertools import chain
from weakref import WeakKeyDictionary

from shared.generation.arguments import GenerationArguments
from shared.generation.cuda_graph import replayed
from shared.generation.decode_step import DecodeStep, compute_dtype
from shared.generation.ensemble import Ensemble
from shared.generation.sampling import Sampler
from shared.generation.steps import new_step
from shared.model.decoder import Decoder
from shared.writing import Constraint

DEVICES = {"cuda"}  # where it is kept
MOST = 2**30  # bytes that are kept for a decoder
LENGTHS = 256  # a cache's length is a multiple, so that a prompt of another length finds it, too


class RecordedStep:
    """A `step` over the `sampler`'s slots, and the `decode` step in it."""

    def __init__(
        self,
        decoder: Decoder | Ensemble,
        slots: int,
        length: int,
        longest: int,
        settings: GenerationArguments,
        end: int,
        constraint: Constraint | None,
    ):
        self.decode = new_step(decoder, slots, length)
        self.sampler = Sampler(self.decode, longest, settings, end, constraint)
        self.step = replayed(self.sampler.step, decoder.device, longest)
        self.case: Hashable = None  # what it is kept for


_kept: WeakKeyDictionary[Decoder, RecordedStep] = WeakKeyDictionary()


def recorded_step(
    decoder: Decoder | Ensemble,
    slots: int,
    length: int,
    longest: int,
    settings: GenerationArguments,
    end: int,
    constraint: Constraint | None = None,
) -> RecordedStep:
    """A step for so many `slots` of at least `length` tokens, each of which writes up to `longest`.

    It is the one that `keep` was given last for this decoder, if that was for the same, and a new one otherwise.
    """
    if isinstance(decoder, Ensemble) or constraint or decoder.device.type not in DEVICES:
        return RecordedStep(decoder, slots, length, longest, settings, end, constraint)
    length = min(decoder.context, -(-length // LENGTHS) * LENGTHS)
    # Weights may have changed where they are, but a recorded step reads no others.
    weights = tuple(tensor.data_ptr() for tensor in chain(decoder.parameters(), decoder.buffers()))
    case = (slots, length, longest, astuple(settings), end, compute_dtype(decoder), weights)
    kept = _kept.pop(decoder, None)  # taken out, as a second thread must not write with it
    if kept is None or kept.case != case:
        del kept  # its memory may be needed
        kept = RecordedStep(decoder, slots, length, longest, settings, end, None)
        kept.case = case
        return kept
    assert isinstance(kept.decode, DecodeStep)
    kept.decode.decoder = decoder
    kept.decode.renew()
    return kept


def keep(decoder: Decoder | Ensemble, step: RecordedStep) -> None:
    """Keep a step whose slots have all finished for the decoder's next call, unless it is too large."""
    if step.case is None:
        return
    assert isinstance(decoder, Decoder) and isinstance(step.decode, DecodeStep)
    if step.decode.nbytes <= MOST:
        del step.decode.decoder  # or the dictionary would keep its key alive
        _kept[decoder] = step
