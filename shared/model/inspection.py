"""A look inside a decoder while it reads one sequence: its attention weights, and what might have come next."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from shared.model.attention import attention
from shared.model.decoder import Decoder

NAME = "onedecoder-with-weights"


class Inspection(NamedTuple):
    """Of a sequence of T tokens: attention `weights` by query and key, and the probabilities of the `next` token."""

    weights: Tensor  # [layers, heads, T, T]
    next: Tensor  # [T, V]


@torch.no_grad()
def inspect(decoder: Decoder, ids: list[int], context_length: int) -> Inspection:
    """Read the sequence `ids`, of which the first `context_length` are context, with a decoder on the CPU.

    Row t of `weights` says how much of each token t takes in, 0 where the mask hides one; row t of `next` is the
    distribution from which token t + 1 is chosen, before temperature, top-k and the like.
    """
    decoder.eval()
    weights: list[Tensor] = []
    attentions = [block.attn for block in decoder.transformer.h]
    shared_config = attentions[0].config  # of all attention modules, and of nothing else
    usual, shared_config._attn_implementation = shared_config._attn_implementation, NAME
    hooks = [module.register_forward_hook(lambda *call: weights.append(call[-1][1])) for module in attentions]
    try:
        logits = decoder.packed_logits(torch.tensor([ids]), torch.arange(len(ids))[None] < context_length)[0]
    finally:
        shared_config._attn_implementation = usual
        for hook in hooks:
            hook.remove()
    return Inspection(torch.cat(weights), logits.float().softmax(-1))


def with_weights(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options
) -> tuple[Tensor, Tensor]:
    """`attention` and its weights [B, H, T, K]: they are what it makes of values that are unit vectors."""
    units = torch.eye(key.shape[2], dtype=value.dtype, device=value.device).expand(*key.shape[:3], -1)
    weights = attention(module, query, key, units, mask, **options)[0].transpose(1, 2)
    return attention(module, query, key, value, mask, **options)[0], weights


AttentionInterface.register(NAME, with_weights)
