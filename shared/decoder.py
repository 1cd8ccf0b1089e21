"""The GPT-2 core: new, pre-trained or grown; its masks and its loss.

The modules and the weights are `transformers`' own, so that GPT-2's published weights load here and what is saved here
loads with `AutoModelForCausalLM`. Ours is how the modules are run: packed rows, prefix masks, a loss on learned tokens.
"""

import copy
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, GPT2Config, GPT2LMHeadModel
from transformers.modeling_outputs import CausalLMOutput

from shared.attention import (
    NAME,
    BlockMask,
    Spans,
    block_mask,
    blocks_work,
    dense_mask,
    relative_kernel_works,
    spans,
)
from shared.errors import UserError
from shared.loss import cross_entropy_sum
from shared.rdrop import twice
from shared.vocabulary import Vocabulary, first_line, new_embeddings

# name: (layers, width, heads). From distilgpt2 on, the published models' shapes (Radford et al. 2019, table 2).
SIZES = {
    "tiny": (4, 128, 4),
    "mini": (4, 256, 4),
    "small": (6, 384, 6),
    "medium": (6, 512, 8),
    "distilgpt2": (6, 768, 12),
    "gpt2": (12, 768, 12),
    "gpt2-medium": (24, 1024, 16),
    "gpt2-large": (36, 1280, 20),
    "gpt2-xl": (48, 1600, 25),
}


