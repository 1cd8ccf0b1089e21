"""The pictures of one line as files, and their numbers as JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from onedecoder import pictures
from onedecoder.about import matrices
from onedecoder.arcs import arcs
from onedecoder.core import atomic_directory
from onedecoder.core_music import MusicVocabulary
from onedecoder.counts import counts
from onedecoder.decoder import LoadedDecoder
from onedecoder.trace import VECTORS, Trace

DIGITS = 5


def look(
    decoder: LoadedDecoder, trace: Trace, folder: str | Path, layer: int | None, count: int, suffix: str
) -> list[Path]:
    """Write the pictures of a trace into `folder` as `svg` or `png`, and `numbers.json`; the files' paths.

    `layer` (from 0 on) is shown head by head; None: the mean of each layer. `count` of the likeliest tokens are kept.
    """
    names, last = decoder.names, len(trace.ids) - 1
    figures: dict[str, Figure] = {
        "write": pictures.likeliest(trace, names, count),
        "attention": _attention(trace, layer),
        "heads": pictures.heads(trace),
        "way": pictures.way(trace, max(trace.context - 1, 0)),
        "lens": pictures.lens(trace, names),
        "kept": pictures.kept(*counts(decoder.model, max(2, last + 1))),
    }
    if decoder.model.copying is not None:
        figures["copied"] = pictures.attention(copies(trace)[None], ["copied"], trace.names, trace.context)
    if isinstance(decoder.task.vocabulary, MusicVocabulary):
        figures["arcs"] = arcs(trace, layer or 0, decoder.task.vocabulary)
    folder = Path(folder)
    with atomic_directory(folder) as staging:
        for name, figure in figures.items():
            figure.savefig(staging / f"{name}.{suffix}", dpi=110)
        (staging / "numbers.json").write_text(json.dumps(numbers(decoder, trace, count)), encoding="utf-8")
    return [*(folder / f"{name}.{suffix}" for name in figures), folder / "numbers.json"]


def _attention(trace: Trace, layer: int | None) -> Figure:
    if layer is None:
        layers = range(trace.model.config.n_layer)
        panels = np.stack([trace[f"h.{number}.weights"].mean(0) for number in layers])
        titles = [f"layer {number + 1}" for number in layers]
    else:
        panels = trace[f"h.{layer}.weights"]
        titles = [f"head {number + 1}" for number in range(len(panels))]
    return pictures.attention(panels, titles, trace.names, trace.context)


def copies(trace: Trace) -> np.ndarray:
    """How much of the token that follows each place is copied from each place [T, T]; a row's sum is its gate."""
    return trace["copy.gate"][:, None] * trace["copy.weights"]


def numbers(decoder: LoadedDecoder, trace: Trace, count: int) -> dict[str, Any]:
    """What the pictures show, rounded to five digits behind the point."""
    layers, names = range(decoder.model.config.n_layer), decoder.names
    place = max(trace.context - 1, 0)
    shown = ["token_embedding", "position_embedding", "final"]
    shown += [f"h.{layer}.{step}" for layer in layers for step in VECTORS]
    with_cache, without_cache = counts(decoder.model, len(trace.ids))
    return {
        "ids": trace.ids,
        "tokens": trace.names,
        "context": trace.context,
        "written": steps(trace, names, count),
        "weights": [_rounded(trace[f"h.{layer}.weights"]) for layer in layers],
        "way": {
            "position": place,
            "vectors": {key: _rounded(pictures.vector(trace, key, place)) for key in shown},
        },
        "lens": [
            [[{"token": names[index], "p": round(share, DIGITS)} for index, share in layer] for layer in trace.lens(at)]
            for at in range(len(trace.ids))
        ],
        **({"copied": _rounded(copies(trace))} if decoder.model.copying is not None else {}),
        "multiplications": {"with_cache": with_cache, "without_cache": without_cache},
        "parameters": matrices(decoder),
    }


def steps(trace: Trace, names: list[str], count: int) -> list[dict[str, Any]]:
    """Each written token with its probability, and the likeliest ones, before sampling and before a grammar."""
    shares = trace.tensor("logits").float().softmax(-1)
    found = []
    for place in range(max(1, trace.context), len(trace.ids)):
        best = shares[place - 1].topk(min(count, shares.shape[1]))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        found.append(
            {
                "token": trace.names[place],
                "p": round(float(shares[place - 1, trace.ids[place]]), DIGITS),
                "likeliest": [{"token": names[index], "p": round(share, DIGITS)} for index, share in pairs],
            }
        )
    return found


def _rounded(values: Any) -> Any:
    return values.astype(float).round(DIGITS).tolist()
