"""Prompts in, continuations out: greedy, sampled or by beam search, a token at a time over a key–value cache.

Every row of a batch has a position of its own, writes its new keys and values there and sees nothing behind it, so that
a batch gives what its prompts give one by one. For the same reason each prompt draws from a random stream of its own. A
row that is finished makes room for a prompt that waits.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm import tqdm

from shared.beam_search import BeamSearch
from shared.constraint import Constraint
from shared.decoder import Decoder
from shared.decoding import KeyValueCache, Step, compute_dtype, read_prompts
from shared.errors import UserError
from shared.sampling import Writer
from shared.vocabulary import Vocabulary

STRIDE = 16  # steps between two looks at a GPU, each of which waits for it
BEAM_STRIDE = 4  # the same for beams, whose steps are longer: one too many costs more than a look
SHORT = 32  # steps for which capturing a CUDA graph is not worth while


@dataclass
class GenerationArguments:
    """How to write: the names are those of transformers' GenerationConfig."""

    max_new_tokens: int = field(default=128, metadata={"help": "The most tokens written after a prompt."})
    min_new_tokens: int = field(default=0, metadata={"help": "No end before so many tokens are written."})
    no_repeat_ngram_size: int = field(
        default=0,
        metadata={"help": "Write no sequence of so many tokens twice in one output (0: as often as you like)."},
    )
    do_sample: bool = field(default=False, metadata={"help": "Draw tokens instead of taking the likeliest."})
    temperature: float = field(default=1.0, metadata={"help": "Below 1 sharpens the distribution, above flattens."})
    top_k: int = field(default=0, metadata={"help": "Draw from the k likeliest tokens only (0: from all)."})
    top_p: float = field(
        default=1.0,
        metadata={"help": "Draw from the likeliest tokens that hold this share of the probability."},
    )
    num_beams: int = field(default=1, metadata={"help": "Hypotheses kept by beam search (1: no beam search)."})
    length_penalty: float = field(
        default=1.0, metadata={"help": "A hypothesis scores its log-probability / length ** length_penalty."}
    )
    early_stopping: bool = field(
        default=False, metadata={"help": "End beam search as soon as num_beams hypotheses are finished."}
    )
    num_candidates: int = field(
        default=1, metadata={"help": "With --do_sample: draw so many outputs and keep the one most like the others."}
    )
    generation_batch_size: int = field(default=64, metadata={"help": "Prompts (times beams) written at once."})

    def check(self) -> None:
        """UserError for settings that cannot be meant."""
        least_of = {"max_new_tokens": 1, "num_beams": 1, "num_candidates": 1, "generation_batch_size": 1}
        lowest = least_of | dict.fromkeys(("top_k", "min_new_tokens", "no_repeat_ngram_size"), 0)
        for name, least in lowest.items():
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}: give {least} or more")
        if not self.temperature > 0:
            raise UserError(f"--temperature is {self.temperature}: give more than 0 (for greedy: --do_sample false)")
        if not 0 < self.top_p <= 1:
            raise UserError(f"--top_p is {self.top_p}: give a share above 0 and up to 1")
        if self.do_sample and self.num_beams > 1:
            raise UserError(f"--do_sample and --num_beams {self.num_beams} exclude each other: choose one")
        if self.num_candidates > 1 and not self.do_sample:
            raise UserError(f"--num_candidates {self.num_candidates} are drawn: give --do_sample true as well")


@dataclass
class _Line:
    """One prompt and what is written after it so far."""

    index: int
    prompt: list[int]
    written: list[int] = field(default_factory=list)


