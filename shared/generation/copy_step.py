"""Copy attention in a decoding step: what has been read or written may be written again."""

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.generation.cache import KeyValueCache
from shared.model.modeling_onedecoder import HIDDEN, CopyAttention, mixture

EXACT = 2.0**50  # sums of multiples of its inverse, 1 at most, are exact in float64, whatever is added first


class CopyStep:
    """`CopyAttention` for one more token in each slot; its key and its id go to the cache.

    `weight` [3 W + 1, D] and `bias` [3 W + 1] make query, key and gate of the last layer's states at once.
    """

    def __init__(self, copying: CopyAttention, cache: KeyValueCache):
        self.cache, self.width = cache, copying.query.out_features
        self.modules, dtype = (copying.query, copying.key, copying.gate), cache.keys[-1].dtype
        outputs = 3 * self.width + 1
        self.weight = torch.empty(outputs, copying.query.in_features, dtype=dtype, device=cache.device)
        self.bias = torch.zeros(outputs, dtype=dtype, device=cache.device)  # of the gate alone
        self.renew()

    def renew(self) -> None:
        """Take the weights as they are now."""
        self.weight.copy_(torch.cat([module.weight for module in self.modules]))
        self.bias[-1:].copy_(self.modules[-1].bias)

    def keys(self, projected: Tensor) -> Tensor:
        """What the cache keeps [N, 2 W] of `projected` [N, 3 W + 1]: the halves of keys."""
        return self._split(projected)[1]

    def _split(self, projected: Tensor) -> tuple[Tensor, ...]:
        return projected.split((self.width, 2 * self.width, 1), -1)

    def __call__(
        self, logits: Tensor, projected: Tensor, tokens: Tensor, positions: Tensor, bounds: tuple[int, int] | None
    ) -> Tensor:
        """Log-probabilities [N, V], of `logits` [N, V] and `projected` [N, 3 W + 1], after `tokens` at `positions`.

        `bounds` are the lowest and the highest position, where they are known without waiting for the device.
        """
        stored, ids = self.cache.keys[-1][:, 0], self.cache.values[-1][:, 0, :, 0]
        query, halves, gate = self._split(projected)
        every, last = torch.arange(len(ids), device=ids.device), bounds[1] if bounds else ids.shape[1] - 1
        stored[every, positions], ids[every, positions] = halves.to(stored.dtype), tokens
        at, origin = torch.arange(last + 1, device=ids.device), self.cache.beam_origin
        stored, ids = stored[:, : last + 1], ids[:, : last + 1]
        if origin is not None:
            rows = origin[:, : last + 1]
            stored, ids = stored[rows, at], ids[rows, at]
        # The sums of scores are those of the sums of keys, which would be more to add.
        by_half = stored.reshape(len(ids), -1, self.width) @ query.to(stored.dtype)[:, :, None]
        own, before = by_half.view(len(ids), -1, 2).unbind(-1)
        scores = (own + before.roll(1, -1).masked_fill(at == 0, 0)).to(logits.dtype) * self.width**-0.5
        weights = scores.masked_fill(at > positions[:, None], HIDDEN).softmax(-1).double()
        # A GPU adds in any order; rounded so, it comes to the same sum every time.
        copied = weights.new_zeros(logits.shape).scatter_add_(1, ids, (weights * EXACT).round() / EXACT)
        # Most of a vocabulary is nowhere in the line: there, the mixture is a share of the softmax alone.
        written = logits.log_softmax(-1)
        mixed = mixture(written.gather(1, ids), copied.gather(1, ids).to(logits.dtype), gate[:, 0])
        return (written + F.logsigmoid(-gate)).scatter_(1, ids, mixed)
