"""Performances to listen to: stereo recordings as OGG Vorbis or MP3, or as WAV where no encoder is installed."""

import wave
from pathlib import Path

import numpy as np
import pretty_midi
from symusic import Note, Score

from tasks.midi.synthesis import SAMPLE_RATE, synthesize

ENCODED = {".ogg": ("OGG", "VORBIS"), ".mp3": ("MP3", "MPEG_LAYER_III")}  # libsndfile's names of format and subtype
LOUDNESS = 10 ** (-18 / 20)  # the root mean square of the samples, of a full scale of 1
PEAK = 10 ** (-1 / 20)  # no sample is louder
# The keys below each of these pitches sound from here, -1 being the left and 1 the right, as they do to who plays.
PLACES = ((48, -0.45), (60, -0.15), (72, 0.15), (128, 0.45))


def best_suffix() -> str:
    """`.ogg`, a tenth of the size, or `.wav` where libsndfile is not, which soundfile brings to most systems."""
    try:
        import soundfile  # noqa: F401, PLC0415 (which may lack its library)
    except (ImportError, OSError):
        return ".wav"
    return ".ogg"


def record(performance: Score, path: str | Path) -> None:
    """Write a performance as `.wav` (16 bits), `.ogg` or `.mp3`: stereo, 44.1 kHz, all equally loud, none clipped.

    The piano is that of the SoundFont which pretty_midi brings, played by FluidSynth where `pyfluidsynth` is
    installed. Elsewhere `synthesize` plays its strings.

    Raises:
        ImportError: for `.ogg` and `.mp3` without soundfile or its library.
    """
    sound = stereo(performance)
    level, peak = np.sqrt(np.mean(sound**2)), np.abs(sound).max()
    if peak:
        sound = sound * min(LOUDNESS / level, PEAK / peak)
    if names := ENCODED.get(Path(path).suffix.lower()):
        import soundfile  # noqa: PLC0415 (as above)

        with soundfile.SoundFile(str(path), "w", SAMPLE_RATE, 2, format=names[0], subtype=names[1]) as file:
            for start in range(0, len(sound), SAMPLE_RATE):  # libsndfile's encoder takes no more at a time
                file.write(sound[start : start + SAMPLE_RATE])
        return
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(sound * 32_767).astype("<i2").tobytes())


def stereo(performance: Score) -> np.ndarray:
    """Samples [time, 2] of a performance, lower keys further to the left; not normalised."""
    parts, low = [], 0
    for high, place in PLACES:
        part = performance.copy()
        part.tracks[0].notes = [note for note in performance.tracks[0].notes if low <= note.pitch < high]
        angle = (place + 1) * np.pi / 4  # of equal power wherever it stands
        parts.append((mono(part), np.array([np.cos(angle), np.sin(angle)])))
        low = high
    sound = np.zeros((max(len(samples) for samples, _ in parts), 2))
    for samples, gains in parts:
        sound[: len(samples)] += samples[:, None] * gains
    return sound


def mono(performance: Score) -> np.ndarray:
    """Samples [time] of a performance, not normalised; a second of silence where there is nothing to hear."""
    notes: list[Note] = list(performance.to("second").tracks[0].notes)
    try:
        import fluidsynth  # noqa: F401, PLC0415 (needs the FluidSynth library, which pip does not install)
    except ImportError:
        return synthesize(performance)
    piano = pretty_midi.Instrument(program=0)
    piano.notes = [pretty_midi.Note(n.velocity, n.pitch, n.start, n.end) for n in notes]
    return piano.fluidsynth(fs=SAMPLE_RATE) if notes else np.zeros(SAMPLE_RATE)
