"""One GPT-2 decoder, many tasks, from Python.

from onedecoder import load

decoder = load("outputs/translation")            # a run, a folder in transformers' format, a name on the hub
decoder("The dog sleeps.")                       # a text; a list of texts gives a list; num_beams=5, seed=1 …
decoder.trace("The dog sleeps.")["h.0.weights"]  # what was computed on the way, by name
load("outputs/music").compose(seconds=30).save("piece.mid")
"""

from onedecoder.core import UserError
from onedecoder.decoder import LoadedDecoder, load
from onedecoder.piece import Piece
from onedecoder.trace import Trace
from onedecoder.training import evaluate, train

__all__ = ["LoadedDecoder", "Piece", "Trace", "UserError", "evaluate", "load", "train"]
