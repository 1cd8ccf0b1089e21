"""Writing as the papers describe it: read the whole sequence, look at the logits after it, choose a token, append it.

No cache, no batch, no kernel. Every faster path of `shared.generation` is tested against these few lines.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from shared.data.vocabulary import Vocabulary
from shared.generation.arguments import GenerationArguments
from shared.generation.ensemble import Ensemble
from shared.generation.processors import MASKS, WARPERS, Written, active, process
from shared.generation.sampling import constrained, draw
from shared.model.decoder import Decoder
from shared.writing import Constraint, Look, Window, looking, show


@torch.no_grad()
def generate(
    decoder: Decoder | Ensemble,
    prompts: Sequence[Sequence[int]],
    settings: GenerationArguments,
    vocabulary: Vocabulary,
    *,
    seed: int = 0,
    constraint: Constraint | None = None,
    sliding: bool = False,
    look: Look | None = None,
) -> list[list[int]]:
    """What `shared.generation.generate.generate` gives, one prompt after another."""
    decoder.eval()
    look = look or looking(prompts, decoder.context, sliding)
    written = []
    for stream, prompt in enumerate(prompts):
        if settings.num_beams > 1:
            written.append(beam_search(decoder, prompt, settings, vocabulary.end, constraint))
        else:
            numbers = np.random.default_rng([seed % 2**63, stream]).random(settings.max_new_tokens)
            view = partial(look, stream)
            written.append(write(decoder, prompt, settings, vocabulary.end, numbers, view, constraint))
    return written


def write(
    decoder: Decoder | Ensemble,
    prompt: Sequence[int],
    settings: GenerationArguments,
    end: int,
    uniform: np.ndarray,
    view: Callable[[Sequence[int]], Window],
    constraint: Constraint | None = None,
) -> list[int]:
    """The likeliest token, or one drawn by the next of the `uniform` numbers, until the end.

    Read is what the `view` shows: everything, or part after part.
    """
    return write_best(decoder, prompt, settings, end, [uniform], view, lambda _: 0, constraint)


def write_best(
    decoder: Decoder | Ensemble,
    prompt: Sequence[int],
    settings: GenerationArguments,
    end: int,
    uniforms: Sequence[np.ndarray],
    view: Callable[[Sequence[int]], Window],
    judge: Callable[[list[list[int]]], int],
    constraint: Constraint | None = None,
) -> list[int]:
    """As `write`, for several candidates at once: of each part, the one that the judge chooses is gone on with."""

    def part(uniform: np.ndarray, written: list[int]) -> tuple[list[int], bool]:
        """What is `written` up to where another window is to be read, and whether it has ended."""
        state = constraint.new_state(1, "cpu") if constraint else {}
        window = view(written)
        read, given = [*window.ids], len(window.ids)
        limit = min(settings.max_new_tokens, len(written) + decoder.context - given)
        if constraint:
            left = (limit if window.last else settings.max_new_tokens) - len(written)
            constraint.begin(state, 0, prompt, left, written)
            show(window, state, 0)
        while len(written) < limit and not state.get("paused"):
            logits = next_logits(decoder, read, given)
            if constraint:
                logits, _ = constrained(logits, constraint, state)
            logits = process(logits, active(MASKS, settings), settings, so_far(written, end))
            if settings.do_sample:
                logits = process(logits, active(WARPERS, settings), settings, so_far(written, end))
                token = int(draw(logits, torch.tensor(uniform[len(written)], dtype=torch.float32)[None]))
            else:
                token = int(logits.argmax())
            if token == end:
                return written, True
            if constraint:
                constraint.advance(state, torch.tensor([token]))
            written.append(token)
            read.append(token)
        return written, window.last or len(written) == settings.max_new_tokens

    best, over = list[int](), False
    while not over:
        rivals = [part(uniform, [*best]) for uniform in uniforms]
        best, over = rivals[judge([written for written, _ in rivals])]
    return best


def beam_search(
    decoder: Decoder | Ensemble,
    prompt: Sequence[int],
    settings: GenerationArguments,
    end: int,
    constraint: Constraint | None = None,
) -> list[int]:
    """The best of `num_beams` hypotheses, by log-probability / length ** length_penalty, the end counted.

    Of those that hold nothing forbidden.
    """
    beams, penalty = settings.num_beams, settings.length_penalty
    longest = min(settings.max_new_tokens, decoder.context - len(prompt))
    running: list[tuple[float, list[int]]] = [(0.0, [])]
    finished: list[tuple[float, list[int]]] = []
    state = constraint.new_state(1, "cpu") if constraint else {}
    for length in range(1, longest + 1):
        grown = []
        for score, ids in running:
            scores = next_logits(decoder, [*prompt, *ids], len(prompt)).log_softmax(-1)
            if constraint:
                constraint.begin(state, 0, prompt, longest - len(ids), ids)
                scores = scores.masked_fill(~constraint.allowed(state), -torch.inf)
            scores = process(scores, active(MASKS, settings), settings, so_far(ids, end))[0]
            best = scores.topk(min(2 * beams, len(scores)))
            pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
            grown += [(score + more, [*ids, token]) for more, token in pairs if more > -torch.inf]
        grown = sorted(grown, key=lambda hypothesis: -hypothesis[0])[: 2 * beams]
        ends = [hypothesis for hypothesis in grown if length == longest or hypothesis[1][-1] == end]
        # An end that is not among the best is no better than what runs on.
        finished += [(score / length**penalty, ids) for score, ids in ends if (score, ids) in grown[:beams]]
        finished = sorted(finished, key=lambda hypothesis: -hypothesis[0])[:beams]
        running = [hypothesis for hypothesis in grown if hypothesis not in ends][:beams]
        full = len(finished) == beams
        if full and running and (settings.early_stopping or running[0][0] / length**penalty <= finished[-1][0]):
            break
    best_ids = finished[0][1]
    return best_ids[:-1] if best_ids[-1] == end else best_ids


def next_logits(decoder: Decoder | Ensemble, ids: list[int], given: int) -> Tensor:
    """Logits [1, V] after `ids`, of which the first `given` are context (which matters to the prefix mask)."""
    prefix = torch.arange(len(ids))[None] < given
    return decoder.packed_logits(torch.tensor([ids]), prefix)[:, -1]


def so_far(ids: list[int], end: int) -> Written:
    """What is written, as the processors take it."""
    return Written(torch.tensor([ids], dtype=torch.long), torch.tensor([len(ids)]), end)
