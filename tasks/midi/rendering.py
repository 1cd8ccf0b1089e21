"""Performances to look at: a piano roll as PNG, beside MIDI file and recording."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import pretty_midi
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MultipleLocator
from symusic import Score

from shared.files import atomic_directory
from tasks.midi.codec import TICKS_PER_SECOND
from tasks.midi.notation import SUFFIX, write_musicxml
from tasks.midi.recording import best_suffix, record

PIECE = re.compile(r"piece-(\d+)\.")
BLACK_KEYS = (1, 3, 6, 8, 10)  # pitch classes
PAPER, SHADE, LINE, INK = "#14161c", "#1b1e26", "#343946", "#c9ced8"
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600)  # between ticks of the time axis, in seconds
WRITTEN = "plasma"
GIVEN = LinearSegmentedColormap.from_list("given", ["#12403f", "#4fd6c2", "#d8fff6"])  # no colour of plasma
VELOCITIES = Normalize(0, 127)


@dataclass(frozen=True)
class Piece:
    """One output: all that sounds, what of it was `given` (if anything), and the MIDI `file`, with its tracks."""

    sounding: Score
    given: "Score | None"
    file: mido.MidiFile


def write_pieces(pieces: Sequence[Piece], folder: Path, musicxml: bool = False, keep: bool = False) -> list[Path]:
    """Each piece as `piece-N.mid`, `.png` and `.ogg` (or `.wav`), and `.musicxml` if that is asked for.

    What was given for it is marked in the picture. Numbers begin with 1, and other pieces go; or, to `keep` those that
    are there, behind the last of them. Returns the MIDI files.
    """
    old = {path: int(found[1]) for path in folder.glob("piece-*") if (found := PIECE.match(path.name))}
    first = max(old.values(), default=0) + 1 if keep else 1
    places = [folder / f"piece-{number}.mid" for number in range(first, first + len(pieces))]
    with atomic_directory(folder) as staging:
        for name, made in zip(places, pieces, strict=True):
            place, piece, own = staging / name.stem, made.sounding, made.given
            made.file.save(place.with_suffix(".mid"))
            if musicxml:
                write_musicxml(made.file, place.with_suffix(SUFFIX))
            draw_piano_roll(piece, place.with_suffix(".png"), own)
            record(piece, place.with_suffix(best_suffix()))
        written = {path.name for path in staging.iterdir()}
    if not keep:
        for path in old:
            if path.name not in written:
                path.unlink()
    return places


def draw_piano_roll(performance: Score, path: str | Path, given: "Score | None" = None) -> None:
    """Draw a performance as a PNG: time in seconds, pitch by name, velocity as colour.

    The notes of `given`, what the decoder was given (a primer, or the melody it accompanies), have colours of their
    own; they may be part of the performance, or not.
    """
    notes, marked = performance.tracks[0].notes.numpy(), given.tracks[0].notes.numpy() if given else None
    shown = [notes] if marked is None else [notes, marked]
    end = max(*((part["time"] + part["duration"]).max(initial=0) / TICKS_PER_SECOND for part in shown), 1.0)
    low = min(int(part["pitch"].min(initial=60)) for part in shown) - 2
    high = max(int(part["pitch"].max(initial=72)) for part in shown) + 3

    figure = Figure(figsize=(float(np.clip(end / 4, 9, 18)), 4.8), facecolor=PAPER, layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, end), ylim=(low, high), xlabel="time", facecolor=PAPER)
    for pitch in range(low, high):
        if pitch % 12 in BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=SHADE, linewidth=0)
    colours: tuple[str | LinearSegmentedColormap, ...] = (WRITTEN, GIVEN)
    for part, colour in zip(shown, colours, strict=False):
        axes.add_collection(_boxes(part, colour, gap=end / 1500))
    if marked is not None:
        # Each key is a strip of its colours, from soft to loud.
        keys = [tuple(Patch(color=scale(x)) for x in np.linspace(0.2, 0.9, 5)) for scale in (GIVEN, colormaps[WRITTEN])]
        axes.legend(
            keys,
            ["given", "written"],
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
            loc="lower right",
            bbox_to_anchor=(1, 1),
            ncols=2,
            frameon=False,
            labelcolor=INK,
            handlelength=3,
        )

    octaves = [pitch for pitch in range(low + 1, high) if pitch % 12 == 0]
    axes.set_yticks(octaves, [pretty_midi.note_number_to_name(pitch) for pitch in octaves])
    axes.xaxis.set_major_locator(MultipleLocator(next((step for step in STEPS if end / step <= 12), 1200)))
    axes.xaxis.set_major_formatter(FuncFormatter(_clock))
    axes.grid(color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    axes.spines[:].set_visible(False)
    axes.xaxis.label.set_color(INK)
    axes.set_title(f"{len(notes['pitch']):,} notes in {end:.0f} s", color=INK, loc="left", fontsize=11)
    bar = figure.colorbar(ScalarMappable(VELOCITIES, WRITTEN), ax=axes, pad=0.01, aspect=30, ticks=[0, 32, 64, 96, 127])
    bar.set_label("velocity", color=INK)
    bar.ax.tick_params(colors=INK, length=0)
    bar.outline.set_visible(False)
    figure.savefig(path, dpi=150)


def _boxes(notes: dict[str, np.ndarray], colours: str | LinearSegmentedColormap, gap: float) -> PatchCollection:
    onset, width = notes["time"] / TICKS_PER_SECOND, notes["duration"] / TICKS_PER_SECOND
    width = np.maximum(width - gap, 0.7 * width)  # so that a repeated note is seen to be two
    boxes = [Rectangle((x, y - 0.45), w, 0.9) for x, y, w in zip(onset, notes["pitch"], width, strict=True)]
    drawn = PatchCollection(boxes, cmap=colours, norm=VELOCITIES, linewidth=0)
    drawn.set_array(notes["velocity"])
    return drawn


def _clock(time: float, _: int) -> str:
    return f"{int(time // 60)}:{time % 60:02.0f}" if time >= 60 else f"{time:g} s"
