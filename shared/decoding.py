"""One token at a time: the key–value cache, and the decoder's step over it.

A step does what the decoder's modules do, for a single token in every row: the same weights and the same sums, with the
little around them left out. On a GPU it runs on fused kernels (`shared.kernels`), elsewhere on PyTorch's.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.attention import dense_mask
from shared.decoder import Decoder
from shared.fallback import works

try:
    from shared import kernels
except ImportError:  # Triton comes with PyTorch's builds for GPUs only
    kernels = None


class KeyValueCache:
    """Keys and values of every layer, [rows, heads, length, head width] each, filled row by row at its own position.

    `owners` [rows, length], where it is there, names for every entry the row in whose memory it lies: beams that
    branch share what they have in common, and a choice among them moves indices instead of keys and values.
    """

    def __init__(self, decoder: Decoder, rows: int, length: int, dtype: torch.dtype, shared: bool = False):
        config, device = decoder.config, decoder.device
        shape = (rows, config.n_head, length, config.n_embd // config.n_head)
        # Zeros: what a mask hides still takes part with weight 0, and 0 times a NaN found in fresh memory is NaN.
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.n_layer)]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in range(config.n_layer)]
        self.rows = torch.arange(rows, device=device)
        self.owners = self.rows.int()[:, None].repeat(1, length) if shared else None
        self.prompts: list[tuple[int, ...]] = [()] * rows  # what each row begins with, still there when it has ended
        self.destination = self.source = self.rows  # prompts `source` [n] of those being read go to rows `destination`

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Store what `layer` computed for the prompts being read; called by transformers' attention."""
        for stored, new in ((self.keys, keys), (self.values, values)):
            stored[layer][self.destination, :, : new.shape[2]] = new[self.source].to(stored[layer].dtype)
        return keys, values

    def begin(self, prompts: dict[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
        """Let rows begin with `prompts`. Those that a row holds are copied from it; the others, which are to be read,
        are returned.
        """
        device = self.rows.device
        if self.owners is not None:
            rows = torch.tensor([*prompts], device=device)
            self.owners[rows] = rows.int()[:, None]
        holders = {row: self.prompts.index(prompt) for row, prompt in prompts.items() if prompt in self.prompts}
        copies = {row: holder for row, holder in holders.items() if self.prompts[row] != prompts[row]}
        if copies:  # all at once: a row may be copied from while another prompt comes to it
            to, of = (torch.tensor([*rows], device=device) for rows in (copies.keys(), copies.values()))
            length = max(len(prompts[row]) for row in copies)
            for stored in (*self.keys, *self.values):
                stored[to, :, :length] = stored[of, :, :length]
        for row, prompt in prompts.items():
            self.prompts[row] = prompt
        return {row: prompt for row, prompt in prompts.items() if row not in holders}

    def select(self, rows: Tensor, positions: Tensor) -> None:
        """Let row i go on from what row `rows[i]` has seen; its next entry, at `positions[i]`, will be its own."""
        self.owners.copy_(self.owners[rows])
        self.owners.scatter_(1, positions[:, None], self.rows.int()[:, None])

    def keep(self, rows: Tensor) -> None:
        """Drop all rows but these."""
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]
        self.rows = self.rows[: len(rows)]
        self.prompts = [self.prompts[row] for row in rows.tolist()]


def read_prompts(decoder: Decoder, cache: KeyValueCache, rows: list[int], prompts: list[list[int]]) -> None:
    """Fill the cache's `rows` with `prompts`; one that is asked for several times, now or before, is read once."""
    new, device = cache.begin(dict(zip(rows, map(tuple, prompts), strict=True))), decoder.device
    if not new:
        return
    unique = list(dict.fromkeys(new.values()))
    places = {prompt: place for place, prompt in enumerate(unique)}
    lengths = torch.tensor([len(prompt) for prompt in unique])
    ids = torch.zeros(len(unique), int(lengths.max()), dtype=torch.long)
    for row, prompt in zip(ids, unique, strict=True):
        row[: len(prompt)] = torch.tensor(prompt)
    cache.destination = torch.tensor([*new], device=device)
    cache.source = torch.tensor([places[prompt] for prompt in new.values()], device=device)
    position_ids = torch.arange(ids.shape[1]).expand_as(ids)
    mask = None
    if decoder.config.mask == "prefix":
        mask = dense_mask(position_ids, position_ids < lengths[:, None]).to(device)
    decoder.hidden_states(ids.to(device), position_ids.to(device), mask, cache)


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
    relative: Tensor | None
    scaling: float


class Step:
    """The decoder over one more token in each row.

    `visible` is how much of the cache is looked at where the kernels cannot tell by the rows' positions; `uniform` says
    that all rows stand at position `visible - 1`, so that nothing needs to be masked.
    """

    def __init__(self, decoder: Decoder, cache: KeyValueCache):
        self.decoder, self.cache = decoder, cache
        self.visible, self.uniform = cache.keys[0].shape[2], False
        self.dtype = cache.keys[0].dtype
        self.fused = _fused(decoder, self.dtype)
        self.layers = [self._layer(block) for block in decoder.transformer.h]
        self.head = self._weight(decoder.lm_head.weight)

    def _weight(self, weight: Tensor) -> Tensor:
        return weight.to(self.dtype).contiguous() if self.fused else weight.to(self.dtype)

    def _layer(self, block: nn.Module) -> _Layer:
        attention, mlp = block.attn, block.mlp
        matrices = {
            name: (self._weight(module.weight.T), module.bias.to(self.dtype))
            for name, module in {
                "projection": attention.c_attn,
                "output": attention.c_proj,
                "up": mlp.c_fc,
                "down": mlp.c_proj,
            }.items()
        }
        relative = getattr(attention, "relative", None)
        return _Layer(
            norm_1=block.ln_1,
            norm_2=block.ln_2,
            relative=None if relative is None else relative.to(self.dtype).contiguous(),
            scaling=attention.scaling,
            **{name: weight for name, (weight, _) in matrices.items()},
            **{f"{name}_bias": bias for name, (_, bias) in matrices.items()},
        )

    def __call__(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Logits [rows, V], in float32 or better, after `tokens` [rows] at `positions` [rows]."""
        body = self.decoder.transformer
        wide = torch.promote_types(self.dtype, torch.float32)  # the residual stream's and the logits' type
        ours = kernels if self.fused else self
        linear, attend = ours.linear, ours.attend
        states = ours.embed(tokens, positions, body.wte.weight, body.wpe.weight).to(wide)
        for number, layer in enumerate(self.layers):
            keys, values = self.cache.keys[number], self.cache.values[number]
            projected = linear(states, layer.projection, layer.projection_bias, layer.norm_1)
            mixed = attend(projected, keys, values, positions, layer.scaling, self.cache.owners, layer.relative)
            states = linear(mixed, layer.output, layer.output_bias, residual=states, dtype=wide)
            raised = linear(states, layer.up, layer.up_bias, layer.norm_2, gelu=True)
            states = linear(raised, layer.down, layer.down_bias, residual=states, dtype=wide)
        return linear(states, self.head, norm=body.ln_f, dtype=wide)

    def embed(self, tokens, positions, words, places) -> Tensor:
        """`shared.kernels.embed` in PyTorch."""
        return words[tokens] + places[positions]

    def linear(self, inputs, weight, bias=None, norm=None, gelu=False, residual=None, dtype=None) -> Tensor:
        """`shared.kernels.linear` in PyTorch."""
        if norm is not None:
            shape, kind = norm.normalized_shape, inputs.dtype
            inputs = F.layer_norm(inputs, shape, norm.weight.to(kind), norm.bias.to(kind), norm.eps)
        out = F.linear(inputs.to(weight.dtype), weight, bias)
        if gelu:
            out = self.decoder.transformer.h[0].mlp.act(out)
        if residual is not None:
            out = residual + out
        return out.to(dtype or weight.dtype)

    def attend(self, projected, keys, values, positions, scaling, owners=None, relative=None) -> Tensor:
        """`shared.kernels.attend` in PyTorch, over the cache's first `visible` entries."""
        rows, heads, length, width = keys.shape
        query, key, value = projected.view(rows, 3, heads, width).unbind(1)
        if self.uniform:
            keys[:, :, self.visible - 1], values[:, :, self.visible - 1] = key, value
        else:
            keys[self.cache.rows, :, positions] = key
            values[self.cache.rows, :, positions] = value
        at = torch.arange(self.visible, device=keys.device)
        if owners is None:
            keys, values = keys[:, :, : self.visible], values[:, :, : self.visible]
        else:
            head = torch.arange(heads, device=keys.device)[:, None]
            place = ((owners[:, None, : self.visible] * heads + head) * length + at).flatten()
            shape = (rows, heads, self.visible, width)
            keys, values = (stored.flatten(0, 2).index_select(0, place).view(shape) for stored in (keys, values))
        seen = None
        if not self.uniform:
            seen = (at <= positions[:, None])[:, None, None, :]
        if relative is not None:
            distances = (positions[:, None] - at).clamp(0, relative.shape[1] - 1)
            scores = torch.einsum("nhd,hmd->nhm", query, relative) * scaling
            bias = scores.gather(2, distances[:, None].expand(-1, heads, -1))[:, :, None]
            seen = bias if seen is None else bias.masked_fill(~seen, -torch.inf)
        mixed = F.scaled_dot_product_attention(query[:, :, None], keys, values, attn_mask=seen, scale=scaling)
        return mixed.reshape(rows, heads * width)


def compute_dtype(decoder: Decoder) -> torch.dtype:
    """What matrix products run in: autocast's type where it is on, else that of the weights."""
    device = decoder.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else decoder.dtype


def _fused(decoder: Decoder, dtype: torch.dtype) -> bool:
    """Whether the kernels can take this decoder; where a GPU must do without them, the reason is said once."""
    if decoder.device.type != "cuda" or dtype == torch.float64:
        return False
    width = decoder.config.n_embd // decoder.config.n_head
    act = decoder.transformer.h[0].mlp.act
    reason = None
    if kernels is None:
        reason = "Triton is not installed"
    elif width & (width - 1):
        reason = f"heads {width} wide are no power of two"
    elif not (isinstance(act, nn.GELU) and act.approximate == "tanh"):
        reason = f"the activation is {decoder.config.activation_function}, not gelu_new"
    return works(reason, "decoding runs without fused kernels:")
