"""What a decoder's attention looks at: its weights, which it does not write out by itself."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from shared.model.attention import attention
from shared.model.decoder import Decoder

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


AttentionInterface.register(NAME, with_weights)
