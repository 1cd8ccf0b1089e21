"""Beam search, as transformers' `generate` scores and ends it, over a batch of sentences at once."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.cuda_graph import replayed
from shared.generation.ensemble import Ensemble
from shared.generation.processors import MASKS, Written, active, process
from shared.generation.steps import new_step
from shared.model.decoder import Decoder
from shared.writing import Constraint

NONE = -torch.inf  # the score of what cannot be: a hypothesis that is not there, or that holds what is forbidden
WINDOWS = "this task writes window after window, where there are no beams: give --num_beams 1"
STRIDE = 4  # steps between two looks at a GPU, each of which waits for it: one step too many costs more than a look


class Hypothesis(NamedTuple):
    """The ids of one continuation without its end, what beam search scores it by, and what a constraint took of it."""

    score: float  # log-probability / length ** length_penalty
    ids: list[int]
    length: int  # its tokens, the end included
    removed: float  # the probability of what was forbidden, summed over them


class BeamSearch:
    """The hypotheses of a batch of N sentences, K beams each: running ones, and the best finished so far.

    A finished hypothesis scores its log-probability / length ** length_penalty, `<|endoftext|>` counted, as in
    transformers (Wu et al. 2016 divide by ((5 + length) / 6) ** length_penalty). A sentence is over when no running
    beam can beat its worst of K finished ones at the present length or, with `early_stopping`, as soon as K are
    finished; and when no beam runs. All that `begin` and a step change is changed in place, so that a step captured as
    a CUDA graph serves one batch after another.
    """

    def __init__(self, sentences: int, longest: int, settings: GenerationArguments, end: int, device: torch.device):
        shape = sentences, settings.num_beams
        self.settings, self.end, self.masks = settings, end, active(MASKS, settings)
        self.limits = torch.zeros(sentences, dtype=torch.long, device=device)
        self.length = torch.zeros((), dtype=torch.long, device=device)
        self.running = torch.zeros(*shape, longest, dtype=torch.long, device=device)  # ids [N, K, T]
        self.running_scores, self.running_removed = torch.zeros(2, *shape, device=device)
        self.finished = torch.zeros_like(self.running)
        self.finished_scores, self.finished_removed = torch.zeros(2, *shape, device=device)
        self.over = torch.zeros(sentences, dtype=torch.bool, device=device)

    def begin(self, limits: list[int]) -> None:
        """Start on N sentences, of which each may have `limits` [N] tokens."""
        self.limits.copy_(torch.tensor(limits))
        self.length.zero_()
        self.running_scores.zero_()[:, 1:] = NONE  # all beams start alike: only one may branch
        self.running_removed.zero_()
        self.finished_scores.fill_(NONE)
        self.over.zero_()
        for ids in (self.running, self.finished):
            ids.fill_(self.end)

    def step(self, logits: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Extend every beam by one token that is `allowed`, bool [N * K, V], given logits [N * K, V].

        Returns, for each beam that runs on, the beam [N * K] it grew from and its new token [N * K].
        """
        sentences, beams = self.running_scores.shape
        vocabulary = logits.shape[-1]
        scores = logits.log_softmax(-1)
        removed = self.running_removed
        if allowed is not None:
            # What is left keeps its probability: beams are compared by what the decoder says of them.
            removed = removed + scores.exp().masked_fill(allowed, 0).sum(-1).view(sentences, beams)
            scores = scores.masked_fill(~allowed, NONE)
        written = Written(self.running.flatten(0, 1), self.length, self.end)
        scores = process(scores, self.masks, self.settings, written)
        scores = scores.view(sentences, beams, vocabulary) + self.running_scores[..., None]
        # Twice as many as needed, so that K go on even if K end here.
        top, index = scores.flatten(1).topk(2 * beams)
        parents, tokens = index // vocabulary, index % vocabulary
        removed = removed.gather(1, parents)
        grown = self.running.gather(1, parents[..., None].expand(-1, -1, self.running.shape[-1]))
        grown.scatter_(2, self.length.clamp(max=grown.shape[-1] - 1).expand_as(tokens)[..., None], tokens[..., None])
        self.length += 1
        ends = tokens.eq(self.end) | (self.limits <= self.length)[:, None]

        ending = ends.clone()
        ending[:, beams:] = False  # an end that is not among the best K is no better than what runs on
        ending &= ~self.over[:, None]
        candidates = self._normalised(top).masked_fill(~ending, NONE)
        pool_scores = torch.cat([self.finished_scores, candidates], 1)
        scores, best = pool_scores.topk(beams)
        self.finished_scores.copy_(scores)
        pool = torch.cat([self.finished, grown], 1)
        self.finished.copy_(pool.gather(1, best[..., None].expand(-1, -1, pool.shape[-1])))
        self.finished_removed.copy_(torch.cat([self.finished_removed, removed], 1).gather(1, best))

        scores, kept = top.masked_fill(ends, NONE).topk(beams)
        self.running_scores.copy_(scores)
        self.running_removed.copy_(removed.gather(1, kept))
        self.running.copy_(grown.gather(1, kept[..., None].expand(-1, -1, grown.shape[-1])))
        self._close()
        offsets = torch.arange(sentences, device=logits.device)[:, None] * beams
        return (parents.gather(1, kept) + offsets).flatten(), tokens.gather(1, kept).flatten()

    def _normalised(self, scores: Tensor) -> Tensor:
        return scores / self.length.to(scores.dtype) ** self.settings.length_penalty

    def _close(self) -> None:
        full = self.finished_scores[:, -1] > NONE
        beaten = self._normalised(self.running_scores[:, 0]) <= self.finished_scores[:, -1]
        self.over |= full & (beaten | self.settings.early_stopping)
        self.over |= (self.running_scores[:, 0] == NONE) | (self.limits <= self.length)

    @property
    def done(self) -> bool:
        return bool(self.over.all())

    def ranked(self) -> list[list[Hypothesis]]:
        """The finished hypotheses of each sentence, the best first: K of them, or all that there can be."""
        found: list[list[Hypothesis]] = []
        finished = self.finished_scores, self.finished, self.finished_removed
        for limit, *beams in zip(self.limits.tolist(), *(each.tolist() for each in finished), strict=True):
            found.append([])
            for score, line, removed in zip(*beams, strict=True):
                if score > NONE:
                    ids = until(self.end, line[:limit])
                    found[-1].append(Hypothesis(score, ids, min(len(ids) + 1, limit), removed))
        return found


