"""GPT-2 with what plain GPT-2 does not know: relative attention, repeating positions, the prefix mask, copy attention.

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
from transformers.cache_utils import Cache, DynamicLayer
from transformers.modeling_outputs import CausalLMOutputWithCrossAttentions
from transformers.models.gpt2.modeling_gpt2 import GPT2Block
from transformers.utils import can_return_tuple


class OneDecoderConfig(GPT2Config):
    """GPT-2's config, with four settings more.

    The `mask` ("causal" or "prefix"), the distances of `relative_attention` (0: none), the `position_period` after
    which position embeddings repeat (0: each position has its own), and the width of `copy_attention` (0: none).
    """

    model_type = "onedecoder"

    mask: str = "causal"
    relative_attention: int = 0
    position_period: int = 0
    copy_attention: int = 0


class RepeatingPositions(nn.Embedding):
    """Position embeddings that begin anew after every `num_embeddings` tokens.

    Where each token is one voice in one 16th of a bar, positions that repeat with the bar say which, and are shared by
    all bars. How far apart two tokens are is left to relative attention.
    """

    def forward(self, position_ids: Tensor) -> Tensor:
        """Embeddings [..., D] of `position_ids` [...]."""
        return super().forward(position_ids % self.num_embeddings)


HIDDEN = -1e30  # the score of what is not seen: its weight is 0, and unlike -inf it has a gradient, which is 0 too


class CopyAttention(nn.Module):
    """A head that points at earlier tokens of the line, so that the next token may be a copy of one.

    The decoder's distribution becomes a mixture, as in See et al. 2017, "Get To The Point" (section 2.2):

        p(y) = (1 - gate) softmax(logits)[y] + gate * sum of the weights of all earlier tokens that are y.

    A token's key is the sum of two: one of its own state, and one of the state before it, since places that are alike
    go on alike (as in an induction head). The first of a line has the first alone. A place sees all keys up to its own.
    """

    def __init__(self, width: int, head_width: int, spread: float):
        super().__init__()
        self.query = nn.Linear(width, head_width, bias=False)
        self.key = nn.Linear(width, 2 * head_width, bias=False)  # of a token, and of the place before one
        self.gate = nn.Linear(width, 1)
        for projection in (self.query, self.key):
            nn.init.normal_(projection.weight, std=spread)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, -2.0)  # the decoder begins nearly as it is without

    def scores(self, states: Tensor, keys: Tensor, seen: Tensor) -> Tensor:
        """The scores [..., T, K], in float32 or better, of `states` [..., T, D] over `keys` [..., K, W].

        `seen`, bool [..., T, K], says which keys each state sees.
        """
        scores = self.query(states) @ keys.transpose(-1, -2) * keys.shape[-1] ** -0.5
        return wide(scores).masked_fill(~seen, HIDDEN)

    def forward(self, states: Tensor, logits: Tensor, keys: Tensor, tokens: Tensor, seen: Tensor) -> Tensor:
        """The logarithm [..., T, V] of the mixture, of which `logits` [..., T, V] are the one part.

        `states` [..., T, D] are those that the logits come from, `tokens` [..., K] are those of the `keys`.
        """
        weights = self.scores(states, keys, seen).softmax(-1)
        written = wide(logits).log_softmax(-1)
        copied = torch.zeros_like(written).scatter_add(-1, tokens[..., None, :].expand_as(weights), weights)
        return mixture(written, copied, self.gate(states)[..., 0])


def joined(halves: Tensor, begins: Tensor) -> Tensor:
    """The keys [..., K, W] of `halves` [..., K, 2 W] that `key` makes; `begins`, bool [..., K], is True on firsts."""
    own, before = halves.chunk(2, -1)
    return own + before.roll(1, -2).masked_fill(begins[..., None], 0)


def wide(values: Tensor) -> Tensor:
    """In float32 or better."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def mixture(written: Tensor, copied: Tensor, gate: Tensor) -> Tensor:
    """The logarithm of `written` (log-probabilities [..., V]) and `copied` (probabilities) by `gate` [...], a logit."""
    copied, gate = copied.clamp(min=torch.finfo(copied.dtype).tiny).log(), wide(gate)[..., None]
    return torch.logaddexp(F.logsigmoid(-gate) + written, F.logsigmoid(gate) + copied)


class CopiedTokens(DynamicLayer):
    """What copy attention keeps in transformers' cache: keys [B, 1, T, 2 W] and, as values, token ids [B, 1, T, 1]."""

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.values = value_states.new_empty(0)  # a large id is no bfloat16


class OneDecoderForCausalLM(GPT2LMHeadModel):
    """`GPT2LMHeadModel` with embeddings of distances in every layer, and a context that may read itself both ways.

    With copy attention its logits are log-probabilities.
    """

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
        self.copying: CopyAttention | None = None
        if config.copy_attention:
            self.add_copy_attention(config.copy_attention)

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

    def add_copy_attention(self, head_width: int) -> None:
        """Add a head that copies, whose queries and keys have `head_width` numbers."""
        config, weight = self.config, self.transformer.ln_f.weight
        copying = CopyAttention(config.n_embd, head_width, config.initializer_range)
        self.copying = copying.to(weight.device, weight.dtype)
        config.copy_attention = head_width

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
        padding = attention_mask
        if self.config.mask == "prefix" and not started:
            if input_ids is None:
                raise ValueError("a decoder with the prefix mask reads input_ids, not inputs_embeds")
            attention_mask = prefix_mask(input_ids, attention_mask, prefix)
        kwargs |= {"attention_mask": attention_mask, "position_ids": position_ids}
        if self.copying is not None:
            return self._copying_forward(self.copying, input_ids, past_key_values, padding, **kwargs)
        return super().forward(input_ids, past_key_values=past_key_values, **kwargs)

    @can_return_tuple
    def _copying_forward(
        self,
        copying: CopyAttention,
        input_ids: Tensor | None,
        past_key_values: Cache | None,
        padding: Tensor | None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithCrossAttentions:
        """As `GPT2LMHeadModel.forward`; `padding` [B, T] is 0 on padding. The cache has one layer more."""
        if input_ids is None:
            raise ValueError("a decoder with copy attention reads input_ids, not inputs_embeds")
        read = self.transformer(input_ids, past_key_values=past_key_values, **kwargs)
        states, cache = read.last_hidden_state, read.past_key_values
        halves, tokens = copying.key(states), input_ids
        if cache is not None:
            if len(cache.layers) == self.config.n_layer:
                cache.layers.append(CopiedTokens())
            stored = cache.update(halves[:, None], tokens[:, None, :, None], self.config.n_layer)
            halves, tokens = stored[0][:, 0], stored[1][:, 0, :, 0]
        real = torch.ones_like(tokens) if padding is None else padding
        seen = real[:, None].bool().expand(-1, input_ids.shape[1], -1).tril(tokens.shape[1] - input_ids.shape[1])
        keys = joined(halves, real.cumsum(-1) == 1)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        states = states[:, kept]
        logits = copying(states, self.lm_head(states), keys, tokens, seen[:, kept])
        # The cross-entropy of log-probabilities is that of the logits of their distribution.
        loss = None
        if labels is not None:
            size = self.config.vocab_size
            loss = self.loss_function(logits, labels, vocab_size=size, num_items_in_batch=num_items_in_batch)
        return CausalLMOutputWithCrossAttentions(
            loss, logits, past_key_values=cache, hidden_states=read.hidden_states, attentions=read.attentions
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