@torch.inference_mode()
def generate(
    decoder: Decoder,
    prompts: list[Tokens[int]],
    settings: GenerationArguments,
    vocabulary: Vocabulary,
    *,
    seed: int = 0,
    streams: Tokens[int] | None = None,
    constraint: Constraint | None = None,
    sliding: bool = False,
    progress: str | None = None,
) -> list[list[int]]:
    """The continuation of every prompt, without its `<|endoftext|>`, in the prompts' order.

    A continuation ends at `<|endoftext|>`, after `max_new_tokens`, or where the decoder has no position left; with
    `sliding` it goes on there, after the latter half of the line so far. Prompt i draws from the random stream (`seed`,
    `streams[i]`), by default (`seed`, i), whatever batch it falls into. A `constraint` says which tokens may
    come; the probability that it had to remove from how many is left in its `removed` and `tokens`.
    """
    for index, prompt in enumerate(prompts):
        if not 0 < len(prompt) < decoder.context:
            raise ValueError(
                f"prompt {index} has {len(prompt)} tokens: from 1 to {decoder.context - 1} can be continued"
            )
    if constraint:
        if settings.num_beams > 1:
            raise UserError(f"--num_beams {settings.num_beams}: here is a grammar to follow, give --num_beams 1")
        constraint.removed, constraint.tokens = 0.0, 0
    lines = [_Line(index, [*map(int, prompt)]) for index, prompt in enumerate(prompts)]
    order = sorted(lines, key=lambda line: -len(line.prompt))
    was_training = decoder.training
    decoder.eval()
    with tqdm(total=len(prompts), desc=progress, disable=progress is None, unit="line") as bar:
        if order and settings.num_beams > 1:
            _search(decoder, order, settings, vocabulary.end, bar)
        elif order:
            streams = range(len(prompts)) if streams is None else streams
            _write(decoder, order, settings, vocabulary.end, seed, streams, constraint, sliding, bar)
    decoder.train(was_training)
    return [line.written for line in lines]


def _write(decoder, lines, settings, end, seed, streams, constraint, sliding, bar) -> None:
    context, longest = decoder.context, settings.max_new_tokens
    rows = min(settings.generation_batch_size, len(lines))
    length = min(context, max(len(line.prompt) for line in lines) + longest)
    cache = KeyValueCache(decoder, rows, length, compute_dtype(decoder))
    writer = Writer(Step(decoder, cache), longest, settings, end, constraint)
    write = _replayed(writer.write, decoder, longest)
    stride = STRIDE if decoder.device.type == "cuda" else 1
    waiting, in_row = deque(lines), [None] * rows
    limits, count = [0] * rows, [0] * rows
    while waiting or any(in_row):
        free = [row for row, line in enumerate(in_row) if line is None]
        begun = {row: waiting.popleft() for row in free[: len(waiting)]}
        windows = {row: _window(line, context) for row, line in begun.items()}
        if begun:
            read_prompts(decoder, cache, list(windows), list(windows.values()))
        for row, line in begun.items():
            done = len(line.written)
            in_row[row], limits[row], count[row] = line, min(longest, done + context - len(windows[row])), done
            numbers = None
            if settings.do_sample:
                numbers = np.random.default_rng([seed % 2**63, streams[line.index]]).random(longest)
            writer.admit(row, windows[row], limits[row], numbers, line.written)
            if constraint:
                left = (longest if sliding else limits[row]) - done
                constraint.begin(writer.state, row, line.prompt, left, line.written)
        most = max(limits[row] - count[row] for row, line in enumerate(in_row) if line)
        for _ in range(min(stride, most)):
            write()
        finished, count = writer.finished.tolist(), writer.count.tolist()
        for row, line in enumerate(in_row):
            if line is None or not finished[row]:
                continue
            if constraint:
                constraint.tokens += count[row] - len(line.written) + (count[row] < limits[row])  # an end counts, too
                constraint.removed += float(writer.removed[row])
            line.written = writer.ids[row, : count[row]].tolist()
            in_row[row] = None
            if sliding and count[row] == limits[row] < longest:
                waiting.appendleft(line)
            else:
                bar.update()
        busy = [row for row, line in enumerate(in_row) if line]
        if not waiting and 0 < len(busy) <= len(in_row) // 2 and decoder.device.type == "cpu":
            writer.keep(torch.tensor(busy))
            in_row, limits, count = ([values[row] for row in busy] for values in (in_row, limits, count))


