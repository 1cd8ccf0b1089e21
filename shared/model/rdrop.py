"""R-Drop: two forward passes under different dropout, which shall agree (Liang et al. 2021, "R-Drop: Regularized
Dropout for Neural Networks").

Both passes run as one, over every row twice, so that data-parallel wrappers and compiled blocks see a single pass. With
p and q the two distributions of a learned token's place, the loss is half of the paper's equation 4,

    ½ (−log p(token) − log q(token)) + alpha / 4 (KL(p‖q) + KL(q‖p)),

so that alpha is the paper's while the loss stays that of one token.
"""

import torch
from torch import Tensor


def twice(
    input_ids: Tensor, prefix: Tensor | None, position_ids: Tensor | None, labels: Tensor, target_positions: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor, Tensor]:
    """A batch of rows [B, T] with all its rows once more below, [2B, T].

    `target_positions` [N] becomes [2N]: the two places of a token stand side by side, as `divergence` wants them.
    """
    return (
        input_ids.repeat(2, 1),
        None if prefix is None else prefix.repeat(2, 1),
        None if position_ids is None else position_ids.repeat(2, 1),
        labels.repeat(2, 1),
        torch.stack([target_positions, target_positions + labels.numel()], 1).flatten(),
    )


def divergence(log_probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of KL(p‖q) + KL(q‖p) over pairs of rows, and its gradient in the logits.

    Rows 2i and 2i + 1 of `log_probabilities` [2N, V] are the i-th pair; the gradient has the same shape.
    """
    paired = log_probabilities.unflatten(0, (-1, 2))
    other, own = paired.flip(1), paired.exp()
    # A column that both rule out (-inf) has no share: 0 · (−inf − −inf) is NaN unless it is said.
    ratio = torch.where(own > 0, paired - other, 0)
    to_other = (own * ratio).sum(-1, keepdim=True)  # KL(p‖q) in the row of p, KL(q‖p) in that of q
    gradient = own * (ratio - to_other) + own - own.flip(1)
    return to_other.sum(), gradient.flatten(0, 1)
