"""Performances to look at and to listen to: a piano roll as PNG, a recording as WAV."""

import wave
from pathlib import Path

import numpy as np
import pretty_midi
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MultipleLocator
from symusic import Score

from tasks.music.codec import TICKS_PER_SECOND

BLACK_KEYS = (1, 3, 6, 8, 10)  # pitch classes
PAPER, SHADE, LINE, INK = "#14161c", "#1b1e26", "#343946", "#c9ced8"
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600)  # between ticks of the time axis, in seconds
SAMPLE_RATE = 44_100


def draw_piano_roll(score: Score, path: str | Path, title: str = "", given: "Score | None" = None) -> None:
    """Draw a performance as a PNG: time in seconds, pitch by name, velocity as colour.

    The time of what the decoder was `given` is set off from the rest.
    """
    primer = given.end() / TICKS_PER_SECOND if given else 0
    notes = score.tracks[0].notes.numpy()
    onset, duration = notes["time"] / TICKS_PER_SECOND, notes["duration"] / TICKS_PER_SECOND
    end = max((onset + duration).max(initial=0), primer, 1)
    low, high = int(notes["pitch"].min(initial=60)) - 2, int(notes["pitch"].max(initial=72)) + 3

    figure = Figure(figsize=(float(np.clip(end / 4, 9, 18)), 4.8), facecolor=PAPER, layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, end), ylim=(low, high), xlabel="time", facecolor=PAPER)
    for pitch in range(low, high):
        if pitch % 12 in BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=SHADE, linewidth=0)
    if primer:
        axes.axvspan(0, primer, color=INK, alpha=0.1, linewidth=0)
        axes.axvline(primer, color=INK, linewidth=1)
        axes.text(primer, high, " primer ends ", color=INK, fontsize=8, va="top", ha="left")

    boxes = [Rectangle((x, y - 0.45), width, 0.9) for x, y, width in zip(onset, notes["pitch"], duration, strict=True)]
    drawn = PatchCollection(boxes, cmap="plasma", linewidth=0)
    drawn.set(array=notes["velocity"], clim=(0, 127))
    axes.add_collection(drawn)

    octaves = range(-(-low // 12) * 12, high, 12)
    axes.set_yticks(octaves, [pretty_midi.note_number_to_name(pitch) for pitch in octaves])
    axes.xaxis.set_major_locator(MultipleLocator(next((step for step in STEPS if end / step <= 12), 1200)))
    axes.xaxis.set_major_formatter(FuncFormatter(_clock))
    axes.grid(color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0)
    axes.spines[:].set_visible(False)
    axes.xaxis.label.set_color(INK)
    axes.set_title(title, color=INK, loc="left", fontsize=11)
    bar = figure.colorbar(drawn, ax=axes, pad=0.01, aspect=30, ticks=[0, 32, 64, 96, 127])
    bar.set_label("velocity", color=INK)
    bar.ax.tick_params(colors=INK, length=0)
    bar.outline.set_visible(False)
    figure.savefig(path, dpi=150)


def _clock(time: float, _: int) -> str:
    return f"{int(time // 60)}:{time % 60:02.0f}" if time >= 60 else f"{time:g} s"


def write_wav(score: Score, path: str | Path) -> None:
    """Write a performance as a WAV file: mono, 16 bits, 44.1 kHz, as loud as it goes without clipping.

    The piano is that of the SoundFont which pretty_midi brings, played by FluidSynth where `pyfluidsynth` is
    installed. Elsewhere it is a plucked string made of sine waves: good enough to hear what was played.
    """
    notes = score.to("second").tracks[0].notes
    piano = pretty_midi.Instrument(program=0)
    piano.notes = [pretty_midi.Note(n.velocity, n.pitch, n.start, n.end) for n in notes]
    try:
        import fluidsynth  # noqa: F401, PLC0415 (needs the FluidSynth library, which pip does not install)

        sound = piano.fluidsynth(fs=SAMPLE_RATE)
    except ImportError:
        sound = piano.synthesize(fs=SAMPLE_RATE, wave=_string)
    if not notes:
        sound = np.zeros(SAMPLE_RATE)
    peak = np.abs(sound).max()
    samples = np.rint(sound / (peak or 1) * 32_767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())


def _string(phase: np.ndarray) -> np.ndarray:
    """Six partials of a string, the higher the softer and the sooner gone. `phase` in radians from the onset."""
    return sum(np.exp(-phase * partial / 4000) / partial**1.5 * np.sin(partial * phase) for partial in range(1, 7))
