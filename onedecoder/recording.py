"""One input as a decoder too large for a page wrote after it, with all that the page shows of it."""

from typing import Any

import numpy as np
import torch

from onedecoder.decoder import LoadedDecoder
from onedecoder.tensors import pack
from onedecoder.trace import VECTORS

NEW_TOKENS = 48  # that are written, at most
MOST_TOKENS = 160  # in a recorded line: its pictures grow with their square
KEPT = 400  # of the likeliest tokens at each place


def record(decoder: LoadedDecoder, given: str) -> dict[str, Any]:
    """Its ids, its likeliest next tokens, its scores in 16 bits and its vectors in 8."""
    new_tokens = min(NEW_TOKENS, decoder.generation.max_new_tokens)
    trace = decoder.trace(given, max_new_tokens=new_tokens)
    if len(trace.ids) > MOST_TOKENS:
        kept = decoder.prompt(given, decoder.max_length).context[:MOST_TOKENS]
        trace = decoder.trace_ids(list(kept), len(kept))
    arrays: dict[str, tuple[str, np.ndarray]] = _likeliest("next", trace.tensor("logits"))
    if decoder.model.copying is not None:
        arrays |= _likeliest("scores", trace.scores())
        arrays |= {"copy.weights": ("float16", trace["copy.weights"]), "copy.gate": ("float32", trace["copy.gate"])}
    for name in ("token_embedding", "position_embedding", "final"):
        arrays[name] = "int8", trace[name]
    for layer in range(decoder.model.config.n_layer):
        for name in VECTORS:
            vectors = trace[f"h.{layer}.{name}"]
            arrays[f"h.{layer}.{name}"] = "int8", _joined(vectors) if vectors.ndim == 3 else vectors
        arrays[f"h.{layer}.scores"] = "float16", trace[f"h.{layer}.scores"]
        if f"h.{layer}.relative" in trace:
            arrays[f"h.{layer}.relative"] = "float16", trace[f"h.{layer}.relative"]
    packed = pack(arrays)
    lens = [
        [[{"id": index, "p": round(share, 5)} for index, share in layer] for layer in trace.lens(position)]
        for position in range(len(trace.ids))
    ]
    line = {"input": given, "ids": [int(index) for index in trace.ids], "context": trace.context, "lens": lens}
    return {**line, "tensors": packed.tensors, "weights": packed.base64}


def _likeliest(name: str, scores: torch.Tensor) -> dict[str, tuple[str, np.ndarray]]:
    """For each place the likeliest ids and their logits, and one logit for all others, which have the rest evenly."""
    logits = scores.float().log_softmax(-1)
    best = logits.topk(min(KEPT, logits.shape[-1]))
    others = max(1, logits.shape[-1] - best.values.shape[-1])
    rest = (1 - best.values.exp().sum(-1)).clamp(min=1e-9) / others
    return {
        f"{name}.ids": ("float32", best.indices.cpu().numpy().astype(np.float32)),
        f"{name}.logits": ("float32", best.values.cpu().numpy()),
        f"{name}.rest": ("float32", torch.log(rest).cpu().numpy()),
    }


def _joined(heads: np.ndarray) -> np.ndarray:
    """[H, T, W] as [T, H W]."""
    return heads.transpose(1, 0, 2).reshape(heads.shape[1], -1)
