"""Noisy-channel reranking: the best hypotheses of beam search, chosen anew by how well they give back their source.

Yee et al. 2019, "Simple and Effective Noisy Channel Modeling for Neural Machine Translation"
(https://arxiv.org/abs/1908.05731): an output that leaves something out is likely, but its source is not likely after
it. One decoder that has learned both directions is both models.
"""

from collections.abc import Sequence

import torch

from shared.generation.arguments import GenerationArguments
from shared.generation.beam_search import Hypothesis, taken
from shared.generation.ensemble import Ensemble
from shared.generation.generate import evaluating, n_best
from shared.model.decoder import Decoder
from shared.task import Row, Task
from shared.writing import Constraint


def generate_reranked(
    decoder: Decoder | Ensemble,
    task: Task,
    rows: Sequence[Row],
    prompts: Sequence[Sequence[int]],
    settings: GenerationArguments,
    *,
    constraint: Constraint | None = None,
    progress: str | None = None,
) -> list[list[int]]:
    """For each row's prompt its best hypothesis: by score + `rerank_reverse` * log p(source | output) per token.

    The score is beam search's: log p(output | source) / length ** length_penalty.

    Raises:
        UserError: if the run has not learned to write a source after an output.
    """
    task.check_reverse(task.arguments)
    chosen = []
    every = n_best(decoder, prompts, settings, task.vocabulary, constraint=constraint, progress=progress)
    with evaluating(decoder):
        for row, found in zip(rows, every, strict=True):
            back = reverse_scores(decoder, task, row, found)
            best = max(range(len(found)), key=lambda index: found[index].score + settings.rerank_reverse * back[index])
            chosen.append(found[best])
    return taken(chosen, constraint)


@torch.inference_mode()
def reverse_scores(decoder: Decoder | Ensemble, task: Task, row: Row, found: Sequence[Hypothesis]) -> list[float]:
    """The mean log-probability of the source's tokens, its end counted, after each hypothesis.

    One that leaves no room for the source has minus infinity.
    """
    sequences = [task.reversed_sequence(row, task.decode(each.ids), decoder.context) for each in found]
    kept = [sequence for sequence in sequences if sequence is not None]
    scores = dict.fromkeys(range(len(found)), float("-inf"))
    if not kept:
        return list(scores.values())
    ids = torch.zeros(len(kept), max(map(len, kept)), dtype=torch.long)
    prefix = torch.zeros_like(ids, dtype=torch.bool)
    for line, is_context, sequence in zip(ids, prefix, kept, strict=True):
        line[: len(sequence)] = torch.tensor([*sequence.context, *sequence.target])
        is_context[: len(sequence.context)] = True
    ids, prefix = ids.to(decoder.device), prefix.to(decoder.device)
    # What fills up a line stands behind it, where nothing that counts sees it.
    logs = decoder.packed_logits(ids, prefix).float().log_softmax(-1)[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
    places = (index for index, sequence in enumerate(sequences) if sequence is not None)
    for place, line, sequence in zip(places, logs, kept, strict=True):
        scores[place] = line[len(sequence.context) - 1 : len(sequence) - 1].mean().item()
    return list(scores.values())
