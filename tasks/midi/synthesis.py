"""A piano made of sine waves, for machines without a synthesizer: good enough to hear what was played."""

import numpy as np
from symusic import Score

from tasks.midi.codec import TICKS_PER_SECOND

SAMPLE_RATE = 44_100
PARTIALS = 10
ATTACK, RELEASE = 0.003, 0.25  # seconds to full loudness, and from a key's release until its string is still
LONGEST = 8.0  # seconds after which a string is not heard any more


def synthesize(performance: Score) -> np.ndarray:
    """Samples [time] at `SAMPLE_RATE` of a performance, not normalised; a second of silence where no note sounds.

    Each string has stiff, hence slightly sharp partials, and the higher ones die sooner (Fletcher and Rossing, The
    Physics of Musical Instruments, chapter 12). A key struck harder sounds louder and brighter.
    """
    notes = performance.tracks[0].notes.numpy()
    onset, offset = notes["time"] / TICKS_PER_SECOND, (notes["time"] + notes["duration"]) / TICKS_PER_SECOND
    sound = np.zeros(int((offset.max(initial=0.75) + RELEASE) * SAMPLE_RATE) + 1)
    damper = np.cos(np.linspace(0, np.pi / 2, int(RELEASE * SAMPLE_RATE))) ** 2
    attack = np.linspace(0, 1, int(ATTACK * SAMPLE_RATE))
    longest = {pitch: (offset - onset)[notes["pitch"] == pitch].max() for pitch in set(notes["pitch"].tolist())}
    strings = {pitch: _string(pitch, min(length, LONGEST) + RELEASE) for pitch, length in longest.items()}
    for start, stop, pitch, velocity in zip(onset, offset, notes["pitch"], notes["velocity"], strict=True):
        force = velocity / 127
        held = int(min(stop - start, LONGEST) * SAMPLE_RATE)
        dull, bright = strings[pitch][:, : held + len(damper)]
        tone = force**1.5 * (dull + force * bright)
        tone[: len(attack)] *= attack
        tone[held:] *= damper[: len(tone) - held]
        begin = int(start * SAMPLE_RATE)
        sound[begin : begin + len(tone)] += tone
    return sound


def _string(pitch: int, seconds: float) -> np.ndarray:
    """One string left to sound: the lower and the higher partials apart, shape [2, time]."""
    time = np.arange(int(seconds * SAMPLE_RATE) + 1) / SAMPLE_RATE
    fundamental = 440 * 2 ** ((pitch - 69) / 12)
    stiffness = 4e-4 * 2 ** ((pitch - 60) / 12)
    layers = np.zeros((2, len(time)))
    for partial in range(1, PARTIALS + 1):
        frequency = partial * fundamental * np.sqrt(1 + stiffness * partial**2)
        if frequency > 0.45 * SAMPLE_RATE:
            break
        decay = 0.35 * 2 ** ((pitch - 60) / 18) * (1 + 0.5 * (partial - 1))  # per second
        # Two ways to swing: one is soon gone, the other lasts.
        envelope = 0.8 * np.exp(-3 * decay * time) + 0.2 * np.exp(-decay / 2 * time)
        layers[int(partial > 3)] += envelope * np.sin(2 * np.pi * frequency * time) / partial**1.1
    return layers
