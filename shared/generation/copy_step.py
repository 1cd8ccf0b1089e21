"""Copy attention in a decoding step: what has been read or written may be written again."""

import torch
from torch import Tensor

from shared.generation.cache import KeyValueCache
from shared.model.modeling_onedecoder import HIDDEN, CopyAttention, mixture, shares

EXACT = 2.0**50  # sums of multiples of its inverse, 1 at most, are exact in float64, whatever is added first


class CopyStep:
    """`CopyAttention` for one more token in each slot; its key and its id go to the cache.

    `weight` [2 W + 1, D] and `bias` [2 W + 1] make query, key and gate of the last layer's states at once.
    """

    def __init__(self, copying: CopyAttention, cache: KeyValueCache):
        self.copying, self.cache = copying, cache
        dtype, width = cache.keys[-1].dtype, cache.keys[-1].shape[-1]
        modules = copying.query, copying.key, copying.gate
        self.weight = torch.cat([module.weight for module in modules]).to(dtype).contiguous()
        self.bias = torch.cat([self.weight.new_zeros(2 * width), copying.gate.bias.to(dtype)])

    def __call__(
        self, logits: Tensor, projected: Tensor, tokens: Tensor, positions: Tensor, bounds: tuple[int, int] | None
    ) -> Tensor:
        """Log-probabilities [N, V], of `logits` [N, V] and `projected` [N, 2 W + 1], after `tokens` at `positions`.

        `bounds` are the lowest and the highest position, where they are known without waiting for the device.
        """
        keys, ids = self.cache.keys[-1][:, 0], self.cache.values[-1][:, 0, :, 0]
        slots, length, width = keys.shape
        query, key, gate = projected.split((width, width, 1), -1)
        every, visible = torch.arange(slots, device=keys.device), bounds[1] if bounds else length - 1
        keys[every, positions], ids[every, positions] = key.to(keys.dtype), tokens
        origin = self.cache.beam_origin
        if origin is None:
            keys, ids = keys[:, :visible], ids[:, 1 : visible + 1]
        else:
            at = torch.arange(visible, device=keys.device)
            keys, ids = keys[origin[:, :visible], at], ids[origin[:, 1 : visible + 1], at + 1]
        # Each place is a key for the token that follows it, so the newest has none yet.
        seen = torch.arange(visible, device=keys.device) < positions[:, None]
        scores = torch.einsum("nw,nkw->nk", query.to(keys.dtype), keys).to(logits.dtype) * width**-0.5
        weights = scores.masked_fill(~seen, HIDDEN).softmax(-1).double()
        # A GPU adds in any order; rounded so, it comes to the same sum every time.
        copied = weights.new_zeros(logits.shape).scatter_add_(1, ids, (weights * EXACT).round() / EXACT)
        return mixture(logits.log_softmax(-1), copied.to(logits.dtype), *shares(gate[:, 0], positions > 0))
