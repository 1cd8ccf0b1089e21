"""The page's engine in PyTorch: what `engine/local.js` computes in a browser, for decoders of any size.

Every question carries the whole line, and every answer depends on nothing else.
"""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from onedecoder.about import about, music
from onedecoder.core import MASKS, TextTask, UserError, Written, active, process
from onedecoder.core_music import TICKS_PER_SECOND, MusicVocabulary
from onedecoder.decoder import LoadedDecoder
from onedecoder.kept import KeptLines
from onedecoder.trace import VECTORS, Trace

LONGEST_TEXT = 1_000_000  # characters
TRACES = 2  # kept at once
WHOLE_LINE = {"token_embedding", "position_embedding", "final"}
OF_ONE_PLACE = WHOLE_LINE | {*VECTORS}


class Engine:
    """One decoder; several threads may ask."""

    def __init__(self, decoder: LoadedDecoder, inputs: list[str] | None = None):
        self.decoder = decoder
        self.description: dict[str, Any] = {
            "about": about(decoder, "float32", inputs),
            "names": decoder.names,
            "music": None if isinstance(decoder.task, TextTask) else music(decoder),
        }
        self.lines = KeptLines(decoder.model)
        self.traces: OrderedDict[tuple, Trace] = OrderedDict()
        self.lock = threading.Lock()

    def prompt(self, text: str, separator: int = 0) -> dict[str, Any]:
        """The line of a text.

        Raises:
            UserError: if there is nothing to write for, or the decoder writes music.
        """
        task = self.decoder.task
        if not isinstance(task, TextTask):
            if text:
                raise UserError("This decoder writes music: give it a MIDI file, or nothing.")
            if self.description["about"]["jobs"] == ["accompany"]:
                raise UserError("There is no melody to accompany: give a MIDI file.")
            return _line(self.decoder.prompt("").context)
        if len(text) > LONGEST_TEXT:
            raise UserError("The text is longer than a million characters: give a part of it.")
        tokens = list(task.separators(task.arguments))
        if separator and not 0 <= separator < len(tokens):
            raise UserError(f"There is no separator {separator}: reload the page.")
        wanted: dict[str, Any] = {}
        if len(tokens) > 1:
            wanted["target_lang"] = tokens[separator].removeprefix("<|to-").removesuffix("|>")
        line = self.decoder.prompt(text, **wanted)
        if not task.needs_input:
            return _line(line.context, len(line.context), len(line.context) + line.cut, "end")
        read = len(line.context) - (1 if tokens else len(task.separator_ids({})))
        return _line(line.context, read, read + line.cut, "beginning")

    def midi_prompt(self, file: bytes, job: str) -> dict[str, Any]:
        """The line of a MIDI file.

        Raises:
            UserError: if it is none, or the decoder reads text.
        """
        if isinstance(self.decoder.task, TextTask):
            raise UserError("This decoder reads text: type or paste some.")
        wanted: dict[str, Any] = {"job": job} if job and hasattr(self.decoder.task.request_arguments, "job") else {}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "The file"
            path.write_bytes(file)
            try:
                return self._midi_line(str(path), wanted)
            except UserError as error:
                raise UserError(str(error).replace(f"{folder}/", "")) from error

    def _midi_line(self, path: str, wanted: dict[str, Any]) -> dict[str, Any]:
        """What of a melody is read is its first segment's beginning, and of a primer its end."""
        task, generation = self.decoder.asked(wanted)
        row = task.request(path)
        line = task.prompt(row, self.decoder.max_length, generation.max_new_tokens)
        read = len(line.context) - 1
        if row.get("job") != "accompany":
            return _line(line.context, read, len(row["given"] if "given" in row else row["primer"]), "end")
        shown = read - 1  # of a melody, before which <|compose|> stands
        music: Any = task  # whose lines hold a segment of a song
        of, segment = music.vocabulary.decode(row["given"]).end() / TICKS_PER_SECOND, music.arguments.segment_seconds
        seconds = {"count": segment, "of": of} if of > segment else None
        return _line(line.context, shown, shown + line.cut, "beginning", seconds)

    def next(self, ids: list[int], context: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Scores [V] over what comes next, and which ids a grammar allows (None: any)."""
        self._check(ids, context)
        start = window_start(len(ids), self.decoder.model.context, self.decoder.task.sliding)
        line, vocabulary = ids[start:], self.decoder.task.vocabulary
        if start and isinstance(vocabulary, MusicVocabulary):
            line = vocabulary.ending(line, len(line))
        with self.lock:
            logits = self.lines.next(line, max(0, context - len(ids) + len(line))).float().cpu().numpy()
        return logits, self._allowed(ids, context)

    def _allowed(self, ids: list[int], context: int) -> np.ndarray | None:
        """By the grammar, and by what the settings rule out."""
        task, generation = self.decoder.task, self.decoder.generation
        constraint, masks = task.constraint(), active(MASKS, generation)
        if constraint is None and not masks:
            return None
        allowed = torch.ones(1, self.decoder.model.config.vocab_size, dtype=torch.bool)
        if constraint:
            room = generation.max_new_tokens if task.sliding else self.decoder.model.context - context
            left = min(generation.max_new_tokens, room) - (len(ids) - context)
            state = constraint.new_state(1, "cpu")
            constraint.begin(state, 0, ids[:context], max(0, left), ids[context:])
            allowed = constraint.allowed(state)
        written = Written(torch.tensor([ids[context:]]), torch.tensor([len(ids) - context]), task.vocabulary.end)
        left_over = process(torch.zeros(allowed.shape).masked_fill(~allowed, -torch.inf), masks, generation, written)
        return left_over[0].isfinite().numpy()

    def text(self, ids: list[int]) -> str:
        """The text of some of a line."""
        return self.decoder.task.vocabulary.decode(ids) if isinstance(self.decoder.task, TextTask) else ""

    def trace(self, ids: list[int], context: int) -> Trace:
        """The line looked into; the last few are kept."""
        self._check(ids, context)
        key = (*ids, -1, context)
        with self.lock:
            if key not in self.traces:
                while len(self.traces) >= TRACES:
                    self.traces.popitem(last=False)
                self.traces[key] = self.decoder.trace_ids(ids, context)
            self.traces.move_to_end(key)
            return self.traces[key]

    def attention(self, trace: Trace, layer: int, head: int | Literal["mean"]) -> np.ndarray:
        """Weights [T, T] of one head, or of all on average where `head` is "mean"."""
        with self.lock:
            weights = trace.tensor(f"h.{self._layer(layer)}.weights")
        return (weights.mean(0) if head == "mean" else weights[self._head(head)]).cpu().numpy()

    def overview(self, trace: Trace, size: int) -> np.ndarray:
        """Small pictures [layers * heads, size, size]: each cell is the most that is in it.

        Raises:
            UserError: if `size` is not from 1 to 128.
        """
        if not 1 <= size <= 128:
            raise UserError("Small pictures have 1 to 128 cells.")
        pictures = []
        for layer in range(self.decoder.model.config.n_layer):
            with self.lock:
                weights = trace.tensor(f"h.{layer}.weights")
            # Up to `size` cells for as many tokens; shorter lines are drawn with the cells that they have.
            pooled = torch.nn.functional.adaptive_max_pool2d(weights[None], size)[0]
            pictures.append(pooled.cpu().numpy())
        return np.concatenate(pictures)

    def vectors(self, trace: Trace, name: str, layer: int, position: int) -> np.ndarray:
        """One vector at one position, of heads side by side.

        Raises:
            UserError: if there is no vector of that name, or no such place.
        """
        if name not in OF_ONE_PLACE:
            raise UserError(f"There is no vector '{name}'.")
        with self.lock:
            rows = trace.tensor(name if name in WHOLE_LINE else f"h.{self._layer(layer)}.{name}")
        place = self._position(trace, position)
        return (rows[:, place].flatten() if rows.dim() == 3 else rows[place]).cpu().numpy()

    def head(self, trace: Trace, layer: int, head: int, position: int) -> np.ndarray:
        """q, k, v, scores, relative (where there is), weights and mixed of one head for one query, in a row."""
        layer, head, place = self._layer(layer), self._head(head), self._position(trace, position)
        with self.lock:
            of = {
                name: trace[f"h.{layer}.{name}"]
                for name in ("q", "k", "v", "scores", "relative", "weights", "mixed")
                if f"h.{layer}.{name}" in trace
            }
        width = of["q"].shape[-1]
        rows = [of["q"][head, place], of["k"][head].ravel(), of["v"][head].ravel(), of["scores"][head, place]]
        rows += [of["relative"][head, place]] if "relative" in of else []
        return np.concatenate([*rows, of["weights"][head, place], of["mixed"][place, head * width :][:width]])

    def lens(self, trace: Trace, position: int) -> list[dict[str, Any]]:
        """What each block's output would say next."""
        found = trace.lens(self._position(trace, position))
        return [
            {"layer": layer, "top": [{"id": index, "p": share} for index, share in top]}
            for layer, top in enumerate(found)
        ]

    def logits(self, trace: Trace, position: int) -> np.ndarray:
        with self.lock:
            return trace.tensor("logits")[self._position(trace, position)].float().cpu().numpy()

    def scores(self, trace: Trace, position: int) -> np.ndarray:
        """The same before anything is copied."""
        place = self._position(trace, position)
        with self.lock:
            return trace.scores(slice(place, place + 1))[0].float().cpu().numpy()

    def copied(self, trace: Trace, position: int) -> np.ndarray:
        """With copy attention, the gate and then the weights [T] of what is copied as the next token."""
        place = self._position(trace, position)
        weights, gates = self._copied(trace)
        return np.append(gates[place], weights[place])

    def pointer(self, trace: Trace) -> np.ndarray:
        """The weights [T, T] of copy attention: rows point."""
        return self._copied(trace)[0]

    def _copied(self, trace: Trace) -> tuple[np.ndarray, np.ndarray]:
        if self.decoder.model.copying is None:
            raise UserError("This decoder copies nothing: reload the page.")
        with self.lock:
            weights, gates = trace.copied()
        return weights.float().cpu().numpy(), gates.float().cpu().numpy()

    def _check(self, ids: list[int], context: int) -> None:
        size = self.decoder.model.config.vocab_size
        if not ids or not all(0 <= index < size for index in ids) or not 0 <= context <= len(ids):
            raise UserError("This is no line of this decoder: reload the page.")

    def _layer(self, layer: int) -> int:
        return _within(layer, self.decoder.model.config.n_layer, "layer")

    def _head(self, head: int) -> int:
        return _within(head, self.decoder.model.config.n_head, "head")

    def _position(self, trace: Trace, position: int) -> int:
        return _within(position, len(trace.ids), "position")


def window_start(length: int, context: int, sliding: bool) -> int:
    """Where the part of a line begins that is read to go on with it: in a full context the latter half stays.

    Raises:
        UserError: if the context is full and the task goes no further.
    """
    if length < context:
        return 0
    if not sliding:
        raise UserError("The line has reached the end of the decoder's context.")
    moved = context - context // 2
    return ((length - context) // moved + 1) * moved


def _line(
    ids: Iterable[int], count: int = 0, of: int = 0, side: str = "", seconds: dict[str, float] | None = None
) -> dict[str, Any]:
    """A line, and how much of what was given it holds: `count` of its tokens, counted from the `side`."""
    line = [int(index) for index in ids]
    read = {"count": count, "of": of, "from": side} if of > count else None
    return {"ids": line, "context": len(line), "read": read, "seconds": seconds}


def _within(number: int, count: int, what: str) -> int:
    if not isinstance(number, int) or not 0 <= number < count:
        raise UserError(f"There is no {what} {number}: there are {count}.")
    return number
