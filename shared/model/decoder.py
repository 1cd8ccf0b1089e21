"""The GPT-2 core over packed rows, with a loss on the tokens that are learned.

The modules and the weights are those of `transformers`, so GPT-2's published weights load here, and what is saved here
loads with `AutoModelForCausalLM`. A `Decoder` is called as GPT2LMHeadModel is, but for the weights of attention, which
`shared.model.inspection` computes.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from transformers import GPT2Config
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithCrossAttentions
from transformers.utils import can_return_tuple

from shared.data.sequence import IGNORED
from shared.errors import UserError
from shared.model import modeling_onedecoder
from shared.model.attention import NAME, at
from shared.model.block import distance_embeddings
from shared.model.copying import first_places, keys_seen, log_likelihood
from shared.model.loss import Criterion
from shared.model.masks import Mask, choose_mask
from shared.model.modeling_onedecoder import OneDecoderConfig, OneDecoderForCausalLM, joined, wide
from shared.model.rdrop import twice

MODELING_FILE = Path(modeling_onedecoder.__file__)
PLAIN = Criterion()
AS_GPT2 = {"mask": "causal", "relative_attention": 0, "position_period": 0, "copy_attention": 0}
"""The settings that plain GPT-2 does not know, as they are where a decoder is one."""


class Decoder(OneDecoderForCausalLM):
    """GPT-2 over packed rows, with the loss on learned tokens only."""

    if TYPE_CHECKING:  # transformers' decorator hides whose method it is

        def to(self, *args: Any, **kwargs: Any) -> Self: ...  # type: ignore[override]  # which is why

    attention_name = NAME
    accepts_loss_kwargs = True  # transformers' Trainer then counts the learned tokens of a step for us

    def __init__(self, config: OneDecoderConfig):
        super().__init__(config)
        if config.activation_function == "gelu_new":  # the same function, in one kernel instead of eight
            for block in self.blocks:
                block.mlp.act = nn.GELU(approximate="tanh")
        self.compiled_body: Callable[..., Tensor] | None = None
        self.rounded = False  # to 8 bits, by `shared.model.quantized`

    def compile_body(self, **options: Any) -> None:
        """Compile the body for training; `options` are those of torch.compile.

        The loss, which has another shape in every step, stays outside, and so do evaluation and generation, where
        every new shape would be compiled anew.
        """
        self.compiled_body = torch.compile(self.body, **options)

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        prefix: Tensor | None = None,
        labels: Tensor | None = None,
        target_positions: Tensor | None = None,
        criterion: Criterion = PLAIN,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithCrossAttentions:
        """As its parent or, with `target_positions`, the loss alone of packed rows, in nats per learned token.

        Packed rows [B, T] come as `shared.data.packing.collate` makes them: `position_ids` restart with every sequence
        (without them, each row is one), `labels` hold token ids at their own places and `IGNORED` elsewhere (as in
        transformers, the shift is done here), and `target_positions` [N] lists those places in the flattened batch; it
        may be filled up with others, so that every batch is of one shape.
        The sum of the losses is divided by `num_items_in_batch`, the learned tokens of all the rows that make up one
        step, so that neither accumulation nor the number of processes changes the gradient.
        """
        if target_positions is None:
            if num_items_in_batch is not None:
                kwargs["num_items_in_batch"] = num_items_in_batch
            return super().forward(
                input_ids, past_key_values, attention_mask, position_ids, prefix, labels=labels, **kwargs
            )
        assert input_ids is not None and labels is not None, "packed rows come with both"
        items = (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        if not self.training:
            criterion = PLAIN
        if criterion.rdrop_alpha:
            input_ids, prefix, position_ids, labels, target_positions = twice(
                input_ids, prefix, position_ids, labels, target_positions
            )
        targets = labels.flatten()[target_positions]
        # The logits of a token stand at the place before it; only those of learned tokens are computed.
        if self.copying is None:
            before = self.hidden_states(input_ids, prefix, position_ids, target_positions - 1)
            total = criterion(before, self.lm_head.weight, targets)
        else:
            assert criterion == PLAIN, "the Trainer refuses any other"
            known = self.log_likelihood(input_ids, labels, target_positions, prefix, position_ids)
            total = -known.masked_fill(targets == IGNORED, 0).sum()
        return CausalLMOutputWithCrossAttentions(loss=total / items)

    def log_likelihood(
        self,
        input_ids: Tensor,
        labels: Tensor,
        target_positions: Tensor,
        prefix: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """The log-probabilities [N], in nats, of the labels at the `target_positions` of packed rows (see `forward`).

        That of a label which is `IGNORED` has no meaning.
        """
        states = self.hidden_states(input_ids, prefix, position_ids)
        if self.copying is None:
            known = wide(self.lm_head(at(target_positions - 1, states))).log_softmax(-1)
            return known.gather(1, labels.flatten()[target_positions].clamp(min=0)[:, None])[:, 0]
        return log_likelihood(
            self.copying, self.lm_head.weight, states, input_ids, position_ids, labels, target_positions
        )

    def packed_logits(
        self, input_ids: Tensor, prefix: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        """Logits [B, T, V] of packed rows; with copy attention, log-probabilities."""
        return self.logits_after(self.hidden_states(input_ids, prefix, position_ids), input_ids, position_ids)

    def logits_after(self, states: Tensor, input_ids: Tensor, position_ids: Tensor | None = None) -> Tensor:
        """The same of the last layer's `states` [B, T, D] for them."""
        logits = self.lm_head(states)
        if self.copying is None:
            return logits
        first, places = first_places(input_ids, position_ids)
        keys = joined(self.copying.key(states), places == first)
        return self.copying(states, logits, keys, input_ids, keys_seen(first, places, input_ids.shape[1]))

    def hidden_states(
        self,
        input_ids: Tensor,
        prefix: Tensor | None = None,
        position_ids: Tensor | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """The last layer's output [B, T, D] for packed rows [B, T] (see `forward`).

        Or [N, D], at `places` [N] of the flattened rows alone, of which each is there once.
        """
        config = self.config
        compiled = self.compiled_body if self.training else None
        mask = choose_mask(
            input_ids.shape,
            position_ids,
            prefix if config.mask == "prefix" else None,
            device=input_ids.device,
            dtype=self.dtype,
            width=self.blocks[0].attn.head_dim,
            relative=distance_embeddings(self.blocks[0].attn),
            dropout=config.attn_pdrop if self.training else 0.0,
            compiled=compiled is not None,
        )
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        # What is compiled, recomputed in the backward pass or divided among processes are blocks as they are. And
        # dropout would draw other numbers for more places, with which some batches are filled up.
        drops = self.training and config.resid_pdrop > 0
        last: Any = self.blocks[-1]
        whole = compiled or drops or last.gradient_checkpointing or isinstance(last, FSDPModule)
        if places is None or whole:
            states = (compiled or self.body)(input_ids, position_ids, mask)
            return states if places is None else at(places, states)
        return self.body(input_ids, position_ids, mask, places=places)

    def body(
        self,
        input_ids: Tensor,
        position_ids: Tensor,
        mask: Mask = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """The last layer's output [B, T, D] for tokens [B, T]; `mask` is one of `shared.model.masks`.

        With `places` it is [N, D]: what follows the last attention is computed there alone.
        """
        gpt2 = self.transformer
        states = gpt2.drop(gpt2.wte(input_ids) + gpt2.wpe(position_ids))
        if torch.is_autocast_enabled(states.device.type):
            # Otherwise the residual stream, which is read and written most, would be float32.
            states = states.to(torch.get_autocast_dtype(states.device.type))
        *blocks, last = self.blocks
        for block in blocks:
            states = block(states, attention_mask=mask)
        if places is None:
            return gpt2.ln_f(last(states, attention_mask=mask))
        # As the block's own forward pass does, which knows no places.
        mixed, _ = last.attn(last.ln_1(states), attention_mask=mask, places=places)
        states = mixed + at(places, states)
        return gpt2.ln_f(states + last.mlp(last.ln_2(states)))

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], is_main_process: bool = True, *args: Any, **kwargs: Any
    ) -> None:
        """As in transformers, in the form that other programs load with the same logits, or not at all.

        A decoder that plain GPT-2 can be is saved as one. Any other carries `modeling_onedecoder.py`, which
        `AutoModelForCausalLM.from_pretrained(…, trust_remote_code=True)` runs.

        Raises:
            UserError: if its weights are rounded to 8 bits.
        """
        if self.rounded:
            raise UserError("a decoder whose weights are rounded to 8 bits is not saved: copy the run that it is of")
        super().save_pretrained(save_directory, is_main_process, *args, **kwargs)
        if is_main_process:
            self._save_form(save_directory)

    def _upload_modified_files(self, working_dir: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Any:
        # `save_pretrained` uploads before it returns, and so before the config would be of the form that loads.
        self._save_form(working_dir)
        return super()._upload_modified_files(working_dir, *args, **kwargs)

    def _save_form(self, folder: str | os.PathLike[str]) -> None:
        """Write the config that other programs read, and what else it takes to load it."""
        settings = self.config.to_dict()
        if self.is_plain_gpt2:
            for name in (*AS_GPT2, "model_type"):
                del settings[name]
            config = GPT2Config.from_dict(settings)
            config.architectures = ["GPT2LMHeadModel"]
        else:
            config = OneDecoderConfig.from_dict(settings)
            config.architectures = [OneDecoderForCausalLM.__name__]
            config.auto_map = {
                "AutoConfig": f"{MODELING_FILE.stem}.{OneDecoderConfig.__name__}",
                "AutoModelForCausalLM": f"{MODELING_FILE.stem}.{OneDecoderForCausalLM.__name__}",
            }
            shutil.copy(MODELING_FILE, folder)
        config.save_pretrained(folder)

    @property
    def is_plain_gpt2(self) -> bool:
        """Whether `GPT2LMHeadModel` is all that it takes to compute what this decoder does."""
        return all(getattr(self.config, name) == value for name, value in AS_GPT2.items())

    @property
    def context(self) -> int:
        """The longest sequence it has positions for, in tokens."""
        return self.config.n_positions

    @property
    def parameters_without_positions(self) -> int:
        return self.num_parameters() - self.transformer.wpe.weight.numel()
