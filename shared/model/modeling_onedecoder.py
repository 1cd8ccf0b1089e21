"""GPT-2 with what plain GPT-2 does not know: relative attention, repeating positions, the prefix mask.

All of it in `transformers`' own interface.

A run whose decoder has any of them carries a copy of this file, so that

    AutoModelForCausalLM.from_pretrained(run, trust_remote_code=True)

gives the same logits and writes the same tokens. It needs nothing but torch and transformers.
"""

import copy
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, GPT2Config, GPT2LMHeadModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithCrossAttentions
from transformers.models.gpt2.modeling_gpt2 import GPT2Block


class OneDecoderConfig(GPT2Config):
    """GPT-2's config, with three settings more.

    The `mask` ("causal" or "prefix"), the distances of `relative_attention` (0: none), and the `position_period` after
    which position embeddings repeat (0: each position has its own).
    """

    model_type = "onedecoder"

    mask: str = "causal"
    relative_attention: int = 0
    position_period: int = 0


class RepeatingPositions(nn.Embedding):
    """Position embeddings that begin anew after every `num_embeddings` tokens.

    Where each token is one voice in one 16th of a bar, positions that repeat with the bar say which, and are shared by
    all bars. How far apart two tokens are is left to relative attention.
    """

    def forward(self, position_ids: Tensor) -> Tensor:
        """Embeddings [..., D] of `position_ids` [...]."""
        return super().forward(position_ids % self.num_embeddings)


class OneDecoderForCausalLM(GPT2LMHeadModel):
    """`GPT2LMHeadModel` with embeddings of distances in every layer, and a context that may read itself both ways."""

    config: OneDecoderConfig
    config_class = OneDecoderConfig
    attention_name = "onedecoder-eager"

    def __init__(self, config: OneDecoderConfig):
        super().__init__(config)
        # For the attention modules alone: whoever makes another model of this config gets that model's attention.
        own = copy.copy(config)
        own._attn_implementation = self.attention_name
        for block in self.blocks:
            block.attn.config = own
        if config.position_period:
            table = self.transformer.wpe.weight.data[: config.position_period]
            self.transformer.wpe = RepeatingPositions.from_pretrained(table.clone(), freeze=False)
        if config.relative_attention:
            self.add_relative_attention(config.relative_attention)

    @property
    def blocks(self) -> list[GPT2Block]:
        """The layers."""
        return cast("list[GPT2Block]", list(self.transformer.h))  # whose type says that they are modules, no more

    def add_relative_attention(self, distances: int) -> None:
        """Add embeddings [H, distances, W] to every layer (Huang et al. 2018); the last is for all larger distances.

        They start at zero, which changes nothing before they have been trained.
        """
        config = self.config
        for block in self.blocks:
            weight = block.ln_1.weight
            shape = config.n_head, distances, config.n_embd // config.n_head
            block.attn.relative = nn.Parameter(torch.zeros(shape, dtype=weight.dtype, device=weight.device))
        config.relative_attention = distances

    def forward(
        self,
        input_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        prefix: Tensor | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithCrossAttentions:
        """As in `GPT2LMHeadModel`, with `prefix`, bool [B, T]: True on the context.

        Under the prefix mask a token of the context sees the whole context. Without `prefix`, everything that is read
        before the first new token is context, as when `generate` reads a prompt.
        """
        started = past_key_values is not None and past_key_values.get_seq_length() > 0
        if self.config.mask == "prefix" and not started:
            if input_ids is None:
                raise ValueError("a decoder with the prefix mask reads input_ids, not inputs_embeds")
            attention_mask = prefix_mask(input_ids, attention_mask, prefix)
        return super().forward(
            input_ids,
            past_key_values=past_key_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            **kwargs,
        )


def prefix_mask(input_ids: Tensor, attention_mask: Tensor | None, prefix: Tensor | None) -> Tensor:
    """Which keys each query sees, bool [B, 1, T, T]: the context, and what stands before it.

    `attention_mask` [B, T] is 0 on padding, which only sees itself.
    """
    length = input_ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
    context = torch.ones_like(input_ids, dtype=torch.bool) if prefix is None else prefix
    seen = causal | context[:, None, :]
    if attention_mask is not None:
        seen = seen & attention_mask[:, None, :].bool()
    return (seen | torch.eye(length, dtype=torch.bool, device=input_ids.device))[:, None]


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of `query` [B, H, T, W] over `key` and `value` [B, H, K, W] as [B, T, H, W].

    The queries are the last T of the K places. `mask` is a bool tensor [B, 1, T, K], or None for the causal mask.
    Where `module` has `relative` embeddings, the distance between query and key counts, too.
    """
    relative = getattr(module, "relative", None)
    causal = mask is None and query.shape[2] > 1
    if relative is not None:
        scale = query.shape[3] ** -0.5 if scaling is None else scaling
        mask, causal = relative_scores(query, relative, key.shape[2], scale, mask), False
    mixed = F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=causal, scale=scaling
    )
    return mixed.transpose(1, 2), None


AttentionInterface.register(OneDecoderForCausalLM.attention_name, attention)


def relative_scores(query: Tensor, relative: Tensor, keys: int, scaling: float, mask: Tensor | None) -> Tensor:
    """What the distances between queries and keys add to the scores, [B, H, T, K], -inf where `mask` hides a key.

    Huang et al. 2018, "Music Transformer", section 3.4.1: the products of the queries with the embeddings of distances
    `relative` [H, M, W], of which the last stands for all distances from M - 1 on, are skewed into place, so that no
    tensor [T, K, W] is needed. The queries are the last T of the `keys` places.
    """
    length = query.shape[2]
    distances = torch.arange(keys - 1, -1, -1, device=query.device).clamp(max=relative.shape[1] - 1)
    by_distance = query @ relative[:, distances].to(query.dtype).transpose(1, 2) * scaling
    earlier = torch.ones(length, keys, dtype=torch.bool, device=query.device).tril(keys - length)
    if mask is None:
        return skew(by_distance).masked_fill(~earlier, -torch.inf)
    # A prefix mask also shows later keys: they count as being at distance 0.
    return torch.where(earlier, skew(by_distance), by_distance[..., -1:]).masked_fill(~mask, -torch.inf)


def skew(scores: Tensor) -> Tensor:
    """From [..., T, K] by query and distance (K - 1 … 0) to [..., T, K] by query and key.

    Entries for keys after the query have no meaning and must be masked.
    """
    length, keys = scores.shape[-2:]
    return F.pad(scores, (1, 0)).flatten(-2)[..., length:].unflatten(-1, (length, keys))
