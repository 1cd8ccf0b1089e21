"""A decoding step with the choice after it; what a GPU has recorded in one call of `generate` serves the next.

To copy the weights, to make room for a cache and to record a step takes a GPU as long as to write eighty tokens.
"""

from collections.abc import Callable, Hashable
from dataclasses import astuple, dataclass, replace
from itertools import chain
from weakref import WeakKeyDictionary

from shared.generation.arguments import GenerationArguments
from shared.generation.cuda_graph import replayed
from shared.generation.decode_step import DecodeStep, compute_dtype
from shared.generation.ensemble import Ensemble
from shared.generation.recorded_reading import RecordedReading
from shared.generation.sampling import Sampler
from shared.generation.steps import new_step
from shared.model.decoder import Decoder
from shared.writing import Constraint

DEVICES = {"cuda"}  # where it is kept
MOST = 2**31  # bytes that are kept for a decoder, beside its graphs: 64 lines of GPT-2 small take 1.5 GB
LENGTHS = 256  # a cache's length is a multiple, so that a prompt of another length finds it, too


@dataclass(eq=False)
class RecordedStep:
    """A `step` of the `sampler` in all its slots; `case` says what it is kept for, if it is."""

    sampler: Sampler
    step: Callable[[], None]
    case: Hashable = None

    @property
    def decode(self) -> DecodeStep:
        """The decoding step of what may be kept, which is one decoder's."""
        assert isinstance(self.sampler.decode, DecodeStep)
        return self.sampler.decode

    def has_room(self, length: int, longest: int) -> bool:
        """Whether slots hold `length` tokens, and may write `longest` of them."""
        return self.decode.cache.length >= length and self.sampler.slots.longest >= longest

    @property
    def nbytes(self) -> int:
        """Memory of all but the graphs."""
        return self.decode.nbytes + self.sampler.slots.nbytes


_kept: WeakKeyDictionary[Decoder | Ensemble, RecordedStep] = WeakKeyDictionary()


def recorded_step(
    decoder: Decoder | Ensemble,
    slots: int,
    length: int,
    longest: int,
    settings: GenerationArguments,
    end: int,
    constraint: Constraint | None,
) -> RecordedStep:
    """A step for so many `slots` of at least `length` tokens, each of which writes up to `longest`.

    It is the one that `keep` was given last for this decoder, if that was for the same settings and has the room, and a
    new one otherwise.
    """
    case = None
    kept = _kept.pop(decoder, None)  # taken out: a second thread must not write with it, and its memory may be needed
    if not (isinstance(decoder, Ensemble) or constraint or decoder.device.type not in DEVICES):
        length = min(decoder.context, -(-length // LENGTHS) * LENGTHS)
        # Weights may have changed where they are, but a recorded step reads no others.
        weights = tuple(tensor.data_ptr() for tensor in chain(decoder.parameters(), decoder.buffers()))
        alike = astuple(replace(settings, max_new_tokens=1))  # each slot has a limit of its own
        case = (slots, alike, end, compute_dtype(decoder), weights)
        if kept is not None and kept.case == case and kept.has_room(length, longest):
            kept.decode.renew()
            return kept
    del kept
    sampler = Sampler(new_step(decoder, slots, length), longest, settings, end, constraint)
    step = RecordedStep(sampler, replayed(sampler.step, decoder.device, longest), case)
    if case is not None:
        step.decode.recorded_reading = RecordedReading()
    return step


def keep(decoder: Decoder | Ensemble, step: RecordedStep) -> None:
    """Keep a step whose slots have all finished for the decoder's next call, unless it is too large."""
    if step.case is not None and step.nbytes <= MOST:
        _kept[decoder] = step  # which holds the decoder's parts, or the dictionary would keep its key alive


def forget(decoder: Decoder | Ensemble) -> None:
    """Keep nothing for a decoder that needs the memory for something else."""
    _kept.pop(decoder, None)
