"""Rows being written: which token comes next, and when a row is over."""

import numpy as np
import torch
from torch import Tensor

from shared.constraint import Constraint
from shared.decoding import Step, kernels
from shared.ngrams import repeats

if kernels:
    from shared import sampling_kernel


def choose(logits: Tensor, settings, uniform: Tensor | None) -> Tensor:
    """The next token of each row [N] from logits [N, V]: the likeliest, or drawn by `uniform` [N] numbers in [0, 1).

    Drawing inverts the cumulative distribution over the tokens that are left by `temperature`, by the cut to the
    `top_k` likeliest (Fan et al. 2018) and to the nucleus that holds `top_p` of the probability (Holtzman et al. 2020).
    """
    if uniform is None:
        return logits.argmax(-1)
    tokens = None  # what is left, in the vocabulary's order; None for all
    if 0 < settings.top_k < logits.shape[-1]:
        tokens = logits.topk(settings.top_k, sorted=False).indices.sort(-1).values
        logits = logits.gather(1, tokens)
    logits = logits / settings.temperature
    if settings.top_p < 1:
        likeliest = logits.sort(-1, descending=True).values
        # The nucleus ends with the last token before which less than top_p is held; the first always is inside.
        last = (likeliest.softmax(-1).cumsum(-1)[:, :-1] < settings.top_p).sum(-1, keepdim=True)
        logits = logits.masked_fill(logits < likeliest.gather(1, last), -torch.inf)
    cumulative = logits.softmax(-1).cumsum(-1)
    mass = cumulative[:, -1:]
    # Below the whole mass even where rounding would reach it: what is drawn must be something that is kept.
    target = torch.minimum(uniform[:, None].to(mass.dtype) * mass, mass.nextafter(torch.zeros_like(mass)))
    drawn = torch.searchsorted(cumulative, target, right=True)
    return (drawn if tokens is None else tokens.gather(1, drawn))[:, 0]


def withhold(scores: Tensor, written: Tensor, count: Tensor, settings, end: int) -> Tensor:
    """`scores` [N, V] with -inf for an end before `min_new_tokens`, and for what would repeat an n-gram.

    `written` [N, T] are the ids so far, of which the first `count` ([N], or one number for all) count.
    """
    vocabulary = scores.shape[1]
    if settings.min_new_tokens:
        is_end = torch.arange(vocabulary, device=scores.device) == end
        scores = scores.masked_fill((count[..., None] < settings.min_new_tokens) & is_end, -torch.inf)
    if settings.no_repeat_ngram_size:
        scores = scores.masked_fill(repeats(written, count, settings.no_repeat_ngram_size, vocabulary), -torch.inf)
    return scores


class Writer:
    """A fixed number of rows, each writing after a prompt of its own.

    Everything that a step changes is a tensor that is changed in place, so that a step can be replayed as a CUDA graph.
    """

    def __init__(self, step: Step, longest: int, settings, end: int, constraint: Constraint | None = None):
        rows, device = len(step.cache.rows), step.cache.rows.device
        self.step, self.settings, self.end, self.constraint = step, settings, end, constraint
        self.tokens = torch.zeros(rows, dtype=torch.long, device=device)  # the newest of each row
        self.drawn = torch.zeros_like(self.tokens)  # what was chosen last, an end included
        self.positions = torch.zeros_like(self.tokens)  # where the newest stands
        self.count = torch.zeros_like(self.tokens)  # how many a row has written
        self.limit = torch.zeros_like(self.tokens)
        self.finished = torch.ones(rows, dtype=torch.bool, device=device)
        self.ids = torch.zeros(rows, longest, dtype=torch.long, device=device)
        self.uniform = torch.zeros(rows, longest, device=device)
        self.state = constraint.new_state(rows, device) if constraint else {}
        self.removed = torch.zeros(rows, device=device)  # probability that the constraint forbade, summed over tokens

    def admit(
        self, row: int, prompt: list[int], limit: int, uniform: np.ndarray | None, written: list[int] | None = None
    ) -> None:
        """Begin a row whose prompt is in the cache, or go on with one that has `written` something already.

        It ends with `limit` tokens, those included; `uniform` numbers are for all that it may ever write.
        """
        self.tokens[row] = prompt[-1]
        self.positions[row] = len(prompt) - 1
        self.count[row] = len(written or ())
        if written:
            self.ids[row, : len(written)] = torch.tensor(written)
        self.limit[row] = limit
        self.finished[row] = False
        self.removed[row] = 0
        if uniform is not None:
            self.uniform[row] = torch.from_numpy(uniform)

    @torch.inference_mode()
    def write(self) -> None:
        """One token more in every row that is not finished."""
        if not self.tokens.is_cuda:
            low, high = (int(bound) for bound in self.positions.aminmax())
            self.step.visible, self.step.uniform = high + 1, low == high
        logits = self._allowed(self.step(self.tokens, self.positions))
        if self.step.fused:
            sampling_kernel.write(self, logits, self.drawn)
        else:
            self.drawn.copy_(self._take(logits))
        if self.constraint:
            self.constraint.advance(self.state, self.drawn)

    def _take(self, logits: Tensor) -> Tensor:
        """Choose, and go on by what was chosen (`shared.sampling_kernel.write` in PyTorch)."""
        place = self.count.clamp(max=self.ids.shape[1] - 1)[:, None]
        uniform = self.uniform.gather(1, place)[:, 0] if self.settings.do_sample else None
        tokens = choose(logits, self.settings, uniform)
        writing = ~self.finished & tokens.ne(self.end)
        self.tokens.copy_(torch.where(writing, tokens, self.tokens))
        self.ids.scatter_(1, place, torch.where(writing, tokens, self.ids.gather(1, place)[:, 0])[:, None])
        self.count += writing
        self.positions += writing
        self.finished |= ~writing | self.count.ge(self.limit)
        return tokens

    def _allowed(self, logits: Tensor) -> Tensor:
        """The logits of what may come next."""
        logits = withhold(logits, self.ids, self.count, self.settings, self.end)
        if self.constraint:
            forbidden = ~self.constraint.allowed(self.state)
            self.removed += (logits.softmax(-1) * forbidden).sum(-1).float() * ~self.finished
            logits = logits.masked_fill(forbidden, -torch.inf)
        return logits

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these."""
        for name in ("tokens", "drawn", "positions", "count", "limit", "finished", "ids", "uniform", "removed"):
            setattr(self, name, getattr(self, name)[rows])
        self.state = {name: tensor[rows] for name, tensor in self.state.items()}
        self.step.cache.keep(rows)
