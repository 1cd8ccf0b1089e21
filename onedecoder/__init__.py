"""One GPT-2 decoder, many tasks, from Python.

from onedecoder import load

decoder = load("outputs/translation")            # a run, a folder in transformers' format, a name on the hub
decoder("The dog sleeps.")                       # a text; a list of texts gives a list; num_beams=5, seed=1 …
decoder.trace("The dog sleeps.")["h.0.weights"]  # what was computed on the way, by name
load("outputs/music").compose(seconds=30).save("piece.mid")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onedecoder.core import UserError
    from onedecoder.decoder import LoadedDecoder, load
    from onedecoder.piece import Piece
    from onedecoder.trace import Trace
    from onedecoder.training import evaluate, train

# Imported when first asked for (PEP 562): `onedecoder --help` needs none of PyTorch.
PLACES = {
    "LoadedDecoder": "decoder",
    "Piece": "piece",
    "Trace": "trace",
    "UserError": "core",
    "evaluate": "training",
    "load": "decoder",
    "train": "training",
}

__all__ = ["LoadedDecoder", "Piece", "Trace", "UserError", "evaluate", "load", "train"]


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"onedecoder.{PLACES[name]}"), name)
