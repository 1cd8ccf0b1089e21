"""What a decoder's attention looks at, and what it copies: weights that it does not write out by itself."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from shared.model.attention import attention
from shared.model.decoder import Decoder
from shared.model.modeling_onedecoder import CopyAttention, joined

NAME = "onedecoder-with-weights"


@torch.no_grad()
def attention_weights(decoder: Decoder, layer: int, states: Tensor, mask: Tensor | None) -> Tensor:
    """The attention weights [B, H, T, T] of a layer whose block is given `states` [B, T, D].

    Row t says how much of each token t takes in, 0 where the mask hides one. `mask` is bool [B, 1, T, T], or None for
    the causal mask. The block's own modules compute them; nothing of the decoder is changed.
    """
    block = decoder.blocks[layer]
    found: list[Tensor] = []
    config = block.attn.config  # the config is that of all attention modules, and of nothing else
    usual, config._attn_implementation = config._attn_implementation, NAME
    hook = block.attn.register_forward_hook(lambda *call: found.append(call[-1][1]))
    try:
        block(states, None, mask)
    finally:
        config._attn_implementation = usual
        hook.remove()
    return found[0]


def with_weights(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
) -> tuple[Tensor, Tensor]:
    """`attention` and its weights [B, H, T, K]: they are what it makes of values that are unit vectors."""
    units = torch.eye(key.shape[2], dtype=value.dtype, device=value.device).expand(*key.shape[:3], -1)
    weights = attention(module, query, key, units, mask, **options)[0].transpose(1, 2)
    return attention(module, query, key, value, mask, **options)[0], weights


@torch.no_grad()
def copied(copying: CopyAttention, states: Tensor) -> tuple[Tensor, Tensor]:
    """How much each place of a line points at every token up to its own [T, T], and its gate [T].

    `states` [T, D] are the last layer's. The gate is the share of the next token's probability that is copied.
    """
    places = torch.arange(len(states), device=states.device)
    keys = joined(copying.key(states), places == 0)
    weights = copying.scores(states, keys, places <= places[:, None]).softmax(-1)
    return weights, copying.gate(states)[:, 0].sigmoid()


AttentionInterface.register(NAME, with_weights)