class Decoder(GPT2LMHeadModel):
    """GPT-2 over packed rows, with the loss on learned tokens only."""

    accepts_loss_kwargs = True  # transformers' Trainer then counts the learned tokens of a step for us
    label_smoothing = 0.0
    rdrop_alpha = 0.0

    def __init__(self, config: GPT2Config):
        super().__init__(config)
        ours = copy.copy(
            config
        )  # for the attention modules alone: who makes another model of the config gets their own
        ours._attn_implementation = NAME
        for block in self.transformer.h:
            block.attn.config = ours
        for name, default in {"mask": "causal", "relative_attention": 0}.items():
            setattr(config, name, getattr(config, name, default))
        if config.relative_attention:
            self.add_relative_attention(config.relative_attention)
        if config.activation_function == "gelu_new":  # the same function, in one kernel instead of eight
            for block in self.transformer.h:
                block.mlp.act = nn.GELU(approximate="tanh")

    def inputs(self, input_ids: Tensor, prefix: Tensor, position_ids: Tensor | None = None, **_: Tensor) -> dict:
        """What `hidden_states` takes, from a batch of packed rows [B, T] as `shared.packing` collates them.

        Without `position_ids` every row is one sequence, for which the causal mask needs no tensor.
        """
        config, whole = self.config, position_ids is None
        dropout = config.attn_pdrop if self.training else 0.0
        if config.mask != "prefix":
            prefix = None
        if whole:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        given = {"input_ids": input_ids, "position_ids": position_ids}
        if (
            config.relative_attention
            and prefix is None
            and input_ids.is_cuda
            and relative_kernel_works(config.n_embd // config.n_head, self.dtype, dropout)
        ):
            return {**given, "mask": spans(position_ids)}
        if whole and prefix is None:
            return given
        sparse = (
            "hidden_states" in vars(self)  # compiled: else FlexAttention would write out all scores
            and input_ids.is_cuda
            and not config.relative_attention
            and blocks_work(dropout)
        )
        return {**given, "mask": (block_mask if sparse else dense_mask)(position_ids, prefix)}

    def hidden_states(
        self, input_ids: Tensor, position_ids: Tensor, mask: Tensor | BlockMask | Spans | None = None, cache=None
    ) -> Tensor:
        """The last layer's output [B, T, D] for tokens [B, T].

        `mask` is one of `shared.attention`'s. Where a cache is given, its `update(keys, values, layer)` stores what the
        layer computed and returns the keys and values to attend to.
        """
        body = self.transformer
        states = body.drop(body.wte(input_ids) + body.wpe(position_ids))
        if torch.is_autocast_enabled(states.device.type):  # else the residual stream, read and written most, is float32
            states = states.to(torch.get_autocast_dtype(states.device.type))
        for block in body.h:
            states = block(states, cache, mask)
        return body.ln_f(states)

    def forward(
        self,
        input_ids: Tensor,
        prefix: Tensor,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        learned: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> CausalLMOutput:
        """Logits [B, T, V] of packed rows, or with `labels` [B, T] the loss in nats per learned token.

        `labels` are token ids at their own places (`IGNORED` elsewhere), as in transformers: the shift is done here.
        `learned` [N] lists those places in the flattened batch.
        The sum of the losses is divided by `num_items_in_batch`, the learned tokens of all the rows that make up one
        step, so that neither accumulation nor the number of processes changes the gradient. In training with
        `rdrop_alpha` every row is passed twice (see `shared.rdrop`).
        """
        if labels is None:
            return CausalLMOutput(
                logits=self.lm_head(self.hidden_states(**self.inputs(input_ids, prefix, position_ids)))
            )
        items = len(learned) if num_items_in_batch is None else num_items_in_batch
        if self.training and self.rdrop_alpha:
            input_ids, prefix, position_ids, labels, learned = twice(input_ids, prefix, position_ids, labels, learned)
        states = self.hidden_states(**self.inputs(input_ids, prefix, position_ids))
        return CausalLMOutput(loss=self.loss_sum(states, labels, learned) / items)

    def loss_sum(self, states: Tensor, labels: Tensor, learned: Tensor) -> Tensor:
        """The summed loss of the learned tokens, in nats; logits are computed at learned positions only."""
        smoothing, alpha = (self.label_smoothing, self.rdrop_alpha) if self.training else (0.0, 0.0)
        return cross_entropy_sum(
            states.flatten(0, 1)[learned - 1], self.lm_head.weight, labels.flatten()[learned], smoothing, alpha
        )

    def compile(self) -> None:
        """Compile the body, whose shapes are the batch's; the loss, with another shape in every step, stays outside."""
        self.hidden_states = torch.compile(self.hidden_states)

    def add_relative_attention(self, distances: int) -> None:
        """Embeddings of distances in every layer (Huang et al. 2018), the last for all distances that are larger.

        They start at zero: nothing changes before they have learned.
        """
        heads = self.config.n_head
        for block in self.transformer.h:
            embeddings = torch.zeros(heads, distances, self.config.n_embd // heads, device=block.ln_1.weight.device)
            block.attn.relative = nn.Parameter(embeddings.to(block.ln_1.weight.dtype))
        self.config.relative_attention = distances

    def save_pretrained(self, folder: str | Path, *args, **kwargs) -> None:
        """As in transformers, under the name of the class that other programs know."""
        super().save_pretrained(folder, *args, **kwargs)
        if kwargs.get("is_main_process", True):
            self.config.architectures = ["GPT2LMHeadModel"]
            self.config.save_pretrained(folder)

    @property
    def context(self) -> int:
        """The longest sequence it has positions for, in tokens."""
        return self.config.n_positions

    @property
    def parameters_without_positions(self) -> int:
        return self.num_parameters() - self.transformer.wpe.weight.numel()


def new_decoder(
    size: str,
    vocabulary: Vocabulary,
    context: int,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
    mask: str = "causal",
    relative_attention: int = 0,
    seed: int = 0,
    overrides: str | None = None,
) -> Decoder:
    """A decoder of one of `SIZES` with fresh weights; `overrides` changes its config, as in `n_layer=10,n_head=8`."""
    layers, width, heads = SIZES[size]
    tokens = max(vocabulary.tokens.values()) + 1
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=tokens,
        n_positions=context,
        n_layer=layers,
        n_embd=width,
        n_head=heads,
        mask=mask,
        relative_attention=relative_attention,
        **_dropouts(dropout, attention_dropout),
        **_special_ids(vocabulary),
    )
    try:
        if overrides:
            config.update_from_string(overrides)
        if (config.n_positions, config.vocab_size) != (context, tokens):
            raise ValueError("positions and vocabulary come from --max_length and --vocab_size")
        return Decoder(config)
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"--config_overrides {overrides}: {first_line(error)}; give name=value,name=value") from error


def load_decoder(name: str, dropout: float = 0.0, attention_dropout: float = 0.0) -> Decoder:
    """From an earlier run's folder, any folder in transformers' format, or a name on the hub. Safetensors only."""
    try:
        kind = AutoConfig.from_pretrained(name).model_type
        if kind != "gpt2":
            raise UserError(f"'{name}' is a {kind} model: the core of this program is GPT-2")
        return Decoder.from_pretrained(
            name, use_safetensors=True, dtype=torch.float32, **_dropouts(dropout, attention_dropout)
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(
            f"no GPT-2 could be loaded from '{name}': give an earlier run, a folder with config.json and "
            f"model.safetensors, or a name on the hub that this machine can reach ({first_line(error)})"
        ) from error


def change_vocabulary(decoder: Decoder, old: Vocabulary, new: Vocabulary) -> None:
    """Give a decoder the embeddings of another vocabulary, in place (see `new_embeddings`)."""
    weight = new_embeddings(decoder.transformer.wte.weight, old, new)
    decoder.resize_token_embeddings(len(weight), mean_resizing=False)
    decoder.transformer.wte.weight.data.copy_(weight)
    decoder.config.update(_special_ids(new))
    decoder.generation_config.update(**_special_ids(new))


def _dropouts(rate: float, attention: float) -> dict[str, float]:
    return {"resid_pdrop": rate, "embd_pdrop": rate, "attn_pdrop": attention}


def _special_ids(vocabulary: Vocabulary) -> dict[str, int]:
    return {
        "bos_token_id": vocabulary.end,
        "eos_token_id": vocabulary.end,
        "pad_token_id": vocabulary.padding,
    }
