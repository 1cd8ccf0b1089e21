"""A piece as a piano roll, with arcs from one note to those that it attends to, as in Music Transformer's pictures."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from onedecoder.core_music import TICKS_PER_SECOND, MusicVocabulary
from onedecoder.trace import Trace

FAINT = 0.01  # of the weight, below which no arc is drawn
HEADS = ("#d9480f", "#2b8a3e", "#1864ab", "#862e9c", "#e67700", "#0b7285", "#a61e4d", "#5c940d")


def notes(trace: Trace, vocabulary: MusicVocabulary) -> np.ndarray:
    """The notes of a line of music events: onset and offset in seconds, pitch, and place of the note-on. [notes, 4]"""
    found, sounding, now = [], {}, 0
    for place, index in enumerate(trace.ids):
        kind, value = vocabulary.meaning.get(index, (None, 0))
        if kind == "TimeShift":
            now += value
        elif kind == "NoteOn":
            sounding[value] = [now, now, value, place]
            found.append(sounding[value])
        elif kind == "NoteOff" and value in sounding:
            sounding.pop(value)[1] = now
        elif kind == "Duration" and found and found[-1][2] in sounding:
            sounding.pop(found[-1][2])[1] = now + value
    for note in sounding.values():
        note[1] = now
    return np.array(found, dtype=float).reshape(-1, 4) / [TICKS_PER_SECOND, TICKS_PER_SECOND, 1, 1]


def arcs(trace: Trace, layer: int, vocabulary: MusicVocabulary) -> Figure:
    """What the last note attends to in `layer`.

    A colour for each head, thickness by weight; the weights are those by which its note-on was chosen, of all events
    that belong to the strike of a note.
    """
    roll = notes(trace, vocabulary)
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel="seconds", ylabel="pitch")
    axes.spines[["top", "right"]].set_visible(False)
    if not len(roll):
        return figure
    chosen = len(roll) - 1
    for number, (onset, offset, pitch, _) in enumerate(roll):
        colour = "#27303f" if number == chosen else "#aab2d5"
        axes.add_patch(Rectangle((onset, pitch - 0.4), max(offset - onset, 0.03), 0.8, color=colour, linewidth=0))
    query = max(int(roll[chosen, 3]) - 1, 0)
    for head, weights in enumerate(trace[f"h.{layer}.weights"][:, query]):
        for onset, _, pitch, at in roll[:chosen]:
            weight = float(weights[_strike(trace.ids, int(at), vocabulary)].sum())
            if weight > FAINT:
                bow = FancyArrowPatch(
                    tuple(roll[chosen, [0, 2]]), (onset, pitch), arrowstyle="-", connectionstyle="arc3,rad=0.25",
                    linewidth=6 * weight, color=HEADS[head % len(HEADS)], alpha=0.6,
                )  # fmt: skip
                axes.add_patch(bow)
    axes.set_xlim(roll[:, 0].min() - 0.1, roll[:, 1].max() + 0.1)
    axes.set_ylim(roll[:, 2].min() - 4, roll[:, 2].max() + 8)  # room for the arcs
    return figure


def _strike(ids: list[int], at: int, vocabulary: MusicVocabulary) -> list[int]:
    """The places of a note-on and of what is said of its note beside it: a velocity, a length."""
    strike = [at]
    for beside, kind in ((vocabulary.velocity_at, "Velocity"), (2, "Duration")):
        said = ids[at + beside : at + beside + 1]
        strike += [at + beside for index in said if vocabulary.meaning.get(index, (None, 0))[0] == kind]
    return strike