def until(end: int, ids: list[int]) -> list[int]:
    """What comes before the first `end`, or all."""
    return ids[: ids.index(end)] if end in ids else ids


def search(
    decoder: Decoder | Ensemble,
    prompts: Sequence[Sequence[int]],
    settings: GenerationArguments,
    end: int,
    constraint: Constraint | None = None,
    done: Callable[[int], object] = lambda count: None,
) -> list[list[Hypothesis]]:
    """The best `num_beams` continuations of each prompt that a `constraint` allows; `done` is told how many more
    prompts are finished. Prompts of like length together are fastest.

    Raises:
        UserError: under a constraint that knows time.
    """
    limits = [min(settings.max_new_tokens, decoder.context - len(prompt)) for prompt in prompts]
    length = min(decoder.context, max(map(len, prompts)) + max(limits))
    sentences = max(1, settings.generation_batch_size // settings.num_beams)
    batches: _Batches | None = None
    found: list[list[Hypothesis]] = []
    for start in range(0, len(prompts), sentences):
        batch = prompts[start : start + sentences]
        if batches is None or batches.sentences != len(batch):
            batches = None  # its cache goes before another comes
            batches = _Batches(decoder, len(batch), length, max(limits), settings, end, constraint)
        found += batches.search(batch, limits[start : start + sentences])
        done(len(batch))
    return found


def taken(chosen: Iterable[Hypothesis], constraint: Constraint | None) -> list[list[int]]:
    """The ids of the `chosen` hypotheses; what the constraint removed from how many tokens of them is left in it."""
    chosen = list(chosen)
    if constraint:
        constraint.removed = sum((each.removed for each in chosen), 0.0)
        constraint.tokens = sum(each.length for each in chosen)
    return [each.ids for each in chosen]


class _Batches:
    """Beam search over one batch of `sentences` after another, with a step that a GPU captures once."""

    def __init__(
        self,
        decoder: Decoder | Ensemble,
        sentences: int,
        length: int,
        longest: int,
        settings: GenerationArguments,
        end: int,
        constraint: Constraint | None,
    ):
        self.decoder, self.sentences, self.beams = decoder, sentences, settings.num_beams
        slots = sentences * settings.num_beams
        self.constraint = constraint
        self.state = constraint.new_state(slots, decoder.device) if constraint else {}
        if "until" in self.state:
            raise UserError(f"--num_beams {self.beams}: {WINDOWS}")
        self.decode = new_step(decoder, slots, length, beams=True)
        self.hypotheses = BeamSearch(sentences, longest, settings, end, decoder.device)
        self.tokens = torch.zeros(slots, dtype=torch.long, device=decoder.device)
        self.positions = torch.zeros_like(self.tokens)
        self.grow = replayed(self._grow, decoder.device, longest)

    def search(self, prompts: Sequence[Sequence[int]], limits: list[int]) -> list[list[Hypothesis]]:
        """The best continuations of each prompt, of at most its limit's tokens."""
        stride = 1 if self.decoder.device.type == "cpu" else STRIDE
        beams = [[*prompt] for prompt in prompts for _ in range(self.beams)]
        self.decode.prefill(dict(enumerate(beams)))
        self.hypotheses.begin(limits)
        if self.constraint:
            for slot, beam in enumerate(beams):
                self.constraint.begin(self.state, slot, beam, limits[slot // self.beams])
        self.tokens.copy_(torch.tensor([beam[-1] for beam in beams]))
        self.positions.copy_(torch.tensor([len(beam) - 1 for beam in beams]))
        for number in range(1, max(limits) + 1):
            self.grow()
            if number % stride == 0 and self.hypotheses.done:
                break
        return self.hypotheses.ranked()

    def _grow(self) -> None:
        allowed = self.constraint.allowed(self.state) if self.constraint else None
        origins, new = self.hypotheses.step(self.decode(self.tokens, self.positions), allowed)
        self.tokens.copy_(new)
        # A beam whose context is full is over, but still takes part: it rewrites its last position.
        self.positions.copy_((self.positions + 1).clamp(max=self.decoder.context - 1))
        self.decode.cache.reorder(origins, self.positions)
        if self.constraint:
            for tensor in self.state.values():
                tensor.copy_(tensor[origins])
            self.constraint.advance(self.state, new)
