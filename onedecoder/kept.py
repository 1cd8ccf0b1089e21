"""Lines that are being written, with their kept keys and values: who asks says the whole line, nothing is read twice.

What is kept belongs to a line and not to a visitor: two who write different lines never see each other's, and two who
write the same see the same.
"""

from collections import OrderedDict

import torch
from torch import Tensor

from onedecoder.core import Decoder, DecodeStep, KeyValueCache, compute_dtype

LINES = 4  # kept at once


class KeptLines:
    """The last few lines of one decoder. Not for two threads at once."""

    def __init__(self, model: Decoder):
        self.model = model
        self.lines: OrderedDict[int, _Line] = OrderedDict()

    @torch.inference_mode()
    def next(self, ids: list[int], context: int) -> Tensor:
        """Scores [V] over what comes after `ids`, of which `context` tokens are given; at most a context's."""
        known = [(len(line.ids), key) for key, line in self.lines.items() if line.begins(ids, context)]
        if known:
            key = max(known)[1]
        elif len(self.lines) < LINES:
            key = len(self.lines)
            self.lines[key] = _Line(self.model)
        else:
            key = next(iter(self.lines))
        self.lines.move_to_end(key)
        return self.lines[key].read(ids, context)


class _Line:
    def __init__(self, model: Decoder):
        self.model, self.context = model, 0
        self.ids: list[int] = []
        self.step = DecodeStep(model, KeyValueCache(model, 1, model.context, compute_dtype(model)))

    def begins(self, ids: list[int], context: int) -> bool:
        """Whether `ids` go on from what is kept."""
        same_view = self.model.config.mask != "prefix" or context == self.context
        return bool(self.ids) and same_view and len(self.ids) <= len(ids) and ids[: len(self.ids)] == self.ids

    def read(self, ids: list[int], context: int) -> Tensor:
        if not self.begins(ids, context):
            # Under a prefix mask what is given is read as one, what is written token by token.
            start = max(1, context) if self.model.config.mask == "prefix" else len(ids)
            self.ids = []
            self.step.prefill({0: ids[:start]})
            self.ids, self.context = ids[:start], context
        for position in range(len(self.ids) - 1, len(ids)):  # the last that was kept says its scores once more
            logits = self._one(ids[position], position)
        self.ids = list(ids)
        return logits

    def _one(self, token: int, position: int) -> Tensor:
        device = self.model.device
        place = torch.tensor([position], device=device)
        return self.step(torch.tensor([token], device=device), place)[0]
