"""A decoding step in as few operations as PyTorch has them, for a CPU.

A small decoder's products take a CPU a few microseconds each, no longer than PyTorch takes to call anything. So nothing
here is called that need not be: products go to one buffer, views of it are made once, keys and values are stored
together, and where all slots stand at one position, as one alone does, none needs a mask.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

from shared.generation.cache import KeyValueCache
from shared.generation.decode_step import DecodeStep
from shared.generation.products import Product, block_product, head_product
from shared.kernels import support
from shared.model.block import block_matrices, distance_embeddings
from shared.model.decoder import Decoder


def why_not(decoder: Decoder, cache: KeyValueCache) -> str | None:
    """What keeps a decoder and its cache from this step, or None."""
    if decoder.device.type != "cpu" or "cpu" in support.DEVICES:
        return "the fused kernels run here"
    if cache.beam_origin is not None:
        return "beams share their cache"
    if decoder.dtype != cache.keys[0].dtype or decoder.dtype not in (torch.float32, torch.float64):
        return "weights are converted first"
    return None


class _Layer(NamedTuple):
    """A block's weights."""

    norm_1: tuple[Tensor, Tensor, float]
    projection: Product
    output: Product
    norm_2: tuple[Tensor, Tensor, float]
    up: Product
    down: Product
    activation: nn.Module
    reversed: Tensor | None  # scaled embeddings of distances [heads, width, M], the farthest first
    scaling: float


class LeanStep(DecodeStep):
    """A `DecodeStep` that does without whatever it can while all slots stand at one position."""

    def __init__(self, decoder: Decoder, cache: KeyValueCache):
        super().__init__(decoder, cache)
        self.lean = [_lean(block) for block in decoder.blocks]
        self.words, self.places = decoder.transformer.wte.weight, decoder.transformer.wpe.weight
        self.last, self.scores = _norm(decoder.transformer.ln_f), head_product(decoder.lm_head)
        self.shape = (decoder.config.n_embd,)
        self._make_room()

    def _make_room(self) -> None:
        """For the queries, keys and values of one layer's new tokens."""
        slots, heads, _, width = self.cache.keys[0].shape
        self.projected = self.words.new_empty(slots, 3 * heads * width)
        parts = self.projected.view(slots, 3, heads, width)
        self.query, self.pair = parts[:, 0, :, None], parts[:, 1:].transpose(0, 1)

    def __call__(self, tokens: Tensor, positions: Tensor) -> Tensor:
        if len(tokens) == 1:
            position = int(positions)
        else:
            position, high = map(int, positions.aminmax())
            if position != high:
                return super().__call__(tokens, positions)
        if len(tokens) != len(self.projected):  # some were dropped
            self._make_room()
        norm, attend, shape = torch.layer_norm, F.scaled_dot_product_attention, self.shape
        cache, query, visible = self.cache, self.query, position + 1
        states = self.words.index_select(0, tokens).add_(self.places[position % len(self.places)])
        # Copy attention's keys, the last, are for later.
        for pair, keys, values, layer in zip(cache.pairs, cache.keys, cache.values, self.lean, strict=False):
            layer.projection(norm(states, shape, *layer.norm_1), self.projected)
            pair.select(3, position).copy_(self.pair)
            far = None if layer.reversed is None else _by_key(query, layer.reversed, visible)
            seen = keys.narrow(2, 0, visible), values.narrow(2, 0, visible)
            mixed = attend(query, *seen, attn_mask=far, scale=layer.scaling)
            states.add_(layer.output(mixed.flatten(1)))
            raised = layer.activation(layer.up(norm(states, shape, *layer.norm_2)))
            states.add_(layer.down(raised))
        states = norm(states, shape, *self.last)
        logits = self.scores(states)
        if self.copy is None:
            return logits
        return self.copy(logits, F.linear(states, self.copy.weight, self.copy.bias), tokens, positions, (position,) * 2)


def _by_key(query: Tensor, embeddings: Tensor, visible: int) -> Tensor:
    """What the distances add to the scores [N, heads, 1, visible] of queries [N, heads, 1, width] at the last place."""
    distances = embeddings.shape[2]
    near = query @ embeddings.narrow(2, max(0, distances - visible), min(distances, visible))
    if visible <= distances:
        return near
    return torch.cat([near[..., :1].expand(*near.shape[:3], visible - distances), near], 3)


def _norm(module: nn.LayerNorm) -> tuple[Tensor, Tensor, float]:
    return module.weight, module.bias, module.eps


def _lean(block: GPT2Block) -> _Layer:
    relative, scaling = distance_embeddings(block.attn), block.attn.scaling
    return _Layer(
        norm_1=_norm(block.ln_1),
        norm_2=_norm(block.ln_2),
        activation=block.mlp.act,
        reversed=None if relative is None else (relative.detach().flip(1) * scaling).transpose(1, 2).contiguous(),
        scaling=scaling,
        **{name: block_product(module) for name, module in block_matrices(block).items()},
    )
