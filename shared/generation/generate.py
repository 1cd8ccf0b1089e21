"""Prompts in, continuations out: greedy, sampled or by beam search, a token at a time over a key-value cache.

Every slot of the running batch has a position of its own, writes its new keys and values there and sees nothing behind
it, so that a batch gives what its prompts give one by one. For the same reason each prompt draws from a random stream
of its own. A slot that is finished makes room for a prompt that waits.

The life of a request, which is one prompt and what is written after it:

    waiting ──── _fill: its window is prefilled into a free slot ───> running
       ^                                                                 │ _step, until <|endoftext|>, its limit,
       │                                                                 │ a full context, or its constraint's pause
       │                                                                 v
       │                                          _collect: the slot is free, the request over or at its window's end
       │                                                                 │ Rivals.rest, until all candidates for
       │                                                                 v the same output have come so far
       └──── with what the best has written and the next window ───── judged ──── the best is over ───> finished

`shared.generation.reference` does the same on one page, without a cache, a batch or a kernel.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from tqdm import tqdm

from shared.data.vocabulary import Vocabulary
from shared.errors import UserError
from shared.generation import beam_search
from shared.generation.arguments import GenerationArguments
from shared.generation.ensemble import Ensemble
from shared.generation.recorded import forget, keep, recorded_step
from shared.generation.rivals import Request, Rivals
from shared.model.decoder import Decoder
from shared.writing import Constraint, Look, looking, show

LONGEST = 1_000_000  # tokens of one output that slides along; for each of them there is room from the start
STRIDE = 8  # steps of a GPU before a look at it, and as many while that is waited for


@torch.inference_mode()
def generate(
    decoder: Decoder | Ensemble,
    prompts: Sequence[Sequence[int]],
    settings: GenerationArguments,
    vocabulary: Vocabulary,
    *,
    seed: int = 0,
    streams: Sequence[int] | None = None,
    constraint: Constraint | None = None,
    sliding: bool = False,
    look: Look | None = None,
    lengths: Sequence[int] | None = None,
    rivals: Rivals | None = None,
    progress: str | None = None,
) -> list[list[int]]:
    """The continuation of every prompt, without its `<|endoftext|>`, in the prompts' order.

    A continuation ends at `<|endoftext|>`, after `max_new_tokens` (or its own of the `lengths`), or where the decoder
    has no position left. With `sliding` it goes on there, after the latter half of the sequence so far; in general
    `look` says what is read to write on. Prompt i draws from the random stream (`seed`, `streams[i]`), by default
    (`seed`, i), whatever batch it falls into. Prompts that are `rivals` all become the best of them. A `constraint`
    says which tokens may come; the probability that it had to remove from how many is left in its `removed` and
    `tokens`. Beam search writes nothing past the context, and knows neither `lengths` nor `look` nor `rivals`.

    Raises:
        UserError: if beams are asked for under a constraint that knows time, or more tokens of what nothing else ends
            than there is room for.
        ValueError: if a prompt is empty or fills the context.
    """
    if settings.num_beams > 1:
        found = n_best(decoder, prompts, settings, vocabulary, constraint=constraint, progress=progress)
        return beam_search.taken((best for best, *_ in found), constraint)
    if constraint:
        constraint.removed, constraint.tokens = 0.0, 0
    requests, longest_first = _requests(decoder, prompts)
    look = look or looking(prompts, decoder.context, sliding)
    for request in requests:
        request.longest = _longest(request, look, decoder.context, lengths, settings)
    streams = range(len(prompts)) if streams is None else streams
    with _writing(decoder, len(prompts), progress) as bar:
        if requests:
            end, rivals = vocabulary.end, rivals or Rivals(1, [lambda _: 0] * len(prompts))
            batch = _RunningBatch(decoder, longest_first, settings, end, seed, streams, constraint, look, rivals)
            batch.write(bar.update)
    return [request.written for request in requests]


@torch.inference_mode()
def n_best(
    decoder: Decoder | Ensemble,
    prompts: Sequence[Sequence[int]],
    settings: GenerationArguments,
    vocabulary: Vocabulary,
    *,
    constraint: Constraint | None = None,
    progress: str | None = None,
) -> list[list[beam_search.Hypothesis]]:
    """The `num_beams` best continuations of every prompt that beam search finds, the best first, with their scores.

    A `constraint` says which tokens may come. Those that may keep the probability that the decoder gives them.

    Raises:
        UserError: under a constraint that knows time.
        ValueError: if a prompt is empty or fills the context.
    """
    requests, longest_first = _requests(decoder, prompts)
    forget(decoder)
    with _writing(decoder, len(prompts), progress) as bar:
        ordered = [request.prompt for request in longest_first]
        end, found = vocabulary.end, []
        if ordered:
            found = beam_search.search(decoder, ordered, settings, end, constraint, bar.update)
    by_index = dict(zip((request.index for request in longest_first), found, strict=True))
    return [by_index[request.index] for request in requests]


def _longest(
    request: Request, look: Look, context: int, lengths: Sequence[int] | None, settings: GenerationArguments
) -> int:
    """How many tokens a request may become. No more than can ever be written is made room for, whatever is asked for.

    Raises:
        UserError: if nothing else ends it, and that is too many.
    """
    window, most = look(request.index, []), settings.max_new_tokens
    longest = lengths[request.index] if lengths else most
    if window.last:
        return min(longest, context - len(window.ids))
    if most > LONGEST:
        raise UserError(f"--max_new_tokens is {most}: give up to {LONGEST:,}, as nothing else ends a text")
    return min(longest, LONGEST)


def _requests(decoder: Decoder | Ensemble, prompts: Sequence[Sequence[int]]) -> tuple[list[Request], list[Request]]:
    """A request for each prompt, in the prompts' order and the longest first."""
    for index, prompt in enumerate(prompts):
        if not 0 < len(prompt) < decoder.context:
            raise ValueError(
                f"prompt {index} has {len(prompt)} tokens: from 1 to {decoder.context - 1} can be continued"
            )
    requests = [Request(index, [*map(int, prompt)]) for index, prompt in enumerate(prompts)]
    return requests, sorted(requests, key=lambda request: -len(request.prompt))


