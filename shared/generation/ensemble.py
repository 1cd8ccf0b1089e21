"""Several decoders of one vocabulary that write as one: every token's probability is the mean of theirs."""

import math
from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import Tensor

from shared.model.decoder import Decoder


class Ensemble:
    """The mean of several decoders' distributions over the next token, under the names that writing and scoring use.

    Seeds of one recipe err in different places, so that their mean is better than each of them (Sutskever et al. 2014,
    https://arxiv.org/abs/1409.3215, translate with five).
    """

    training = False

    def __init__(self, decoders: Sequence[Decoder]):
        self.decoders = [decoder.eval() for decoder in decoders]
        self.context = min(decoder.context for decoder in decoders)
        self.device, self.dtype = decoders[0].device, decoders[0].dtype

    def eval(self) -> "Ensemble":
        return self

    def train(self, mode: bool) -> "Ensemble":
        """An ensemble writes and is scored; its decoders are trained one by one."""
        return self

    def packed_logits(
        self, input_ids: Tensor, prefix: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        """Log-probabilities [B, T, V] of packed rows, in place of a decoder's logits."""
        return mean_of([decoder.packed_logits(input_ids, prefix, position_ids) for decoder in self.decoders])

    def __call__(
        self,
        input_ids: Tensor,
        labels: Tensor,
        target_positions: Tensor,
        prefix: Tensor | None = None,
        position_ids: Tensor | None = None,
        num_items_in_batch: int = 1,
    ) -> SimpleNamespace:
        """The loss of packed rows, as `Decoder.forward` has it."""
        packed = input_ids, labels, target_positions, prefix, position_ids
        found = [decoder.log_likelihood(*packed) for decoder in self.decoders]
        mean = torch.stack(found).logsumexp(0) - math.log(len(found))
        return SimpleNamespace(loss=-mean.sum() / num_items_in_batch)


def mean_of(logits: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of the distributions that each of the `logits` [..., V] stands for."""
    return torch.stack([each.log_softmax(-1) for each in logits]).logsumexp(0) - math.log(len(logits))
