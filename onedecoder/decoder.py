"""A trained decoder to use from Python: text in, text out; music; and what was computed on the way."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from onedecoder.core import (
    BF16,
    TASKS,
    Decoder,
    Ensemble,
    GenerationArguments,
    RequestArguments,
    Row,
    Task,
    TextTask,
    TokenSequence,
    UserError,
    check_names,
    check_type,
    first_line,
    generate_best,
    n_best,
    settled,
    with_ensemble,
)
from onedecoder.naming import token_names
from onedecoder.piece import Piece
from onedecoder.source import Source
from onedecoder.trace import Trace

Output = str | Piece


def load(
    name: str | Path,
    device: str | None = None,
    ensemble: str | Path | Iterable[str | Path] = (),
    load_in_8bit: bool = False,
    compile: bool = False,
) -> "LoadedDecoder":
    """The decoder of a run's folder, of a folder in transformers' format, or by a name on the hub such as `gpt2`.

    What is no run writes on from any text (as the task `language_modeling`). It runs on `device`, by default on a GPU
    where there is one. With the runs of an `ensemble`, which need the same task and vocabulary, every token's
    probability is the mean of theirs and its own. A CPU writes one output faster with `load_in_8bit`, which rounds
    matrices to 8 bits, and with `compile`, which makes a decoding step one call of C++ where there is a compiler.

    Raises:
        UserError: there is no GPT-2 or no device by that name, or a run of the ensemble has another task or
            vocabulary.
    """
    source = Source.open(str(name))
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=device).item()
    # There is no such name, PyTorch was built without it, or it holds no numbers.
    except (RuntimeError, AssertionError) as error:
        said = first_line(error).split(". ")[0]
        raise UserError(f"device={device!r}: {said}; give 'cpu', or 'cuda' where there is a GPU") from error
    task = source.task()
    model = source.decoder(task).to(device).eval()
    others = [ensemble] if isinstance(ensemble, str | Path) else ensemble
    writer = with_ensemble(model, task, [str(each) for each in others], TASKS, load_in_8bit, compile)
    own = None if writer is model else writer
    return LoadedDecoder(source.name, model, task, source.generation, source.max_length, own)


class WrittenRows(NamedTuple):
    """What was written for some rows: the tasks' `outputs`, how many tokens of each prompt were `cut`, and the share of
    the probability that a grammar `removed` (None: there is none)."""

    outputs: list[Any]
    cut: list[int]
    removed: float | None


class ScoredOutput(NamedTuple):
    """One of the best outputs, and its log-probability / length ** length_penalty."""

    score: float
    output: Any


@dataclass
class LoadedDecoder:
    """A decoder, its task and how it writes unless told otherwise.

    `model` is the `GPT2LMHeadModel`, `task` knows its lines and vocabulary, `generation` are the settings it was
    trained with, `max_length` the tokens of a line in training.
    """

    name: str
    model: Decoder
    task: Task
    generation: GenerationArguments
    max_length: int
    ensemble: Decoder | Ensemble | None = None  # what writes in the decoder's place, where it is one of several

    @property
    def writer(self) -> Decoder | Ensemble:
        """What writes: the decoder, alone or with others."""
        return self.ensemble or self.model

    def __call__(self, given: str | Path | Iterable[str | Path] = "", *, seed: int = 0, **settings: Any) -> Any:
        """What the decoder writes for `given`: a text, or for music a MIDI file's name or nothing.

        `settings` are those of `recipes/generate.py`: `num_beams=5`, `do_sample=True`, `temperature=0.8`,
        `max_new_tokens=40`, and the task's own, as `target_lang="en"` or `seconds=30`. A list gives a list.

        Raises:
            UserError: an unknown setting, one of another type, or nothing to write for.
        """
        if isinstance(given, str | Path):
            return self([given], seed=seed, **settings)[0]
        several = isinstance(given, Iterable) and not isinstance(given, bytes | Mapping)
        inputs: Any = given if several else [given]  # which is refused
        task, generation = self.asked(settings)
        rows = [task.row(one) for one in inputs]
        outputs = self.write(task, rows, generation, seed=seed).outputs
        return [self._output(task, row, output) for row, output in zip(rows, outputs, strict=True)]

    def write(
        self,
        task: Task,
        rows: list[Row],
        generation: GenerationArguments,
        *,
        seed: int = 0,
        progress: str | None = None,
    ) -> WrittenRows:
        """What is written for rows of the `task`, which knows what is asked of an output.

        Raises:
            UserError: a `seed` that is no integer, or what is asked of an output leaves no room.
        """
        check_type("seed", seed, int)
        prompts = [task.prompt(row, self.max_length, generation.max_new_tokens) for row in rows]
        constraint = task.constraint()
        with self._autocast():
            written = generate_best(
                self.writer,
                task,
                [prompt.context for prompt in prompts],
                generation,
                seed=int(seed),  # a numpy integer cannot hold what is made of it
                constraint=constraint,
                progress=progress,
                rows=rows,
            )

        def cut(row: Row, prompt: TokenSequence) -> int:
            # What is read window after window loses nothing.
            first = task.window(row, prompt.context, (), self.writer.context).ids
            return prompt.cut if first == list(prompt.context) else 0

        removed = constraint.removed_share if constraint else None
        return WrittenRows([task.decode(ids) for ids in written], [*map(cut, rows, prompts)], removed)

    def n_best(self, given: str | Path, count: int = 5, **settings: Any) -> list[ScoredOutput]:
        """The `count` best outputs for `given` that beam search finds, the best first.

        `settings` are those of a call; `num_beams` is at least `count`.

        Raises:
            UserError: an unknown setting, one of another type, or nothing to write for.
        """
        check_type("count", count, int)
        task, generation = self.asked({"num_beams": max(count, self.generation.num_beams), **settings})
        return self.write_n_best(task, [task.row(given)], generation, count)[0]

    def write_n_best(
        self, task: Task, rows: list[Row], generation: GenerationArguments, count: int
    ) -> list[list[ScoredOutput]]:
        """The `count` best outputs for each of the rows; a hypothesis is scored as `length_penalty` says.

        Raises:
            UserError: if there are fewer beams, or the task writes window after window.
        """
        if not 0 < count <= generation.num_beams:
            of = f"the {count} best of {generation.num_beams} hypotheses"
            raise UserError(f"{of}: ask for 1 or more, and for at least as many num_beams")
        prompts = [task.prompt(row, self.max_length, generation.max_new_tokens).context for row in rows]
        with self._autocast():
            found = n_best(self.writer, prompts, generation, task.vocabulary, constraint=task.constraint())
        return [[ScoredOutput(each.score, task.decode(each.ids)) for each in best[:count]] for best in found]

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cuda", torch.bfloat16, enabled=BF16 and self.model.device.type == "cuda")

    def compose(self, prime: str | Path = "", *, seconds: float | None = None, seed: int = 0, **settings: Any) -> Piece:
        """A piece whose last note begins within `seconds` and rings for one more at most.

        With the MIDI file `prime` it goes on from that, or accompanies it (`job` says how, see the task).

        Raises:
            UserError: the decoder writes no music, or has not learned what is asked for.
        """
        if isinstance(self.task, TextTask):
            raise UserError(f"{self.name} is a {self.task.name} decoder and composes nothing: load a run of music")
        if seconds is not None:
            settings["seconds"] = seconds
        return self(prime, seed=seed, **settings)

    def trace(self, given: str | Path = "", *, write: bool = True, seed: int = 0, **settings: Any) -> Trace:
        """The line of `given` and what the decoder writes after it, read once more and looked into.

        With `write=False` the line ends where the decoder would begin to write.

        Raises:
            UserError: an unknown setting, one of another type, or nothing to write for.
        """
        check_type("seed", seed, int)
        task, generation = self.asked(settings)
        generation = replace(generation, max_new_tokens=min(generation.max_new_tokens, max(1, self.max_length // 2)))
        row = task.row(given)
        prompt = task.prompt(row, self.max_length, generation.max_new_tokens).context
        line = list(prompt)
        if write:
            constraint = task.constraint()
            chosen = generation.rerank_reverse or generation.num_candidates > 1
            rows = [row] if chosen else None  # without them what is written ends with the line
            (written,) = generate_best(
                self.writer, task, [prompt], generation, seed=int(seed), constraint=constraint, rows=rows
            )
            ended = len(written) < generation.max_new_tokens and len(prompt) + len(written) < self.model.context
            line += [*written, *([task.vocabulary.end] if ended else [])]
        return self.trace_ids(line, len(prompt))

    def trace_ids(self, ids: list[int], context: int) -> Trace:
        """The line `ids`, of which the first `context` are given, looked into; of too long a line its end."""
        start = max(0, len(ids) - self.model.context)
        return Trace(self.model, ids[start:], max(0, context - start), self.names)

    def prompt(self, given: str | Path, new_tokens: int | None = None, **wanted: Any) -> TokenSequence:
        """The line up to where the decoder writes; `cut` of its tokens did not fit.

        Raises:
            UserError: an unknown setting, one of another type, or nothing to write for.
        """
        check_type("new_tokens", new_tokens, int | None)
        task, _ = self.asked(wanted)
        return task.prompt(task.row(given), self.max_length, new_tokens or self.generation.max_new_tokens)

    @cached_property
    def names(self) -> list[str]:
        """What to call each id."""
        return token_names(self.task.vocabulary, self.model.config.vocab_size)

    def asked(self, settings: dict[str, Any]) -> tuple[Task, GenerationArguments]:
        """A task of its own with what is asked of it, and how to write.

        Raises:
            UserError: if a setting is unknown, of another type, or cannot be meant.
        """
        own = {field.name for field in fields(self.task.RequestArguments)}
        writing = {field.name for field in fields(GenerationArguments)}
        check_names(settings, own | writing)
        wanted = settled(self.task.RequestArguments, {name: settings[name] for name in own & {*settings}})
        of_writing = {name: settings[name] for name in writing & {*settings}}
        generation = settled(GenerationArguments, {**asdict(self.generation), **of_writing})
        generation.check(settings)
        return self.task_for(wanted), generation

    def task_for(self, wanted: RequestArguments) -> Task:
        """The task for one request, so that two requests do not mix."""
        return type(self.task)(self.task.arguments, self.task.vocabulary, wanted)

    def examples(self, count: int = 4) -> list[str]:
        """Inputs that the run was scored on, to begin with; none where they cannot be read."""
        path = Path(self.name) / "samples" / "outputs.jsonl"
        if not path.is_file():
            return []
        try:
            with path.open(encoding="utf-8") as file:
                rows = [json.loads(line) for line in islice(file, count)]
            texts = [row.get("source", row.get("prompt", "")) for row in rows]
        except (OSError, ValueError, AttributeError):
            return []
        return [text for text in texts if text and isinstance(text, str)]

    def _output(self, task: Any, row: Row, output: Any) -> Output:
        if isinstance(task, TextTask):
            return output
        vocabulary: Any = task.vocabulary  # of music: its ids are a piece
        given = row.get("given") or row.get("primer") or []
        if row.get("job") in ("accompany", "infill") or not getattr(task.request_arguments, "write_prime", True):
            events = vocabulary.apart(output, given)
        else:
            events = [*given, *output]
        made = task.piece(row, output)
        return Piece(events, made.sounding, made.file)
