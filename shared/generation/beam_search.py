"""Beam search, as transformers' `generate` scores and ends it, over a batch of sentences at once."""

from collections.abc import Callable
from collections.abc import Sequence as Tokens
from typing import NamedTuple

import torch
from torch import Tensor

from shared.generation.arguments import GenerationArguments
from shared.generation.cuda_graph import replayed
from shared.generation.ensemble import Ensemble
from shared.generation.processors import MASKS, Written, active, process
from shared.generation.steps import new_step
from shared.model.decoder import Decoder

WORST = -1e30  # below any score, whatever the length penalty makes of it, and twice as much is still a float32
STRIDE = 4  # steps between two looks at a GPU, each of which waits for it: one step too many costs more than a look


class Hypothesis(NamedTuple):
    """The ids of one continuation without its end, and what beam search scores it by."""

    score: float  # log-probability / length ** length_penalty
    ids: list[int]


class BeamSearch:
    """The hypotheses of a batch of N sentences, K beams each: running ones, and the best finished so far.

    A finished hypothesis scores its log-probability / length ** length_penalty, `<|endoftext|>` counted (the length
    normalisation of Wu et al. 2016). A sentence is over when no running beam can beat its worst of K finished ones at
    the present length or, with `early_stopping`, as soon as K are finished. All that `begin` and a step change is
    changed in place, so that a step captured as a CUDA graph serves one batch after another.
    """

    def __init__(self, sentences: int, longest: int, settings: GenerationArguments, end: int, device: torch.device):
        shape = sentences, settings.num_beams
        self.settings, self.end, self.masks = settings, end, active(MASKS, settings)
        self.limits = torch.zeros(sentences, dtype=torch.long, device=device)
        self.length = torch.zeros((), dtype=torch.long, device=device)
        self.running = torch.zeros(*shape, longest, dtype=torch.long, device=device)  # ids [N, K, T]
        self.running_scores = torch.zeros(shape, device=device)
        self.finished = torch.zeros_like(self.running)
        self.finished_scores = torch.zeros(shape, device=device)
        self.over = torch.zeros(sentences, dtype=torch.bool, device=device)

    def begin(self, limits: list[int]) -> None:
        """Start on N sentences, of which each may have `limits` [N] tokens."""
        self.limits.copy_(torch.tensor(limits))
        self.length.zero_()
        self.running_scores.zero_()[:, 1:] = WORST  # all beams start alike: only one may branch
        self.finished_scores.fill_(WORST)
        self.over.zero_()
        for ids in (self.running, self.finished):
            ids.fill_(self.end)

    def step(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Extend every beam by one token, given logits [N * K, V].

        Returns, for each beam that runs on, the beam [N * K] it grew from and its new token [N * K].
        """
        sentences, beams = self.running_scores.shape
        vocabulary = logits.shape[-1]
        written = Written(self.running.flatten(0, 1), self.length, self.end)
        scores = process(logits.log_softmax(-1), self.masks, self.settings, written)
        scores = scores.view(sentences, beams, vocabulary) + self.running_scores[..., None]
        # Twice as many as needed, so that K go on even if K end here.
        top, index = scores.flatten(1).topk(2 * beams)
        parents, tokens = index // vocabulary, index % vocabulary
        grown = self.running.gather(1, parents[..., None].expand(-1, -1, self.running.shape[-1]))
        grown.scatter_(2, self.length.clamp(max=grown.shape[-1] - 1).expand_as(tokens)[..., None], tokens[..., None])
        self.length += 1
        ends = tokens.eq(self.end) | (self.limits <= self.length)[:, None]

        ending = ends.clone()
        ending[:, beams:] = False  # an end that is not among the best K is no better than what runs on
        ending &= ~self.over[:, None]
        candidates = self._normalised(top).masked_fill(~ending, WORST)
        pool_scores = torch.cat([self.finished_scores, candidates], 1)
        scores, best = pool_scores.topk(beams)
        self.finished_scores.copy_(scores)
        pool = torch.cat([self.finished, grown], 1)
        self.finished.copy_(pool.gather(1, best[..., None].expand(-1, -1, pool.shape[-1])))

        scores, kept = (top + ends * WORST).topk(beams)
        self.running_scores.copy_(scores)
        self.running.copy_(grown.gather(1, kept[..., None].expand(-1, -1, grown.shape[-1])))
        self._close()
        offsets = torch.arange(sentences, device=logits.device)[:, None] * beams
        return (parents.gather(1, kept) + offsets).flatten(), tokens.gather(1, kept).flatten()

    def _normalised(self, scores: Tensor) -> Tensor:
        return scores / self.length.to(scores.dtype) ** self.settings.length_penalty

    def _close(self) -> None:
        full = self.finished_scores[:, -1] > WORST
        beaten = self._normalised(self.running_scores[:, 0]) <= self.finished_scores[:, -1]
        self.over |= full & (beaten | self.settings.early_stopping)
        self.over |= self.limits <= self.length

    @property
    def done(self) -> bool:
        return bool(self.over.all())

    def ranked(self) -> list[list[Hypothesis]]:
        """The finished hypotheses of each sentence, the best first: K of them, or all that there can be."""
        sentences = zip(self.finished_scores.tolist(), self.finished.tolist(), self.limits.tolist(), strict=True)
        return [
            [
                Hypothesis(score, until(self.end, each[:limit]))
                for score, each in zip(scores, ids, strict=True)
                if score > WORST / 2
            ]
            for scores, ids, limit in sentences
        ]


def until(end: int, ids: list[int]) -> list[int]:
    """What comes before the first `end`, or all."""
    return ids[: ids.index(end)] if end in ids else ids


def search(
    decoder: Decoder | Ensemble,
    prompts: Tokens[Tokens[int]],
    settings: GenerationArguments,
    end: int,
    done: Callable[[int], object] = lambda count: None,
) -> list[list[Hypothesis]]:
    """The best `num_beams` continuations of each prompt; `done` is told how many more prompts are finished. Prompts of
    like length together are fastest."""
    limits = [min(settings.max_new_tokens, decoder.context - len(prompt)) for prompt in prompts]
    length = min(decoder.context, max(map(len, prompts)) + max(limits))
    sentences = max(1, settings.generation_batch_size // settings.num_beams)
    batches: _Batches | None = None
    found: list[list[Hypothesis]] = []
    for start in range(0, len(prompts), sentences):
        batch = prompts[start : start + sentences]
        if batches is None or batches.sentences != len(batch):
            batches = None  # its cache goes before another comes
            batches = _Batches(decoder, len(batch), length, max(limits), settings, end)
        found += batches.search(batch, limits[start : start + sentences])
        done(len(batch))
    return found


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
    ):
        self.decoder, self.sentences, self.beams = decoder, sentences, settings.num_beams
        slots = sentences * settings.num_beams
        self.decode = new_step(decoder, slots, length, beams=True)
        self.hypotheses = BeamSearch(sentences, longest, settings, end, decoder.device)
        self.tokens = torch.zeros(slots, dtype=torch.long, device=decoder.device)
        self.positions = torch.zeros_like(self.tokens)
        self.grow = replayed(self._grow, decoder.device, longest)

    def search(self, prompts: Tokens[Tokens[int]], limits: list[int]) -> list[list[Hypothesis]]:
        """The best continuations of each prompt, of at most its limit's tokens."""
        stride = 1 if self.decoder.device.type == "cpu" else STRIDE
        beams = [[*prompt] for prompt in prompts for _ in range(self.beams)]
        self.decode.prefill(dict(enumerate(beams)))
        self.hypotheses.begin(limits)
        self.tokens.copy_(torch.tensor([beam[-1] for beam in beams]))
        self.positions.copy_(torch.tensor([len(beam) - 1 for beam in beams]))
        for number in range(1, max(limits) + 1):
            self.grow()
            if number % stride == 0 and self.hypotheses.done:
                break
        return self.hypotheses.ranked()

    def _grow(self) -> None:
        origins, new = self.hypotheses.step(self.decode(self.tokens, self.positions))
        self.tokens.copy_(new)
        # A beam whose context is full is over, but still takes part: it rewrites its last position.
        self.positions.copy_((self.positions + 1).clamp(max=self.decoder.context - 1))
        self.decode.cache.reorder(origins, self.positions)