def _window(line: _Line, context: int) -> list[int]:
    """What is read before writing (on): the line so far or, where it has filled the context, its end."""
    ids = line.prompt + line.written
    return ids if len(ids) < context else ids[-(context // 2) :]


def _search(decoder, lines, settings, end, bar) -> None:
    limits = [min(settings.max_new_tokens, decoder.context - len(line.prompt)) for line in lines]
    length = min(decoder.context, max(len(line.prompt) for line in lines) + max(limits))
    sentences, beams = max(1, settings.generation_batch_size // settings.num_beams), None
    for start in range(0, len(lines), sentences):
        batch = lines[start : start + sentences]
        if beams is None or beams.sentences != len(batch):
            beams = None  # its cache goes before another comes
            beams = _Beams(decoder, len(batch), length, max(limits), settings, end)
        found = beams.search([line.prompt for line in batch], limits[start : start + sentences])
        for line, ids in zip(batch, found, strict=True):
            line.written = ids
        bar.update(len(batch))


class _Beams:
    """Beam search over one batch after another, with steps that a GPU captures once."""

    def __init__(self, decoder, sentences, length, longest, settings, end):
        self.decoder, self.sentences = decoder, sentences
        rows = sentences * settings.num_beams
        self.cache = KeyValueCache(decoder, rows, length, compute_dtype(decoder), shared=True)
        self.step = Step(decoder, self.cache)
        self.hypotheses = BeamSearch(sentences, longest, settings, end, decoder.device)
        self.tokens = torch.zeros(rows, dtype=torch.long, device=decoder.device)
        self.positions = torch.zeros_like(self.tokens)
        self.grow = _replayed(self._grow, decoder, longest)

    def search(self, prompts: list[list[int]], limits: list[int]) -> list[list[int]]:
        """The best continuation of each prompt, of at most its limit's tokens."""
        on_cpu = self.decoder.device.type == "cpu"
        prompts = [prompt for prompt in prompts for _ in range(len(self.tokens) // self.sentences)]
        read_prompts(self.decoder, self.cache, list(range(len(prompts))), prompts)
        self.hypotheses.begin(limits)
        self.tokens.copy_(torch.tensor([prompt[-1] for prompt in prompts]))
        self.positions.copy_(torch.tensor([len(prompt) - 1 for prompt in prompts]))
        for number in range(1, max(limits) + 1):
            if on_cpu:
                self.step.visible = int(self.positions.max()) + 1
            self.grow()
            if (on_cpu or number % BEAM_STRIDE == 0) and self.hypotheses.done:
                break
        return self.hypotheses.best()

    def _grow(self) -> None:
        rows, new = self.hypotheses.step(self.step(self.tokens, self.positions))
        self.tokens.copy_(new)
        # A row whose context is full is over, but still takes part: it rewrites its last position.
        self.positions.copy_((self.positions + 1).clamp(max=self.decoder.context - 1))
        self.cache.select(rows, self.positions)


def _replayed(step: Callable[[], None], decoder: Decoder, times: int) -> Callable[[], None]:
    """`step` itself or, on a GPU, a function that captures it in a CUDA graph at its third call and then replays it.

    The first two calls load and compile what the graph will hold.
    """
    if decoder.device.type != "cuda" or times < SHORT:
        return step
    graph, calls = torch.cuda.CUDAGraph(), 0

    def replayed() -> None:
        nonlocal calls
        calls += 1
        if calls <= 2:
            step()
            return
        if calls == 3:
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # `torch.cuda.graph` would first give back all cached memory
                graph.capture_begin()
                step()
                graph.capture_end()
            torch.cuda.current_stream().wait_stream(stream)
        graph.replay()

    return replayed
