"""The page's pictures without a browser: figures of what a decoder did with one line."""

from math import ceil, sqrt

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from onedecoder.trace import VECTORS, Trace

LABELLED = 80  # tokens beyond which a picture has no room for their names
COLUMNS = 4
INK, HIDDEN, WRITTEN = "#27303f", "0.88", "#4c5fd5"


def attention(weights: np.ndarray, titles: list[str], names: list[str], context: int) -> Figure:
    """Panels of `weights` [N, T, T], rows are queries; `names` are those of the T tokens, `context` of them given.

    What the mask hides is grey; lines mark where the source ends.
    """
    # As high as wide: a page shows four panels in a row too small to read.
    columns, labelled = ceil(sqrt(len(weights))), len(names) <= LABELLED
    side = 1.5 + 0.16 * len(names) if labelled else 6
    figure, panels = _panels(len(weights), columns, side, side)
    for axes, panel, title in zip(panels, weights, titles, strict=True):
        image = _shares(axes, panel)
        for mark in (axes.axhline, axes.axvline):
            mark(context - 0.5, color="0.4", linewidth=0.8)
        axes.set_title(title)
        axes.set_xticks(range(len(names)) if labelled else [], names if labelled else [], rotation=90)
        axes.set_yticks(range(len(names)) if labelled else [], names if labelled else [])
    figure.colorbar(image, ax=list(panels), label="share", shrink=0.6)
    return figure


def heads(trace: Trace) -> Figure:
    """All heads of all layers, small, a layer in each row."""
    config = trace.model.config
    figure, panels = _panels(config.n_layer * config.n_head, config.n_head, 1.2, 1.2)
    for layer in range(config.n_layer):
        weights = trace[f"h.{layer}.weights"]
        for head in range(config.n_head):
            axes = panels[layer * config.n_head + head]
            _shares(axes, weights[head])
            axes.set_xticks([])
            axes.set_yticks([])
            if layer == 0:
                axes.set_title(f"head {head + 1}", fontsize=8)
            if head == 0:
                axes.set_ylabel(f"layer {layer + 1}", fontsize=8)
    return figure


def likeliest(trace: Trace, names: list[str], count: int) -> Figure:
    """For each written token the `count` likeliest ones before it was chosen; what was chosen is dark."""
    places = range(trace.context, len(trace.ids))
    figure, panels = _panels(max(1, len(places)), COLUMNS, 3.2, 0.5 + 0.22 * count)
    shares = trace.tensor("logits").float().softmax(-1)
    for axes, place in zip(panels, places, strict=False):
        best = shares[place - 1].topk(min(count, shares.shape[1]))
        chosen = [int(index) == trace.ids[place] for index in best.indices]
        axes.barh(range(len(chosen)), best.values.cpu(), color=[WRITTEN if one else "#c9cff2" for one in chosen])
        axes.set_yticks(range(len(chosen)), [_safe(names[int(index)]) for index in best.indices])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.set_title(f"{_safe(trace.names[place])}  {float(shares[place - 1, trace.ids[place]]):.3f}", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def way(trace: Trace, position: int) -> Figure:
    """Strips of the values that the token at `position` becomes, step by step and block by block.

    Red is above zero, blue below; every strip has a scale of its own, and its shape.
    """
    layers = trace.model.config.n_layer
    embeddings = ["token_embedding", "position_embedding"]
    keys = [*embeddings, *(f"h.{layer}.{step}" for layer in range(layers) for step in VECTORS), "final"]
    figure = Figure(figsize=(9, 0.22 * len(keys) + 0.8), layout="constrained")
    axes = figure.subplots(len(keys), 1, squeeze=False).flatten()
    for strip, key in zip(axes, keys, strict=True):
        values = vector(trace, key, position)
        most = np.abs(values).max() or 1
        strip.imshow(values[None], aspect="auto", cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
        strip.set_yticks([0], [f"{key}  [{len(values)}]"])
        strip.set_xticks([])
        strip.tick_params(length=0, labelsize=7)
        strip.spines[:].set_visible(False)
    figure.suptitle(f"The way of {_safe(trace.names[position])}", fontsize=11, color=INK)
    return figure


def lens(trace: Trace, names: list[str]) -> Figure:
    """What each block's output would say next at every position; the darker, the surer."""
    layers, places = trace.model.config.n_layer, range(len(trace.ids))
    tops = [[layer[0] for layer in trace.lens(place, count=1)] for place in places]
    figure = Figure(figsize=(0.75 * len(places) + 1, 0.4 * layers + 1.2), layout="constrained")
    axes = figure.subplots()
    shares = np.array([[share for _, share in place] for place in tops]).T[::-1]
    axes.imshow(shares, aspect="auto", cmap="Purples", vmin=0, vmax=1.4)
    for place, top in enumerate(tops):
        for layer, (index, _) in enumerate(top):
            axes.text(place, layers - 1 - layer, _safe(names[index]), ha="center", va="center", fontsize=6)
    axes.set_xticks(places, [_safe(name) for name in trace.names], rotation=90, fontsize=7)
    axes.set_yticks(range(layers), [f"after block {layers - layer}" for layer in range(layers)], fontsize=7)
    axes.tick_params(length=0)
    return figure


def kept(with_cache: list[int], without_cache: list[int]) -> Figure:
    """Multiplications of each step with kept keys and values, and without."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    steps = range(1, len(with_cache) + 1)
    axes.plot(steps, without_cache, color="#c2410c", label="everything computed anew")
    axes.plot(steps, with_cache, color=WRITTEN, label="keys and values kept")
    axes.set(xlabel="tokens in the line", ylabel="multiplications", yscale="log")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def vector(trace: Trace, key: str, position: int) -> np.ndarray:
    """One vector of a trace at one position, of heads side by side."""
    values = trace[key]
    return values[:, position].ravel() if values.ndim == 3 else values[position]


def _panels(count: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(columns, count)
    rows = ceil(count / columns)
    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in panels:
        axes.tick_params(length=0, labelsize=7)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, list(panels[:count])


def _shares(axes: Axes, weights: np.ndarray) -> AxesImage:
    axes.set_facecolor(HIDDEN)
    # Small shares are to be seen, too.
    return axes.imshow(np.ma.masked_equal(weights, 0), cmap="magma_r", norm=PowerNorm(0.5, 0, 1))


def _safe(name: str) -> str:
    """Matplotlib takes what stands between dollars for mathematics."""
    return name.replace("$", r"\$")
