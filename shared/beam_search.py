"""Beam search, as transformers' `generate` scores and ends it, over a batch of sentences at once."""

import torch
from torch import Tensor

from shared.sampling import withhold

WORST = -1e9


class BeamSearch:
    """The hypotheses of a batch of N sentences, K beams each: running ones, and the best finished so far.

    A finished hypothesis scores its log-probability / length ** length_penalty, `<|endoftext|>` counted (the length
    normalisation of Wu et al. 2016). A sentence is over when no running beam can beat its worst of K finished ones at
    the present length or, with `early_stopping`, as soon as K are finished. All that `begin` and a step change is
    changed in place, so that a step captured as a CUDA graph serves one batch after another.
    """

    def __init__(self, sentences: int, longest: int, settings, end: int, device: torch.device):
        shape = sentences, settings.num_beams
        self.settings, self.end = settings, end
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

        Returns, for each beam that runs on, the row [N * K] it grew from and its new token [N * K].
        """
        sentences, beams = self.running_scores.shape
        vocabulary = logits.shape[-1]
        scores = withhold(logits.log_softmax(-1), self.running.flatten(0, 1), self.length, self.settings, self.end)
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

    def best(self) -> list[list[int]]:
        """The best hypothesis of each sentence, without its end."""
        sentences = zip(self.finished[:, 0].tolist(), self.limits.tolist(), strict=True)
        return [until(self.end, ids[:limit]) for ids, limit in sentences]


def until(end: int, ids: list[int]) -> list[int]:
    """What comes before the first `end`, or all."""
    return ids[: ids.index(end)] if end in ids else ids
