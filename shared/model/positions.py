"""More positions for a trained decoder than it was trained with.

GPT-2 looks its positions up in a table, so a longer line needs new rows, which fine-tuning then adapts. Two ways to
start them: the old table over and over (`tile`), as Longformer and its LED do (Beltagy et al. 2020, section 5), which
leaves short lines as they were; or the old table stretched (`interpolate`), as vision transformers do for larger images
(Dosovitskiy et al. 2021, section 3.2), which keeps the order of places but moves all of them.
"""

import torch
import torch.nn.functional as F
from torch import nn

from shared.model.decoder import Decoder


@torch.no_grad()
def extend_positions(decoder: Decoder, length: int, how: str) -> None:
    """Give `decoder` positions for lines of `length` tokens, in place; `how` is `interpolate` or `tile`.

    `interpolate` runs linearly along the table [old, D], whose first and last row stay the first and the last.
    """
    old = decoder.transformer.wpe.weight
    if decoder.config.position_period:  # they go on as they are
        decoder.config.n_positions = length
        return
    if length < len(old):
        raise ValueError(f"the decoder has {len(old)} positions already, more than {length}")
    if how == "interpolate":
        new = F.interpolate(old.T[None], size=length, mode="linear", align_corners=True)[0].T
    elif how == "tile":
        new = old.repeat(-(-length // len(old)), 1)[:length]
    else:
        raise ValueError(f"positions can be extended by 'interpolate' or 'tile', not by '{how}'")
    decoder.transformer.wpe = nn.Embedding.from_pretrained(new.contiguous(), freeze=False)
    decoder.config.n_positions = length