@contextmanager
def evaluating(decoder: Decoder | Ensemble) -> Iterator[None]:
    """The decoder in its evaluation mode, without dropout."""
    was_training = decoder.training
    if was_training:
        decoder.eval()
    try:
        yield
    finally:
        if was_training:
            decoder.train(True)


@contextmanager
def _writing(decoder: Decoder | Ensemble, count: int, progress: str | None) -> Iterator[tqdm]:
    """The decoder in its evaluation mode, with a bar of the outputs that are finished."""
    with evaluating(decoder), tqdm(total=count, desc=progress, disable=progress is None, unit="output") as bar:
        yield bar


class _RunningBatch:
    """All `requests` written, as many at once as there are slots."""

    def __init__(
        self,
        decoder: Decoder | Ensemble,
        requests: list[Request],
        settings: GenerationArguments,
        end: int,
        seed: int,
        streams: Sequence[int],
        constraint: Constraint | None,
        look: Look,
        rivals: Rivals,
    ):
        self.decoder, self.settings, self.seed, self.streams = decoder, settings, seed, streams
        self.constraint, self.look, self.context, self.rivals = constraint, look, decoder.context, rivals
        self.longest = max(request.longest for request in requests)
        slots = min(settings.generation_batch_size, len(requests))
        first = [look(request.index, []) for request in requests]
        length = min(self.context, max(len(window.ids) for window in first) + self.longest)
        if any(window.until is not None for window in first):  # those that follow may be longer
            length = self.context
        self.recorded = recorded_step(decoder, slots, length, self.longest, settings, end, constraint)
        self.sampler = self.recorded.sampler
        self.waiting: deque[Request] = deque(requests)
        self.running: list[Request | None] = [None] * slots
        self.limits, self.count, self.last = [0] * slots, [0] * slots, [True] * slots

    def write(self, done: Callable[[], object]) -> None:
        """Write until nothing waits and nothing runs; `done` is called for each request that is finished."""
        on_gpu = self.decoder.device.type == "cuda"
        stride = STRIDE if on_gpu else 1
        ahead = 0  # steps since the look before
        while self.waiting or any(self.running):
            self._fill()
            most = max(self.limits[slot] - self.count[slot] for slot, request in enumerate(self.running) if request)
            steps = max(0, min(stride, most - ahead))
            self._step(steps)
            seen = self.sampler.slots.seen()
            # Where nothing waits for a slot that has become free, a GPU need not stand still to be looked at.
            ahead = max(0, min(stride, most - ahead - steps)) if on_gpu and not self.waiting else 0
            self._step(ahead)
            self._collect(*seen(), done)
            if not on_gpu and not self.waiting and not self.rivals.resting:
                self._shrink()
        keep(self.decoder, self.recorded)

    def _fill(self) -> None:
        """Give free slots to requests that wait."""
        free = [slot for slot, request in enumerate(self.running) if request is None]
        begun = {slot: self.waiting.popleft() for slot in free[: len(self.waiting)]}
        if not begun:
            return
        windows = {slot: self.look(request.index, request.written) for slot, request in begun.items()}
        self.sampler.decode.prefill({slot: window.ids for slot, window in windows.items()})
        for slot, request in begun.items():
            window, done = windows[slot], len(request.written)
            self.running[slot], self.count[slot], self.last[slot] = request, done, window.last
            self.limits[slot] = min(request.longest, done + self.context - len(window.ids))
            if self.constraint:
                left = (self.limits[slot] if window.last else request.longest) - done
                self.constraint.begin(self.sampler.state, slot, request.prompt, left, request.written)
                show(window, self.sampler.state, slot)
        uniform = None
        if self.settings.do_sample:
            streams = (self.streams[request.index] for request in begun.values())
            uniform = np.stack([np.random.default_rng([self.seed % 2**63, n]).random(self.longest) for n in streams])
        self.sampler.slots.admit(
            places=[*begun],
            windows=[window.ids for window in windows.values()],
            written=[request.written for request in begun.values()],
            limits=[self.limits[slot] for slot in begun],
            uniform=uniform,
        )

    def _step(self, times: int) -> None:
        for _ in range(times):
            self.recorded.step()

    def _collect(self, finished: list[bool], counts: list[int], done: Callable[[], object]) -> None:
        """Take what finished slots have written; one whose context is full may have to go on."""
        slots, self.count = self.sampler.slots, counts
        ended = {slot: request for slot, request in enumerate(self.running) if request and finished[slot]}
        if not ended:
            return
        # One wait for all of them, not one each.
        most = max(self.count[slot] for slot in ended)
        ids, removed = slots.ids[[*ended], :most].tolist(), slots.removed[[*ended]].tolist()
        paused = self.sampler.paused()
        for place, (slot, request) in enumerate(ended.items()):
            count, by_itself = self.count[slot], self.count[slot] < self.limits[slot] and not paused[slot]
            if self.constraint:
                self.constraint.tokens += count - len(request.written) + by_itself  # 1 for an end
                self.constraint.removed += removed[place]
            request.written = ids[place][:count]
            self.running[slot] = None
            request.over = self.last[slot] or by_itself or count >= request.longest
            for decided in self.rivals.rest(request):
                if decided.over:
                    done()
                else:
                    self.waiting.appendleft(decided)

    def _shrink(self) -> None:
        """Drop the idle slots once they are half of all: on a CPU they cost as much as the busy ones."""
        busy = [slot for slot, request in enumerate(self.running) if request]
        if 0 < len(busy) <= len(self.running) // 2:
            self.sampler.keep(torch.tensor(busy))
            self.running = [self.running[slot] for slot in busy]
            self.limits, self.count = ([values[slot] for slot in busy] for values in (self.limits, self.count))
            self.last = [self.last[slot] for slot in busy]
