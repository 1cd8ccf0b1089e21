"""The decoder over one more token in each slot of the running batch.

A step does what the decoder's modules do, for a single token in every slot: the same weights and the same sums, over
the keys and values that the cache holds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from transformers.models.gpt2.modeling_gpt2 import GPT2Block

from shared.generation import decode_operations
from shared.generation.cache import KeyValueCache
from shared.generation.copy_step import CopyStep
from shared.kernels.support import fast
from shared.model.attention import attention
from shared.model.block import block_matrices, distance_embeddings
from shared.model.decoder import Decoder
from shared.model.masks import Mask, choose_mask, dense_mask


class _Layer(NamedTuple):
    """A block's weights, matrices as [outputs, inputs]."""

    norm_1: nn.LayerNorm
    projection: Tensor
    projection_bias: Tensor
    output: Tensor
    output_bias: Tensor
    norm_2: nn.LayerNorm
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor
    activation: nn.Module
    relative: Tensor | None
    scaling: float


class Update(Protocol):
    """What a layer's new keys and values [N, heads, T, width] go to; returns all that its queries may attend to."""

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]: ...


class DecodeStep:
    """Logits after one more token in each slot; its key and value go to the cache.

    With copy attention they are log-probabilities, from which the same is chosen as from logits.
    """

    def __init__(self, decoder: Decoder, cache: KeyValueCache):
        # The decoder's parts and not itself: a step that is kept as long as its decoder lives must not keep it alive.
        self.gpt2, self.blocks, self.config, self.cache = decoder.transformer, decoder.blocks, decoder.config, cache
        self.dtype = cache.keys[0].dtype
        self.logits_dtype = torch.promote_types(self.dtype, torch.float32)  # the residual stream's, too
        config = decoder.config
        fused = fast(
            "decode",
            decoder.device,
            dtype=self.dtype,
            head_width=config.n_embd // config.n_head,
            activation=config.activation_function,
        )
        self.operations = fused or decode_operations
        self.period = config.position_period
        self.copies: list[tuple[Tensor, Tensor]] = []  # of weights, and what they are copies of
        self.layers = [self._layer(block) for block in decoder.blocks]
        self.head = self._weight(decoder.lm_head.weight)
        self.copy = None if decoder.copying is None else CopyStep(decoder.copying, cache)
        self.recorded_reading: Callable[[DecodeStep, Tensor], None] | None = None

    def _weight(self, weight: Tensor) -> Tensor:
        # Of a decoder in 8 bits, the rounded floats: whole numbers made a GPU's step no faster (see LOG.md).
        used = weight.to(self.dtype)
        used = used if self.operations is decode_operations else used.contiguous()
        if used.data_ptr() != weight.data_ptr():
            self.copies.append((used, weight))
        return used

    def _layer(self, block: GPT2Block) -> _Layer:
        matrices, relative = block_matrices(block), distance_embeddings(block.attn)
        return _Layer(
            norm_1=block.ln_1,
            norm_2=block.ln_2,
            activation=block.mlp.act,
            relative=None if relative is None else self._weight(relative),
            scaling=block.attn.scaling,
            **{name: self._weight(module.weight.T) for name, module in matrices.items()},
            **{f"{name}_bias": self._weight(module.bias) for name, module in matrices.items()},
        )

    def __call__(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Logits [N, V], in float32 or better, after `tokens` [N] at `positions` [N]."""
        gpt2, wide = self.gpt2, self.logits_dtype
        linear, attend = self.operations.linear, self.operations.attend
        bounds = None
        if not positions.is_cuda:  # reading them would make a GPU wait
            low, high = positions.aminmax()
            bounds = int(low), int(high)
        places = positions % self.period if self.period else positions
        states = self.operations.embed(tokens, places, gpt2.wte.weight, gpt2.wpe.weight).to(wide)
        for number, layer in enumerate(self.layers):
            keys, values = self.cache.keys[number], self.cache.values[number]
            projected = linear(states, layer.projection, layer.projection_bias, layer.norm_1)
            mixed = attend(
                projected, keys, values, positions, layer.scaling, self.cache.beam_origin, layer.relative, bounds
            )
            states = linear(mixed, layer.output, layer.output_bias, residual=states, dtype=wide)
            raised = linear(states, layer.up, layer.up_bias, layer.norm_2, layer.activation)
            states = linear(raised, layer.down, layer.down_bias, residual=states, dtype=wide)
        logits = linear(states, self.head, norm=gpt2.ln_f, dtype=wide)
        if self.copy is None:
            return logits
        projected = linear(states, self.copy.weight, self.copy.bias, gpt2.ln_f, dtype=wide)
        return self.copy(logits, projected, tokens, positions, bounds)

    def prefill(self, prompts: Mapping[int, Sequence[int]]) -> None:
        """Fill slots of the cache with their prompts; one that is asked for several times, now or before, is read once.

        `prompts` are token ids by slot.
        """
        cache, device = self.cache, self.cache.device
        new = cache.begin({slot: tuple(prompt) for slot, prompt in prompts.items()})
        if not new:
            return
        unique = list(dict.fromkeys(new.values()))
        numbers = {prompt: number for number, prompt in enumerate(unique)}
        slots, sources = [*new], [numbers[prompt] for prompt in new.values()]
        cache.fill(slots, sources)
        lengths = torch.tensor([len(prompt) for prompt in unique])
        longest = int(lengths.max())
        ids = torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in unique])
        if self.config.mask == "prefix":
            positions = torch.arange(longest)
            row = positions.expand_as(ids)
            mask = dense_mask(row, row < lengths[:, None]).to(device)
            self.read(ids.to(device), positions.to(device), mask, cache)
        elif self.recorded_reading is not None and slots == sources == [*range(len(slots))]:
            self.recorded_reading(self, ids)
        else:
            self.read_rows(ids)

    def read_rows(self, ids: Tensor) -> None:
        """Read prompts `ids` [N, T], which lie on the CPU and of which the shorter ones end with padding."""
        self.read(ids.to(self.cache.device), *self.causal(*ids.shape), self.cache)

    def causal(self, rows: int, length: int) -> tuple[Tensor, Mask]:
        """Positions [T] and mask of so many rows of `length` tokens: padding stands behind all that is read."""
        device, attention, shape = self.cache.device, self.blocks[0].attn, torch.Size((rows, length))
        relative, width = distance_embeddings(attention), attention.head_dim
        mask = choose_mask(shape, None, None, device=device, dtype=self.dtype, width=width, relative=relative)
        return torch.arange(length, device=device), mask

    def read(self, ids: Tensor, positions: Tensor, mask: Mask, cache: Update) -> None:
        """Give the `cache` the keys and values of tokens `ids` [N, T], which stand at `positions` [T] of each row."""
        gpt2, wide = self.gpt2, self.logits_dtype
        linear, shape, config = decode_operations.linear, ids.shape, self.config
        states = (gpt2.wte(ids) + gpt2.wpe(positions)).to(wide).flatten(0, 1)
        for number, (layer, block) in enumerate(zip(self.layers, self.blocks, strict=True)):
            projected = linear(states, layer.projection, layer.projection_bias, layer.norm_1)
            parts = projected.view(*shape, 3, config.n_head, -1)
            query, key, value = parts.permute(2, 0, 3, 1, 4)
            keys, values = cache.update(key, value, number)
            if number == len(self.layers) - 1 and self.copy is None:
                return  # what a last layer makes of them is not kept
            mixed, _ = attention(block.attn, query, keys, values, mask, scaling=layer.scaling)
            mixed = mixed.reshape(len(states), -1)
            states = linear(mixed, layer.output, layer.output_bias, residual=states, dtype=wide)
            raised = linear(states, layer.up, layer.up_bias, layer.norm_2, layer.activation)
            states = linear(raised, layer.down, layer.down_bias, residual=states, dtype=wide)
        assert self.copy is not None
        halves = self.copy.keys(linear(states, self.copy.weight, self.copy.bias, gpt2.ln_f))
        cache.update(halves.view(shape[0], 1, shape[1], -1), ids[:, None, :, None], len(self.layers))

    @property
    def nbytes(self) -> int:
        """Memory of the cache and of copied weights."""
        held = [*self.cache.pairs, *self.cache.copied, *(copy for copy, _ in self.copies)]
        return sum(tensor.nbytes for tensor in held)

    def renew(self) -> None:
        """Be as a new step over an empty cache, with the weights as they are now."""
        if self.copies:
            copies, weights = zip(*self.copies, strict=True)
            torch._foreach_copy_(copies, weights)  # one call: a GPU's launcher is what takes time
        if self.copy is not None:
            self.copy.renew()
        self.cache.clear()


def compute_dtype(decoder: Decoder) -> torch.dtype:
    """What matrix products run in: autocast's type where it is on, else that of the weights."""
    device = decoder.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else decoder.dtype
