"""One line that is read as it comes, token by token, and gone on with at any time.

`shared.generation.generate` is given whole prompts, and reads each when it begins to write after it. Where tokens come
in time, as those of music that is being played, they are read here as they come: when writing is to begin, nothing is
left to read. What then turns out otherwise, or was written and is not to stay, is read anew from where it differs.
"""

import numpy as np
import torch
from torch import Tensor

from shared.data.vocabulary import Vocabulary
from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.cache import KeyValueCache
from shared.generation.decode_step import DecodeStep
from shared.generation.sampling import Sampler
from shared.generation.steps import new_step
from shared.model.decoder import Decoder
from shared.writing import Constraint


class _Place:
    """A cache's place for the tokens behind `start`."""

    def __init__(self, cache: KeyValueCache, start: int):
        self.cache, self.start = cache, start

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Store what `layer` computed for the new tokens; returns that of all up to them."""
        stop = self.start + keys.shape[2]
        held = self.cache.keys[layer][:, :, :stop], self.cache.values[layer][:, :, :stop]
        for stored, new in zip(held, (keys, values), strict=True):
            stored[:, :, self.start :] = new
        return held


class Stream:
    """A decoder over a key-value cache of one slot; `held` are the tokens whose keys and values are in the cache.

    Raises:
        UserError: for a decoder whose context reads itself both ways, or for beams: neither goes token by token.
    """

    def __init__(self, decoder: Decoder, settings: GenerationArguments, vocabulary: Vocabulary):
        if decoder.config.mask == "prefix":
            raise UserError("the decoder reads its context both ways, so all at once: take a run of --mask causal")
        if settings.num_beams > 1:
            raise UserError(f"--num_beams {settings.num_beams}: beams are chosen when a line has ended; leave it out")
        self.settings, self.end = settings, vocabulary.end
        decode = new_step(decoder.eval(), 1, decoder.context)
        assert isinstance(decode, DecodeStep)  # of one decoder
        self.decode, self.held = decode, list[int]()

    def trim_to(self, ids: list[int]) -> None:
        """Hold no more than `ids` begin with: from where they differ, what was read is forgotten."""
        shared = 0
        for held, wanted in zip(self.held, ids, strict=False):
            if held != wanted:
                break
            shared += 1
        del self.held[shared:]

    @torch.inference_mode()
    def read(self, ids: list[int]) -> None:
        """Let the cache hold `ids`: what is lacking is read, one token by a decoding step, several at once."""
        self.trim_to(ids)
        start = len(self.held)
        lacking = len(ids) - start
        if lacking == 1:
            self.decode(torch.tensor(ids[start:]), torch.tensor([start]))
        elif lacking:
            earlier = torch.ones(lacking, len(ids), dtype=torch.bool).tril(start)
            positions = torch.arange(start, len(ids))
            place = _Place(self.decode.cache, start)
            self.decode.read(torch.tensor([ids[start:]]), positions, earlier[None, None], place)
        self.held = list(ids)

    def begin(
        self, prompt: list[int], new_tokens: int, constraint: Constraint | None = None, seed: tuple[int, int] = (0, 0)
    ) -> None:
        """Be ready to write up to `new_tokens` after `prompt`, of which all but the last token are to be read first.

        What is drawn is what `generate` draws by its `seed` and one of its `streams`.
        """
        self.sampler = Sampler(self.decode, new_tokens, self.settings, self.end, constraint)
        if constraint:
            constraint.begin(self.sampler.state, 0, prompt, new_tokens)
        uniform = None
        if self.settings.do_sample:
            uniform = np.random.default_rng([seed[0] % 2**63, seed[1]]).random(new_tokens)[None]
        self.sampler.slots.admit([0], [prompt], [[]], [new_tokens], uniform)

    def write(self) -> int | None:
        """The next token; None at the end, or when all that may be written is."""
        slots = self.sampler.slots
        if slots.finished:
            return None
        position, token = int(slots.positions), int(slots.tokens)
        assert len(self.held) >= position, "the prompt is not read yet"
        del self.held[position:]  # the step reads the newest token, if need be again
        self.sampler.step()
        self.held.append(token)
        drawn = int(slots.drawn)
        return None if drawn == self.end else drawn
