"""Weights and recorded numbers as they stand in a page: 8 bits with a scale for each row, halves, or 32-bit floats."""

import base64
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from onedecoder.core import Decoder, rounded


class Packed(NamedTuple):
    """`tensors` say what is where ([{name, shape, type, offset}]) in `data`."""

    tensors: list[dict[str, Any]]
    data: bytes

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode("ascii")


def quantised(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows [..., W] as int8 [..., W] and scales [...]: the largest number of each row becomes 127."""
    whole, scales = rounded(torch.from_numpy(rows))
    return whole.numpy(), scales.numpy()


def pack(arrays: dict[str, tuple[str, np.ndarray]]) -> Packed:
    """Arrays by name, each with the type that it shall have: `int8` (by rows), `float16` or `float32`."""
    tensors, parts, offset = [], [], 0
    for name, (kind, array) in arrays.items():
        tensors.append({"name": name, "shape": list(array.shape), "type": kind, "offset": offset})
        if kind == "int8":
            whole, scales = quantised(array.astype(np.float32))
            part = scales.astype("<f4").tobytes() + whole.tobytes()
        else:
            part = array.astype({"float16": "<f2", "float32": "<f4"}[kind]).tobytes()
        parts.append(part)
        offset += len(part)
    return Packed(tensors, b"".join(parts))


def weights(decoder: Decoder) -> dict[str, np.ndarray]:
    """A decoder's weights by the names of transformers' GPT-2 without `transformer.`, matrices as [outputs, inputs]."""
    found = {}
    for name, tensor in _tensors(decoder).items():
        array = tensor.float().cpu().numpy()
        found[_short(name)] = array.T if _turned(name) else array
    return found


def kinds(arrays: dict[str, np.ndarray]) -> dict[str, tuple[str, np.ndarray]]:
    """In what each weight is kept: matrices in 8 bits, biases and norms as they are."""
    return {name: ("int8" if array.ndim > 1 else "float32", array) for name, array in arrays.items()}


def _tensors(decoder: Decoder) -> dict[str, Tensor]:
    """All weights but the head's, which are the embeddings."""
    state = decoder.state_dict()
    return {name.removeprefix("transformer."): state[name] for name in state if name != "lm_head.weight"}


def _short(name: str) -> str:
    return name.removesuffix(".weight") if name in {"wte.weight", "wpe.weight"} else name


def _turned(name: str) -> bool:
    """Whether transformers keeps a matrix as [inputs, outputs]."""
    return name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight"))
