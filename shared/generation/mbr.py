"""The best of several drawn outputs: minimum Bayes risk decoding.

The likeliest output is often no good one (Eikema & Aziz 2020). What is drawn shows what the decoder believes, and the
candidate that agrees best with all the others has the highest expected utility under that belief (Eikema & Aziz 2022,
"Sampling-Based Approximations to Minimum Bayes Risk Decoding for Neural Machine Translation").
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.ensemble import Ensemble
from shared.generation.generate import generate
from shared.generation.reverse import generate_reranked
from shared.model.decoder import Decoder
from shared.task import Row, Task
from shared.writing import Constraint, Window


def consensus(outputs: Sequence[Any], utility: Callable[[Any, Any], float]) -> int:
    """The index of the output with the highest mean `utility(output, other)` over all outputs, itself included.

    Equal outputs are compared once, and count as often as they were drawn; among equals the first wins.
    """
    drawn = Counter(outputs)
    expected = {output: sum(n * utility(output, other) for other, n in drawn.items()) for output in drawn}
    return outputs.index(max(expected, key=expected.__getitem__))


def check_candidates(kind: type[Task], settings: GenerationArguments) -> None:
    """Refuse candidates of a task whose outputs cannot be compared.

    Raises:
        UserError: if there are some.
    """
    if settings.num_candidates > 1 and kind.utility is None:
        raise UserError(f"--num_candidates {settings.num_candidates}: {kind.name} has no measure to choose one by")


def generate_best(
    decoder: Decoder | Ensemble,
    task: Task,
    prompts: Sequence[Sequence[int]],
    settings: GenerationArguments,
    *,
    seed: int = 0,
    streams: Sequence[int] | None = None,
    constraint: Constraint | None = None,
    progress: str | None = None,
    rows: Sequence[Row] | None = None,
) -> list[list[int]]:
    """As `generate`, but each continuation is the consensus of `num_candidates` drawn ones, by the task's utility.

    The prompts' `rows` are needed to write past the context where the task says what is read for that, and for
    `rerank_reverse`: then it is the hypothesis that `shared.generation.reverse` chooses.
    """
    if settings.rerank_reverse:
        if rows is None:
            raise ValueError("--rerank_reverse needs the rows of the prompts")
        return generate_reranked(decoder, task, rows, prompts, settings, constraint=constraint, progress=progress)
    count = settings.num_candidates
    streams = range(len(prompts)) if streams is None else streams
    look = lengths = None
    if rows is not None:
        lengths = [task.new_tokens(row, settings.max_new_tokens) for row in rows for _ in range(count)]

        def look(index: int, written: Sequence[int]) -> Window:
            return task.window(rows[index // count], prompts[index // count], written, decoder.context)

    written = generate(
        decoder,
        [prompt for prompt in prompts for _ in range(count)],
        settings,
        task.vocabulary,
        seed=seed,
        streams=[stream * count + candidate for stream in streams for candidate in range(count)],
        constraint=constraint,
        sliding=task.sliding,
        look=look,
        lengths=lengths,
        progress=progress,
    )
    utility = type(task).utility
    if count == 1 or utility is None:
        return written
    groups = [written[start : start + count] for start in range(0, len(written), count)]
    return [group[consensus([task.decode(ids) for ids in group], utility)] for group in groups]
