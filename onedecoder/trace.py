"""What a decoder computes while it reads one line: every step of every block, by name.

    token_embedding position_embedding                                    [T, D], their sum is the first input
    h.0.input                                                             [T, D], what comes into the block
    h.0.ln_1 h.0.q h.0.k h.0.v                                            [T, D]; of heads [H, T, W]
    h.0.scores h.0.relative h.0.weights                                   [H, T, T], rows are queries
    h.0.mixed h.0.attention_output h.0.residual_1                         [T, D]
    h.0.ln_2 h.0.up h.0.gelu h.0.down h.0.residual_2                      [T, D], up and gelu [T, 4 D]
    final logits                                                          [T, D] and [T, V]
    copy.weights copy.gate                                                [T, T] and [T], of copy attention

The decoder's own modules compute them all; attention weights are what its attention makes of values that are unit
vectors. Residuals, queries, keys and values are kept, the rest is computed when it is asked for.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from onedecoder.core import Decoder, attention_weights, copied, dense_mask, relative_scores

OF_BLOCK = (
    *("input", "ln_1", "q", "k", "v", "scores", "relative", "weights", "mixed", "attention_output"),
    *("residual_1", "ln_2", "up", "gelu", "down", "residual_2"),
)
VECTORS = tuple(name for name in OF_BLOCK if name not in {"scores", "relative", "weights"})  # of one place, by step
COPIED = "copy.weights", "copy.gate"


class Trace(Mapping[str, np.ndarray]):
    """One line read by one decoder: float32 arrays by the names above.

    `ids` are the line's tokens, `names` what to call them, the first `context` of them are given.
    """

    def __init__(self, model: Decoder, ids: list[int], context: int, names: list[str]):
        self.model, self.ids, self.context = model, list(ids), context
        self.names = [names[index] for index in ids]
        self._kept = self._read()

    @torch.no_grad()
    def _read(self) -> dict[str, Tensor]:
        kept: dict[str, Tensor] = {}
        hooks = []

        def keep(name: str, module: nn.Module, of_input: bool = False) -> None:
            def hook(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
                kept[name] = (inputs[0] if of_input else output)[0]

            hooks.append(module.register_forward_hook(hook))

        body = self.model.transformer
        keep("token_embedding", body.wte)
        keep("position_embedding", body.wpe)
        for layer, block in enumerate(self.model.blocks):
            keep(f"h.{layer}.input", block.ln_1, of_input=True)
            keep(f"h.{layer}.qkv", block.attn.c_attn)
            keep(f"h.{layer}.mixed", block.attn.c_proj, of_input=True)
            keep(f"h.{layer}.residual_1", block.ln_2, of_input=True)
        keep(f"h.{len(body.h)}.input", body.ln_f, of_input=True)
        try:
            device = self.model.device
            ids, positions = (torch.tensor([values], device=device) for values in (self.ids, [*range(len(self.ids))]))
            self.model.body(ids, positions, self._mask)
        finally:
            for hook in hooks:
                hook.remove()
        return {name: tensor.detach().clone() for name, tensor in kept.items()}

    @cached_property
    def _mask(self) -> Tensor | None:
        """As the decoder's attention takes it: None is the causal mask."""
        return self.visible[None, None] if self.model.config.mask == "prefix" else None

    @cached_property
    def visible(self) -> Tensor:
        """Which keys each query sees, bool [T, T]."""
        positions = torch.arange(len(self.ids))[None]
        prefix = positions < self.context if self.model.config.mask == "prefix" else None
        return dense_mask(positions, prefix)[0, 0].to(self.model.device)

    def __iter__(self) -> Iterator[str]:
        yield from ("token_embedding", "position_embedding")
        for layer, block in enumerate(self.model.blocks):
            for name in OF_BLOCK:
                if name != "relative" or hasattr(block.attn, "relative"):
                    yield f"h.{layer}.{name}"
        yield from ("final", "logits")
        if self.model.copying is not None:
            yield from COPIED

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.tensor(name).float().cpu().numpy()

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    @torch.no_grad()
    def tensor(self, name: str) -> Tensor:
        """The same on the decoder's device. KeyError for a name that there is not."""
        if name not in self:
            raise KeyError(name)
        if name in self._kept:
            return self._kept[name]
        body = self.model.transformer
        if name in {"final", "logits"}:
            final = body.ln_f(self._kept[f"h.{len(body.h)}.input"])
            ids = torch.tensor([self.ids], device=final.device)
            return self.model.logits_after(final[None], ids)[0] if name == "logits" else final
        if name in COPIED and self.model.copying is not None:
            return dict(zip(COPIED, self.copied(), strict=True))[name]
        _, layer, part = name.split(".")
        return self._of_block(int(layer), part)

    @torch.no_grad()
    def copied(self) -> tuple[Tensor, Tensor]:
        """The weights [T, T] and the gate [T] of copy attention, which the decoder must have."""
        assert self.model.copying is not None
        return copied(self.model.copying, self.tensor("final"))

    @torch.no_grad()
    def scores(self, places: slice = slice(None)) -> Tensor:
        """Scores [places, V] over what comes after the tokens there, before anything is copied."""
        return self.model.lm_head(self.tensor("final")[places])

    def _of_block(self, layer: int, part: str) -> Tensor:
        block = self.model.blocks[layer]
        attention, mlp = block.attn, block.mlp

        def of(name: str) -> Tensor:
            return self.tensor(f"h.{layer}.{name}")

        def scores() -> Tensor:
            found = of("q") @ of("k").transpose(1, 2) * attention.scaling
            if hasattr(attention, "relative"):
                found = found + self._relative(layer)
            return found.masked_fill(~self.visible, -torch.inf)

        def heads(number: int) -> Tensor:
            return self._heads(self._kept[f"h.{layer}.qkv"].chunk(3, -1)[number])

        compute = {
            "ln_1": lambda: block.ln_1(of("input")),
            "q": lambda: heads(0),
            "k": lambda: heads(1),
            "v": lambda: heads(2),
            "scores": scores,
            "relative": lambda: self._relative(layer),
            "weights": lambda: attention_weights(self.model, layer, of("input")[None], self._mask)[0],
            "attention_output": lambda: attention.c_proj(of("mixed")),
            "ln_2": lambda: block.ln_2(of("residual_1")),
            "up": lambda: mlp.c_fc(of("ln_2")),
            "gelu": lambda: mlp.act(of("up")),
            "down": lambda: mlp.c_proj(of("gelu")),
            "residual_2": lambda: self._kept[f"h.{layer + 1}.input"],
        }
        return compute[part]()

    def _heads(self, rows: Tensor) -> Tensor:
        return rows.unflatten(-1, (self.model.config.n_head, -1)).transpose(0, 1)

    def _relative(self, layer: int) -> Tensor:
        """What the distances add to the scores, [H, T, T]; 0 where nothing is seen."""
        attention = self.model.blocks[layer].attn
        query, relative = self.tensor(f"h.{layer}.q")[None], attention.get_parameter("relative")
        scores = relative_scores(query, relative, len(self.ids), attention.scaling, self.visible[None, None])
        return scores[0].masked_fill(~self.visible, 0)

    def lens(self, position: int, count: int = 5) -> list[list[tuple[int, float]]]:
        """What each block's output would say next at `position`: the final norm and the head on it, no copies.

        For every layer the `count` likeliest ids with their probabilities (nostalgebraist 2020, "interpreting GPT: the
        logit lens").
        """
        body, found = self.model.transformer, []
        with torch.no_grad():
            for layer in range(len(body.h)):
                states = self._kept[f"h.{layer + 1}.input"][position]
                shares = self.model.lm_head(body.ln_f(states)).float().softmax(-1).topk(count)
                found.append(list(zip(shares.indices.tolist(), shares.values.tolist(), strict=True)))
        return found

    def save(self, path: str) -> None:
        """All arrays as one NumPy archive (`.npz`)."""
        arrays: dict[str, Any] = {**self}
        np.savez_compressed(path, ids=np.array(self.ids), **arrays)
