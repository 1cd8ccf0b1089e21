"""GPT-2 with what plain GPT-2 does not know: relative attention, repeating positions, the prefix mask, copy attention.

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
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicLayer
from transformers.modeling_outputs import CausalLMOutputWithCrossAttentions
from transformers.models.gpt2.modeling_gpt2 import GPT2Block
from transformers.utils import can_return_tuple

HIDDEN = -1e30  # the score of what is not seen: its weight is 0, and unlike -inf it has a gradient, which is 0 too


class OneDecoderConfig(GPT2Config):
    """GPT-2's config, with four settings more."""

    model_type = "onedecoder"

    mask: str = "causal"  # or "prefix"
    relative_attention: int = 0  # how many distances have embeddings; 0: none
    position_period: int = 0  # after so many tokens position embeddings repeat; 0: each position has its own
    copy_attention: int = 0  # the width of its head; 0: none


class RepeatingPositions(nn.Embedding):
    """Position embeddings that begin anew after every `num_embeddings` tokens.

    Where each token is one voice in one 16th of a bar, positions that repeat with the bar say which, and are shared by
    all bars. How far apart two tokens are is left to relative attention.
    """

    def forward(self, position_ids: Tensor) -> Tensor:
        """Embeddings [..., D] of `position_ids` [...]."""
        return super().forward(position_ids % self.num_embeddings)


class CopyAttention(nn.Module):
    """A head that points at earlier tokens of the line, so that the next token may be a copy of one.

    The decoder's distribution becomes a mixture, as in See et al. 2017, "Get To The Point" (section 2.2):

        p(y) = (1 - gate) softmax(logits)[y] + gate * sum of the weights of all earlier tokens that are y.

    A token's key is the sum of two: one of its own state, and one of the state before it, since places that are alike
    go on alike (as in an induction head). The first of a line has the first alone. A place sees all keys up to its own.
    """

    def __init__(self, width: int, head_width: int):
        super().__init__()
        self.query = nn.Linear(width, head_width, bias=False)
        self.key = nn.Linear(width, 2 * head_width, bias=False)  # of a token, and of the place before one
        self.gate = nn.Linear(width, 1)

    def scores(self, states: Tensor, keys: Tensor, seen: Tensor) -> Tensor:
        """The scores [..., T, K], in float32 or better, of `states` [..., T, D] over `keys` [..., K, W].

        `seen`, bool [..., T, K], says which keys each state sees.
        """
        scores = self.query(states) @ keys.transpose(-1, -2) * keys.shape[-1] ** -0.5
        return wide(scores).masked_fill(~seen, HIDDEN)

    def read(self, states: Tensor, tokens: Tensor, padding: Tensor | None, cache: Cache | None) -> tuple[Tensor, ...]:
        """The keys, tokens and `seen` for `forward` where `states` [B, T, D] of `tokens` [B, T] follow what is cached.

        `padding` [B, K] is 0 on padding. What is kept makes one layer more in transformers' `cache`.
        """
        halves, length = self.key(states), tokens.shape[1]
        if cache is not None:
            if not isinstance(cache.layers[-1], CopiedTokens):
                cache.layers.append(CopiedTokens())
            stored = cache.update(halves[:, None], tokens[:, None, :, None], len(cache.layers) - 1)
            halves, tokens = stored[0][:, 0], stored[1][:, 0, :, 0]
        real = torch.ones_like(tokens) if padding is None else padding
        seen = real[:, None].bool().expand(-1, length, -1).tril(tokens.shape[1] - length)
        return joined(halves, real.cumsum(-1) == 1), tokens, seen

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


def initialize(module: nn.Module, spread: float) -> None:
    """Give what plain GPT-2 does not have its initial values, but for those that come from a checkpoint."""
    if isinstance(module, CopyAttention):
        init.normal_(module.query.weight, std=spread)
        init.normal_(module.key.weight, std=spread)
        init.zeros_(module.gate.weight)
        init.constant_(module.gate.bias, -2.0)  # the decoder begins nearly as it is without
    elif isinstance(relative := getattr(module, "relative", None), nn.Parameter):
        init.zeros_(relative)  # which changes nothing before they have been trained


class CopiedTokens(DynamicLayer):
    """What copy attention keeps in transformers' cache: keys [B, 1, T, 2 W] and, as values, token ids [B, 1, T, 1]."""

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.values = value_states.new_empty(0)  # a large id is no bfloat16


