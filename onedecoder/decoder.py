"""A trained decoder to use from Python: text in, text out; music; and what was computed on the way."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from onedecoder.core import (
    BF16,
    TASKS,
    Decoder,
    GenerationArguments,
    LanguageModeling,
    Row,
    Run,
    Sequence,
    Task,
    TextTask,
    TextVocabulary,
    UserError,
    check_candidates,
    generate_best,
    load_decoder,
)
from onedecoder.naming import token_names
from onedecoder.piece import Piece
from onedecoder.trace import Trace

Output = str | Piece


def load(name: str | Path, device: str | None = None) -> "LoadedDecoder":
    """The decoder of a run's folder, of a folder in transformers' format, or by a name on the hub such as `gpt2`.

    What is no run writes on from any text (as the task `language_modeling`). It runs on `device`, by default on a GPU
    where there is one.

    Raises:
        UserError: there is no GPT-2 by that name.
    """
    name, folder = str(name), Path(name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if any((place / "run.yaml").is_file() for place in (folder, folder.absolute().parent)) or (
        folder.is_dir() and not (folder / "config.json").is_file()
    ):
        opened = Run.open(name)
        settings = opened.settings
        task, generation = opened.task(TASKS), GenerationArguments(**settings["generation"])
        model = load_decoder(str(opened.folder))
        max_length = settings["model"]["max_length"]
    else:
        model = load_decoder(name)
        task, max_length = LanguageModeling(LanguageModeling.Arguments()), model.context
        task.vocabulary = TextVocabulary.load(name)
        generation = GenerationArguments(**LanguageModeling.generation_defaults)
    return LoadedDecoder(name, model.to(device).eval(), task, generation, max_length)


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

    def __call__(self, given: str | Path | Iterable[str] = "", *, seed: int = 0, **settings: Any) -> Any:
        """What the decoder writes for `given`: a text, or for music a MIDI file's name or nothing.

        `settings` are those of `recipes/generate.py`: `num_beams=5`, `do_sample=True`, `temperature=0.8`,
        `max_new_tokens=40`, and the task's own, as `target_lang="en"` or `seconds=30`. A list gives a list.
        """
        if isinstance(given, str | Path):
            return self.write([str(given)], seed=seed, **settings)[0]
        return self.write([str(one) for one in given], seed=seed, **settings)

    def write(self, inputs: list[str], *, seed: int = 0, **settings: Any) -> list[Output]:
        """As a call, for a list."""
        task, generation = self.asked(settings)
        if task.needs_input and not all(text.strip() for text in inputs):
            raise UserError(f"nothing to write for: give the {task.name} decoder a text")
        rows = [task.request(text) for text in inputs]
        lines = [task.prompt(row, self.max_length, generation.max_new_tokens) for row in rows]
        with torch.autocast("cuda", torch.bfloat16, enabled=BF16 and self.model.device.type == "cuda"):
            written = generate_best(
                self.model,
                task,
                [line.context for line in lines],
                generation,
                seed=seed,
                constraint=task.constraint(generation),
            )
        return [self._output(task, row, ids) for row, ids in zip(rows, written, strict=True)]

    def compose(self, prime: str | Path = "", *, seconds: float | None = None, seed: int = 0, **settings: Any) -> Piece:
        """A piece of at most `seconds`, after the MIDI file `prime` where one is given (`job` says how, see the task).

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
        """
        task, generation = self.asked(settings)
        generation = replace(generation, max_new_tokens=min(generation.max_new_tokens, max(1, self.max_length // 2)))
        if task.needs_input and not str(given).strip():
            raise UserError(f"nothing to look into: give the {task.name} decoder a text")
        prompt = task.prompt(task.request(str(given)), self.max_length, generation.max_new_tokens).context
        line = list(prompt)
        if write:
            constraint = task.constraint(generation)
            (written,) = generate_best(self.model, task, [prompt], generation, seed=seed, constraint=constraint)
            ended = len(written) < generation.max_new_tokens and len(prompt) + len(written) < self.model.context
            line += [*written, *([task.vocabulary.end] if ended else [])]
        return self.trace_ids(line, len(prompt))

    def trace_ids(self, ids: list[int], context: int) -> Trace:
        """The line `ids`, of which the first `context` are given, looked into; of too long a line its end."""
        start = max(0, len(ids) - self.model.context)
        return Trace(self.model, ids[start:], max(0, context - start), self.names)

    def prompt(self, given: str, new_tokens: int | None = None, **wanted: Any) -> Sequence:
        """The line up to where the decoder writes; `cut` of its tokens did not fit."""
        task, _ = self.asked(wanted)
        return task.prompt(task.request(given), self.max_length, new_tokens or self.generation.max_new_tokens)

    @property
    def names(self) -> list[str]:
        """What to call each id."""
        if not hasattr(self, "_names"):
            self._names = token_names(self.task.vocabulary, self.model.config.vocab_size)
        return self._names

    def asked(self, settings: dict[str, Any]) -> tuple[Task, GenerationArguments]:
        """The task with what is wanted of it, and how to write; UserError for what is unknown or cannot be meant."""
        own = {field.name for field in fields(self.task.RequestArguments)}
        writing = {field.name for field in fields(GenerationArguments)}
        for name in settings:
            if name not in own | writing:
                near = difflib.get_close_matches(name, own | writing, n=1)
                raise UserError(f"unknown setting '{name}'" + (f": did you mean '{near[0]}'?" if near else ""))
        try:
            wanted = self.task.RequestArguments(**{name: settings[name] for name in own & {*settings}})
        except ValueError as error:
            raise UserError(str(error)) from error
        generation = replace(self.generation, **{name: settings[name] for name in writing & {*settings}})
        generation.check()
        check_candidates(type(self.task), generation)
        task = self.with_wishes(wanted)
        return task, generation

    def with_wishes(self, wanted: Any) -> Task:
        """A task of its own for one request, so that two do not mix."""
        task = type(self.task)(self.task.arguments)
        task.vocabulary, task.wanted = self.task.vocabulary, wanted
        return task

    def _output(self, task: Task, row: Row, ids: list[int]) -> Output:
        if isinstance(task, TextTask):
            return task.read(ids)
        given = row.get("given") or row.get("primer") or []
        if row.get("job") == "accompany" or not getattr(task.wanted, "write_prime", True):
            given = []
        events = [*given, *ids]
        return Piece(events, task.vocabulary.decode(events))

    def examples(self, count: int = 4) -> list[str]:
        """Inputs that the run was scored on, to begin with."""
        path = Path(self.name) / "samples" / "outputs.jsonl"
        if not path.is_file():
            return []
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:count]]
        return [text for row in rows if (text := row.get("source", row.get("prompt", "")))]
