import wave

import numpy as np
import pytest
from matplotlib.image import imread

from tasks.music.codec import decode, one_piano
from tasks.music.rendering import draw_piano_roll, write_wav


@pytest.fixture(scope="module")
def piece():
    return one_piano(*map(np.array, ([0, 0, 300], [200, 300, 500], [69, 57, 45], [30, 60, 120])))


def read_wav(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 44_100)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float)


def test_the_roll_shows_notes_by_velocity_and_the_primer(piece, tmp_path):
    images = {}
    full = one_piano(*map(np.array, ([0, 0], [9, 9], [0, 127], [1, 127])))
    for name, score, given in (
        ("plain", piece, None),
        ("primed", piece, one_piano(*map(np.array, ([0], [300], [69], [30])))),
        ("empty", decode([]), None),
        ("full", full, None),
    ):
        draw_piano_roll(score, tmp_path / f"{name}.png", "A minor", given)
        images[name] = imread(tmp_path / f"{name}.png")
    height, width, _ = images["plain"].shape
    assert width > height > 500
    colours = {tuple(pixel) for pixel in images["plain"][:, : int(width * 0.85), :3].reshape(-1, 3)[::7]}
    bright = [colour for colour in colours if max(colour) > 0.6 and max(colour) - min(colour) > 0.4]
    assert len(bright) >= 3
    assert len({image.tobytes() for image in images.values()}) == 4


def test_a_recording_has_the_pitch_and_length_of_what_was_played(piece, tmp_path):
    write_wav(piece, tmp_path / "piece.wav")
    samples = read_wav(tmp_path / "piece.wav")
    assert np.abs(samples).max() == 32_767
    assert 5 <= len(samples) / 44_100 <= 7
    last_note = samples[int(3.2 * 44_100) : int(4.2 * 44_100)]
    spectrum = np.abs(np.fft.rfft(last_note * np.hanning(len(last_note))))
    partials = [spectrum[110 * k - 2 : 110 * k + 3].max() for k in (1, 2, 3)]  # of A2, in bins of 1 Hz
    assert sum(partial > 20 * np.median(spectrum[:1000]) for partial in partials) == 3


def test_silence_is_a_recording_too(tmp_path):
    write_wav(decode([]), tmp_path / "silence.wav")
    assert not read_wav(tmp_path / "silence.wav").any()
