"""Several runs of one task and one vocabulary, opened as one decoder."""

from collections.abc import Mapping, Sequence

from shared.data.vocabulary import same_tokens
from shared.errors import UserError
from shared.generation.compiled_step import compile_step
from shared.generation.ensemble import Ensemble
from shared.model.decoder import Decoder
from shared.model.quantized import round_to_8_bits
from shared.runs.folder import Run
from shared.task import Task


def with_ensemble(
    decoder: Decoder,
    task: Task,
    names: Sequence[str],
    tasks: Mapping[str, type[Task]],
    load_in_8bit: bool = False,
    compile: bool = False,
) -> Decoder | Ensemble:
    """The run's `decoder`, and those of the runs called `names`, as one.

    Each is rounded in place, if `load_in_8bit`, and its step is compiled, if `compile`.

    Raises:
        UserError: if one of them is of another task, has another vocabulary or fewer positions.
    """
    others = []
    for name in names:
        opened = Run.open(name)
        if opened.kind(tasks) is not type(task):
            raise UserError(f"--ensemble {name}: a run of {opened.settings['task']}, not of {task.name}")
        theirs = opened.task(tasks)
        if not same_tokens(theirs.vocabulary, task.vocabulary):
            raise UserError(
                f"--ensemble {name}: it has another vocabulary; train on the same rows with the same settings, and "
                "another --seed"
            )
        other = opened.decoder(theirs)
        if other.context < decoder.context:
            raise UserError(
                f"--ensemble {name}: it has positions for {other.context} tokens, the run for {decoder.context}; name "
                "the one with the fewest first"
            )
        others.append(other.to(decoder.device))
    for each in (decoder, *others):
        if load_in_8bit:
            round_to_8_bits(each)
        if compile:
            compile_step(each)
    return Ensemble([decoder, *others]) if others else decoder
