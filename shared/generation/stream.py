"""One line that is read as it comes, token by token, and gone on with at any time.

`shared.generation.generate` is given whole prompts, and reads each when it begins to write after it. Where tokens come
in time, as those of music that is being played, they are read here as they come: when writing is to begin, nothing is
left to read. What then turns out otherwise, or was written and is not to stay, is read anew from where it differs.
"""

import numpy as np
import torch

from shared.data.vocabulary import Vocabulary
from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.decode_step import DecodeStep
from shared.generation.sampling import Sampler
from shared.generation.steps import new_step
from shared.model.decoder import Decoder
from shared.task import Constraint

WHOLE = 24  # tokens: a line that lacks more is read at once, all of it, which takes no longer than steps for those


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

    def lacking(self, ids: list[int]) -> int:
        """How many of `ids` are still to be read; what the cache holds beyond those that it shares with them goes."""
        shared = 0
        for held, wanted in zip(self.held, ids, strict=False):
            if held != wanted:
                break
            shared += 1
        del self.held[shared:]
        return len(ids) - shared

    @torch.inference_mode()
    def read(self, ids: list[int]) -> int:
        """Read one token more of `ids` or, if many are lacking, all; returns how many are then still lacking."""
        lacking = self.lacking(ids)
        if lacking > WHOLE:
            self.decode.cache.prompts[0] = ()  # what was read at once before may have been written over since
            self.decode.prefill({0: ids})
            self.held = list(ids)
        elif lacking:
            self._step(ids[len(self.held)])
        return len(ids) - len(self.held)

    def _step(self, token: int) -> None:
        self.decode(torch.tensor([token]), torch.tensor([len(self.held)]))
        self.held.append(token)

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
