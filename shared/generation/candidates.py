"""The best of several drawn outputs, by the task's own measure: what the others say of it, or its source."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from shared.errors import UserError
from shared.generation.arguments import GenerationArguments
from shared.generation.beam_search import WINDOWS
from shared.generation.ensemble import Ensemble
from shared.generation.generate import generate
from shared.generation.reverse import generate_reranked
from shared.generation.rivals import Rivals
from shared.model.decoder import Decoder
from shared.task import Judge, Row, Task
from shared.writing import Constraint, Window


def check_writing(kind: type[Task], arguments: Any, settings: GenerationArguments) -> None:
    """Refuse, before anything is trained or written, a way of writing that is none for the task.

    Raises:
        UserError: for candidates where nothing tells which is the best, beams where there are windows, and reranking
            by sources that are not learned; `arguments` are the task's own.
    """
    if settings.rerank_reverse:
        kind.check_reverse(arguments)
    if settings.num_beams > 1 and not kind.beams:
        raise UserError(f"--num_beams {settings.num_beams}: {WINDOWS}")
    if settings.num_candidates > 1 and not kind.chooses(arguments):
        raise UserError(f"--num_candidates {settings.num_candidates}: {kind.name} has no measure to choose one by here")


def judges_of(task: Task, rows: Sequence[Row], settings: GenerationArguments) -> list[Judge]:
    """What chooses among the candidates for each of some rows; none where there are no candidates.

    Raises:
        UserError: if there are candidates of a row and nothing to choose one by.
    """
    return [task.judge(row) for row in rows] if settings.num_candidates > 1 else []


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
    """As `generate`, but each continuation is the one of `num_candidates` drawn ones that the task judges the best.

    Where writing goes on past a window, the best so far is what all of them go on with.

    The prompts' `rows` are needed to write past the context where the task says what is read for that, to choose by
    them, and for `rerank_reverse`: then it is the hypothesis that `shared.generation.reverse` chooses.

    Raises:
        UserError: if there are candidates and nothing to choose one by.
    """
    if settings.rerank_reverse:
        if rows is None:
            raise ValueError("--rerank_reverse needs the rows of the prompts")
        return generate_reranked(decoder, task, rows, prompts, settings, constraint=constraint, progress=progress)
    count = settings.num_candidates
    judges = judges_of(task, rows or [{}] * len(prompts), settings)
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
        rivals=Rivals(count, [partial(_best, task, judge) for judge in judges]) if judges else None,
        progress=progress,
    )
    return written[::count]


def _best(task: Task, judge: Judge, candidates: list[list[int]]) -> int:
    return judge([task.decode(ids) for ids in candidates])
