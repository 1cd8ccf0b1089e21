"""The weights of a GPT-2 block, under the names that all share who compute with them outside of transformers."""

from torch import Tensor, nn
from transformers.models.gpt2.modeling_gpt2 import GPT2Block
from transformers.pytorch_utils import Conv1D


def block_matrices(block: GPT2Block) -> dict[str, Conv1D]:
    """The modules that multiply by a matrix, in the order in which they do.

    `projection` makes queries, keys and values; `output` follows attention; `up` and `down` are the MLP's. Each has a
    `weight` [inputs, outputs] and a `bias` [outputs].
    """
    attention, mlp = block.attn, block.mlp
    return {"projection": attention.c_attn, "output": attention.c_proj, "up": mlp.c_fc, "down": mlp.c_proj}


def distance_embeddings(attention: nn.Module) -> Tensor | None:
    """What a block's `attn` adds to its keys by their distance, [heads, distances, width]; None without that."""
    return getattr(attention, "relative", None)
