"""Prompts in, continuations out: greedy, sampled or by beam search, a token at a time over a key–value cache.

Prompts of different lengths stand in one batch, padded on the right: every row has a position of its own, writes its
new keys and values there and sees nothing behind it, so that a batch gives what its prompts give one by one. For the
same reason each prompt draws from a random stream of its own.
"""

from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from shared.beam_search import BeamSearch, until
from shared.decoder import Decoder
from shared.errors import UserError
from shared.vocabulary import Vocabulary


@dataclass
class GenerationArguments:
    """How to write: the names are those of transformers' GenerationConfig."""

    max_new_tokens: int = field(default=128, metadata={"help": "The most tokens written after a prompt."})
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
        lowest = {"max_new_tokens": 1, "num_beams": 1, "num_candidates": 1, "generation_batch_size": 1, "top_k": 0}
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


class KeyValueCache:
    """Keys and values of every layer, [rows, heads, length, head width] each, filled row by row at its own position."""

    def __init__(self, decoder: Decoder, rows: int, length: int):
        config = decoder.config
        shape = (rows, config.n_head, length, config.n_embd // config.n_head)
        weight = decoder.transformer.wte.weight
        # Zeros: what a mask hides still takes part with weight 0, and 0 times a NaN found in fresh memory is NaN.
        self.keys = [weight.new_zeros(shape) for _ in range(config.n_layer)]
        self.values = [weight.new_zeros(shape) for _ in range(config.n_layer)]
        self.rows = torch.arange(rows, device=weight.device)
        self.positions: Tensor | None = None  # [rows] where the next token goes; None while prompts are read
        self.visible = 0  # longest filled length: nothing is read behind it

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Store what `layer` computed for the new tokens and return all it may attend to."""
        if self.positions is None:
            self.keys[layer][:, :, : keys.shape[2]] = keys
            self.values[layer][:, :, : keys.shape[2]] = values
            return keys, values
        self.keys[layer][self.rows, :, self.positions] = keys[:, :, 0].to(self.keys[layer].dtype)
        self.values[layer][self.rows, :, self.positions] = values[:, :, 0].to(self.values[layer].dtype)
        return self.keys[layer][:, :, : self.visible], self.values[layer][:, :, : self.visible]

    def select(self, rows: Tensor) -> None:
        """Keep `rows` [N] (each may be named often): beams that live on, prompts shared by several beams."""
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]
        self.rows = torch.arange(len(rows), device=rows.device)


class Reader:
    """A decoder reading a batch of rows: the prompts at once, then a token at a time."""

    def __init__(self, decoder: Decoder, prompts: list[Tokens[int]], new_tokens: int):
        self.decoder = decoder
        device = decoder.device
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        longest = int(lengths.max())
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in zip(ids, prompts, strict=True):
            row[: len(prompt)] = torch.as_tensor(prompt)
        self.lengths = lengths.to(device)
        self.cache = KeyValueCache(decoder, len(prompts), longest + new_tokens)
        self.ids = ids.to(device)

    def read_prompts(self) -> Tensor:
        """Logits [rows, V] of each row's first new token."""
        position_ids = torch.arange(self.ids.shape[1], device=self.ids.device).expand_as(self.ids)
        mask = None
        if self.decoder.config.mask == "prefix":
            mask = (position_ids < self.lengths[:, None])[:, None, None, :] | torch.ones(
                self.ids.shape[1], self.ids.shape[1], dtype=torch.bool, device=self.ids.device
            ).tril()
        states = self.decoder.hidden_states(self.ids, position_ids, mask, self.cache)
        self.cache.positions = self.lengths.clone()
        self.cache.visible = self.ids.shape[1]
        return self.decoder.lm_head(states[self.cache.rows, self.lengths - 1]).float()

    def read_token(self, tokens: Tensor) -> Tensor:
        """Logits [rows, V] after one more token in each row [rows]."""
        cache = self.cache
        cache.visible += 1
        # A row whose context is full is over, but still takes part: it rewrites its last position.
        positions = cache.positions.clamp(max=self.decoder.context - 1)
        seen = torch.arange(cache.visible, device=tokens.device) <= positions[:, None]
        states = self.decoder.hidden_states(tokens[:, None], positions[:, None], seen[:, None, None], cache)
        cache.positions = positions + 1
        return self.decoder.lm_head(states[:, 0]).float()

    def select(self, rows: Tensor) -> None:
        self.cache.select(rows)
        self.cache.positions = self.cache.positions[rows]


def choose(logits: Tensor, settings: GenerationArguments, uniform: Tensor | None) -> Tensor:
    """The next token of each row [N] from logits [N, V]: the likeliest, or drawn by `uniform` [N] numbers in [0, 1).

    Drawing inverts the cumulative distribution over the tokens sorted by probability, cut to the `top_k` likeliest
    (Fan et al. 2018) and to the nucleus that holds `top_p` of the probability (Holtzman et al. 2020).
    """
    if uniform is None:
        return logits.argmax(-1)
    kept = min(settings.top_k or logits.shape[-1], logits.shape[-1])
    top, tokens = (logits / settings.temperature).topk(kept)
    cumulative = top.softmax(-1).cumsum(-1)
    # A token is in the nucleus where those before it hold less than top_p; the first always is.
    inside = (torch.cat([cumulative.new_zeros(len(top), 1), cumulative[:, :-1]], -1) < settings.top_p).sum(-1)
    mass = cumulative.gather(1, inside[:, None] - 1)
    drawn = torch.searchsorted(cumulative, uniform[:, None] * mass, right=True)
    return tokens.gather(1, drawn.minimum(inside[:, None] - 1))[:, 0]


@torch.inference_mode()
def generate(
    decoder: Decoder,
    prompts: list[Tokens[int]],
    settings: GenerationArguments,
    vocabulary: Vocabulary,
    *,
    seed: int = 0,
    streams: Tokens[int] | None = None,
    progress: str | None = None,
) -> list[list[int]]:
    """The continuation of every prompt, without its `<|endoftext|>`, in the prompts' order.

    A continuation ends at `<|endoftext|>`, after `max_new_tokens`, or where the decoder has no position left. Prompt i
    draws from the random stream (`seed`, `streams[i]`), by default (`seed`, i), whatever batch it falls into.
    """
    for index, prompt in enumerate(prompts):
        if not 0 < len(prompt) < decoder.context:
            raise ValueError(
                f"prompt {index} has {len(prompt)} tokens: from 1 to {decoder.context - 1} can be continued"
            )
    streams = range(len(prompts)) if streams is None else streams
    was_training = decoder.training
    decoder.eval()
    results: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    rows = max(1, settings.generation_batch_size // settings.num_beams)
    with tqdm(total=len(prompts), desc=progress, disable=progress is None, unit="line") as bar:
        for start in range(0, len(order), rows):
            batch = order[start : start + rows]
            limits = [min(settings.max_new_tokens, decoder.context - len(prompts[index])) for index in batch]
            reader = Reader(decoder, [prompts[index] for index in batch], max(limits))
            if settings.num_beams > 1:
                written = _beams(reader, limits, settings, vocabulary)
            else:
                numbers = [np.random.default_rng([seed % 2**63, streams[index]]).random(max(limits)) for index in batch]
                written = _one_by_one(reader, limits, settings, vocabulary, np.stack(numbers))
            for index, ids in zip(batch, written, strict=True):
                results[index] = ids
            bar.update(len(batch))
    decoder.train(was_training)
    return results


def _one_by_one(reader, limits, settings, vocabulary, numbers) -> list[list[int]]:
    uniform = torch.from_numpy(numbers).float().to(reader.ids.device) if settings.do_sample else None
    limit = torch.tensor(limits, device=reader.ids.device)
    written = limit.new_full((len(limits), max(limits)), vocabulary.end)
    finished = limit.new_zeros(len(limits), dtype=torch.bool)
    logits = reader.read_prompts()
    for step in range(max(limits)):
        tokens = choose(logits, settings, None if uniform is None else uniform[:, step])
        finished |= tokens.eq(vocabulary.end) | (limit <= step)
        written[:, step] = tokens.masked_fill(finished, vocabulary.end)
        if finished.all() or step + 1 == max(limits):
            break
        logits = reader.read_token(written[:, step])
    return [until(vocabulary.end, ids) for ids in written.tolist()]


def _beams(reader, limits, settings, vocabulary) -> list[list[int]]:
    search = BeamSearch(limits, settings, vocabulary.end, reader.ids.device)
    logits = reader.read_prompts()
    logits = logits.repeat_interleave(settings.num_beams, 0)  # the source is read once for all its beams
    reader.select(reader.cache.rows.repeat_interleave(settings.num_beams))
    while True:
        rows, tokens = search.step(logits)
        if search.done:
            return search.best()
        reader.select(rows)
        logits = reader.read_token(tokens)
