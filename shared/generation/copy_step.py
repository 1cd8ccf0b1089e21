"""Copy attention in a decoding step: what has been read or written may be written again."""

import torch
from torch import Tensor

from shared.generation.cache import KeyValueCache
from shared.model.modeling_onedecoder import HIDDEN, CopyAttention, mixture, shares

EXACT = 2.0**50  # sums of multiples of its inverse, 1 at most, are exact in float64, whatever is added first


class CopyStep:
    """`CopyAttention` for one more token in each slot; its key and its id go to the cache.

    `weight` [3 W + 1, D] and `bias` [3 W + 1] make query, key and gate of the last layer's states at once.
    """

    def __init__(self, copying: CopyAttention, cache: KeyValueCache):
        self.cache, self.width = cache, copying.query.out_features
        modules, dtype = (copying.query, copying.key, copying.gate), cache.keys[-1].dtype
        self.weight = torch.cat([module.weight for module in modules]).to(dtype).contiguous()
        self.bias = torch.cat([self.weight.new_zeros(3 * self.width), copying.gate.bias.to(dtype)])

    def __call__(
        self, logits: Tensor, projected: Tensor, tokens: Tensor, positions: Tensor, bounds: tuple[int, int] | None
    ) -> Tensor:
        """Log-probabilities [N, V], of `logits` [N, V] and `projected` [N, 3 W + 1], after `tokens` at `positions`.

        `bounds` are the lowest and the highest position, where they are known without waiting for the device.
        """
        stored, ids = self.cache.keys[-1][:, 0], self.cache.values[-1][:, 0, :, 0]
        query, halves, gate = projected.split((self.width, 2 * self.width, 1), -1)
        every, last = torch.arange(len(ids), device=ids.device), bounds[1] if bounds else ids.shape[1] - 1
        stored[every, positions], ids[every, positions] = halves.to(stored.dtype), tokens
        stored, ids, origin = stored[:, : last + 1], ids[:, : last + 1], self.cache.beam_origin
        if origin is not None:
            at = origin[:, : last + 1], torch.arange(last + 1, device=ids.device)
            stored, ids = stored[at], ids[at]
        # Each place is a key for the token that follows it, so the newest is none yet.
        before, following = stored[:, :-1, : self.width], stored[:, 1:, self.width :]
        scores = torch.einsum("nw,nkw->nk", query.to(stored.dtype), before + following).to(logits.dtype)
        seen = torch.arange(last, device=ids.device) < positions[:, None]
        weights = (scores * self.width**-0.5).masked_fill(~seen, HIDDEN).softmax(-1).double()
        # A GPU adds in any order; rounded so, it comes to the same sum every time.
        copied = weights.new_zeros(logits.shape).scatter_add_(1, ids[:, 1:], (weights * EXACT).round() / EXACT)
        return mixture(logits.log_softmax(-1), copied.to(logits.dtype), *shares(gate[:, 0], positions > 0))