class OneDecoderForCausalLM(GPT2LMHeadModel):
    """`GPT2LMHeadModel` with embeddings of distances in every layer, and a context that may read itself both ways.

    With copy attention its logits are log-probabilities. What its attention looks at is not written out, other than
    `output_hidden_states`: `shared.model.inspection` computes it for a `Decoder`.
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

    def initialize_weights(self) -> None:
        """As in transformers, which calls it for all that a checkpoint lacks, too."""
        super().initialize_weights()
        # `_init_weights` is not asked: GPT2Model has its own, and modules without parameters of their own are left out.
        for module in self.modules():
            initialize(module, self.config.initializer_range)

    @property
    def blocks(self) -> list[GPT2Block]:
        """The layers."""
        return cast("list[GPT2Block]", list(self.transformer.h))  # whose type says that they are modules, no more

    def add_relative_attention(self, distances: int) -> None:
        """Add embeddings [H, distances, W] to every layer (Huang et al. 2018); the last is for all larger distances."""
        config = self.config
        shape = config.n_head, distances, config.n_embd // config.n_head
        for block in self.blocks:
            block.attn.relative = nn.Parameter(block.ln_1.weight.new_empty(shape))
            initialize(block.attn, config.initializer_range)
        config.relative_attention = distances

    def add_copy_attention(self, head_width: int) -> None:
        """Add a head that copies, whose queries and keys have `head_width` numbers."""
        config, weight = self.config, self.transformer.ln_f.weight
        copying = CopyAttention(config.n_embd, head_width)
        initialize(copying, config.initializer_range)
        self.copying = copying.to(weight.device, weight.dtype)
        config.copy_attention = head_width

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        prefix: Tensor | None = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithCrossAttentions:
        """As in `GPT2LMHeadModel`, with `prefix`, bool [B, up to T]: True on the context.

        Under the prefix mask a token of the context sees the whole context. Without `prefix`, what stands before a
        row's first learned label is context or, without `labels`, everything that is read with an empty cache.

        Raises:
            ValueError: if weights of attention are asked for, or the cache or inputs_embeds are of no use here.
        """
        prefixed, copying, cache = self.config.mask == "prefix", self.copying, past_key_values
        own = prefixed or copying or self.config.relative_attention
        if kwargs.get("output_attentions", self.config.output_attentions):
            raise ValueError("weights of attention are not written out: shared.model.inspection computes a Decoder's")
        if (prefixed or copying) and input_ids is None:
            raise ValueError("a decoder with the prefix mask or copy attention reads input_ids, not inputs_embeds")
        if own and cache is not None and cache.is_compileable:
            raise ValueError("only plain GPT-2 can use a cache that is allocated in advance: give a DynamicCache")
        kwargs |= {"past_key_values": cache, "attention_mask": attention_mask, "position_ids": position_ids}
        if prefixed and input_ids is not None and (cache is None or not cache.get_seq_length()):
            if prefix is None and labels is not None:
                prefix = (labels != -100).cumsum(-1) == 0
            kwargs["attention_mask"] = prefix_mask(input_ids, attention_mask, prefix)
        if copying is None or input_ids is None:
            return super().forward(input_ids, labels=labels, logits_to_keep=logits_to_keep, **kwargs)
        read = self.transformer(input_ids, **kwargs)
        keys, tokens, seen = copying.read(read.last_hidden_state, input_ids, attention_mask, read.past_key_values)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        states = read.last_hidden_state[:, kept]
        logits = copying(states, self.lm_head(states), keys, tokens, seen[:, kept])
        # The cross-entropy of log-probabilities is that of the logits of their distribution.
        loss = None if labels is None else self.loss_function(logits, labels, self.config.vocab_size, **kwargs)
        return CausalLMOutputWithCrossAttentions(loss, logits, read.past_key_values, read.hidden_states)

    def generate(self, inputs: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        """As in transformers; under the prefix mask the prompt alone is context, whatever a step reads anew."""
        if self.config.mask == "prefix":
            prompt = kwargs.get("input_ids") if inputs is None else inputs
            shape = (1, 1) if prompt is None else prompt.shape
            kwargs.setdefault("prefix", torch.ones(shape, dtype=torch.bool, device=self.device))
        return super().generate(inputs, *args, **kwargs)  # type: ignore[misc]  # of a model, as its own type says


def prefix_mask(input_ids: Tensor, attention_mask: Tensor | None, prefix: Tensor | None) -> Tensor:
    """Which keys each query sees, bool [B, 1, T, T]: the context, and what stands before it.

    `attention_mask` [B, T] is 0 on padding, which only sees itself. What follows a shorter `prefix` is no context.
    """
    length = input_ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
    context = torch.ones_like(input_ids, dtype=torch.bool) if prefix is None else prefix
    if context.shape[1] > length:
        raise ValueError("a context is read in one piece, but `prefix` is longer than input_ids")
    seen = causal | F.pad(context, (0, length - context.shape[1]))[:, None, :]
    if attention_mask is not None:
        seen = seen & attention_mask[:, None, :].bool()
    return (seen | torch.eye(length, dtype=torch.bool, device=input_ids.device))[:, None]


def attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention of `query` [B, H, T, W] over `key` and `value` [B, H, K, W] as [B, T, H, W].

    The queries are the last T of the K places. `mask` is a bool tensor [B, 1, T, K], or None for the causal mask.
    Where `module` has `relative` embeddings, the distance between query and key counts, too. `options` are those of
    transformers: the `scaling` of the scores, and the `dropout` of the weights.
    """
    relative, scaling, dropout = getattr(module, "relative", None), options.get("scaling"), options.get("dropout", 0.0)
    if mask is not None and mask.dtype != torch.bool:  # where eager attention is asked for, it is added to the scores
        mask = mask == 0
    causal = mask is None and query.shape[2] > 1
    if relative is not None:
        scale = query.shape[3] ** -0.5 if scaling is None else scaling
        mask, causal = relative_scores(query, relative, key.shape[2], scale, mask), False
    mixed = F.scaled_dot_product_attention(query, key, value, mask, dropout, causal, scale=scaling)
    return mixed.transpose(1, 2), None


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
    # From columns by distance, K - 1 … 0, to columns by key; those of keys after the query have no meaning.
    by_key = F.pad(by_distance, (1, 0)).flatten(-2)[..., length:].unflatten(-1, (length, keys))
    if mask is None:
        return by_key.masked_fill(~earlier, -torch.inf)
    # A prefix mask also shows later keys: they count as being at distance 0.
    return torch.where(earlier, by_key, by_distance[..., -1:]).masked_fill(~mask, -torch.inf)


AttentionInterface.register(OneDecoderForCausalLM.attention_name, attention)
