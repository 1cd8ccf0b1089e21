import sys
import wave

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from tasks.midi.codec import decode, one_piano
from tasks.midi.recording import LOUDNESS, PEAK, best_suffix, record
from tasks.midi.rendering import draw_piano_roll

SAMPLE_RATE = 44_100


def score(onset, offset, pitch, velocity):
    return one_piano(*map(np.array, (onset, offset, pitch, velocity)))


@pytest.fixture(scope="module")
def piece():
    return score([0, 0, 300], [200, 300, 500], [69, 57, 45], [30, 60, 100])


@pytest.fixture
def no_fluidsynth(monkeypatch):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)


def picture(path, *args, **kwargs):
    draw_piano_roll(*args, path, **kwargs)
    assert path.stat().st_size < 200_000
    return imread(path)[:, :, :3]


def hues(image):
    """How many pixels of the roll (the colour bar left out) are reddish, and how many greenish."""
    red, green, blue = np.moveaxis(image[60:, : int(image.shape[1] * 0.88)], -1, 0)
    return (red > green + 0.2).sum(), ((green > red + 0.2) & (green > blue)).sum()


def test_the_roll_shows_notes_by_velocity(piece, tmp_path):
    image = picture(tmp_path / "piece.png", piece)
    height, width, _ = image.shape
    assert width > height > 500
    colours = {tuple(pixel) for pixel in image[:, : int(width * 0.85)].reshape(-1, 3)[::7]}
    bright = [colour for colour in colours if max(colour) > 0.6 and max(colour) - min(colour) > 0.4]
    assert len(bright) >= 3
    full = picture(tmp_path / "full.png", score([0, 0], [9, 9], [0, 127], [1, 127]))
    empty = picture(tmp_path / "empty.png", decode([]))
    assert hues(empty) == (0, 0)
    assert len({image.tobytes() for image in (image, full, empty)}) == 3


def test_what_was_given_is_marked(piece, tmp_path):
    primer = score([0, 0], [200, 300], [69, 57], [30, 60])  # two of the three notes
    melody = score([100], [400], [81], [90])  # none of them
    plain = hues(picture(tmp_path / "plain.png", piece))
    primed = hues(picture(tmp_path / "primed.png", piece, given=primer))
    accompanied = hues(picture(tmp_path / "accompanied.png", piece, given=melody))
    alone = hues(picture(tmp_path / "alone.png", piece, given=piece))
    assert plain[1] == alone[0] == 0
    assert primed[0] < 0.8 * plain[0]
    assert min(primed[1], accompanied[1], accompanied[0]) > 1000
    assert alone[1] > primed[1]


def read_wav(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, SAMPLE_RATE)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2) / 32_767


def rms(samples):
    return np.sqrt(np.mean(samples**2))


@pytest.mark.usefixtures("no_fluidsynth")
def test_a_recording_has_the_pitch_length_and_dynamics_of_what_was_played(piece, tmp_path):
    record(piece, tmp_path / "piece.wav")
    samples = read_wav(tmp_path / "piece.wav")
    assert 5.2 <= len(samples) / SAMPLE_RATE <= 5.5
    both, samples = samples, samples.sum(1)
    last_note = samples[int(3.2 * SAMPLE_RATE) : int(4.2 * SAMPLE_RATE)]
    spectrum = np.abs(np.fft.rfft(last_note * np.hanning(len(last_note))))
    partials = [spectrum[110 * k - 3 : 110 * k + 4].max() for k in (1, 2, 3)]  # of A2, in bins of 1 Hz
    assert sum(partial > 20 * np.median(spectrum[:1000]) for partial in partials) == 3
    loud, soft = (samples[int(at * SAMPLE_RATE) :][: SAMPLE_RATE // 2] for at in (3, 0))
    assert rms(loud) > 1.5 * rms(soft)
    held, released = (samples[int(at * SAMPLE_RATE) :][:1000] for at in (4.9, 5.2))
    assert rms(released) < 0.1 * rms(held)
    low, high = both[int(4 * SAMPLE_RATE) :], both[: SAMPLE_RATE // 10]  # A2 alone, and A4 with A3
    assert rms(low[:, 0]) > 2 * rms(low[:, 1])
    assert rms(high[:, 0]) < 1.5 * rms(high[:, 1])


@pytest.mark.usefixtures("no_fluidsynth")
@pytest.mark.parametrize("suffix", [".ogg", ".mp3"])
def test_a_recording_is_a_tenth_encoded(piece, tmp_path, suffix):
    assert best_suffix() == ".ogg"
    encoded, plain = tmp_path / f"piece{suffix}", tmp_path / "piece.wav"
    record(piece, encoded)
    record(piece, plain)
    assert encoded.stat().st_size < plain.stat().st_size / 6
    (samples, rate), wav = soundfile.read(encoded), read_wav(plain)
    assert rate == SAMPLE_RATE
    assert abs(len(samples) - len(wav)) < 0.1 * SAMPLE_RATE  # MP3 is made of whole frames
    length = min(len(samples), len(wav))
    assert rms(samples[:length] - wav[:length]) < 0.1 * rms(wav)


def test_without_an_encoder_recordings_are_wav(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert best_suffix() == ".wav"


@pytest.mark.usefixtures("no_fluidsynth")
@pytest.mark.parametrize("velocity", [3, 127])
def test_recordings_are_equally_loud_and_not_clipped(tmp_path, velocity):
    onset = np.arange(0, 400, 10)
    record(score(onset, onset + 40, 40 + onset % 37, [velocity] * 40), tmp_path / "piece.wav")
    samples = read_wav(tmp_path / "piece.wav")
    assert np.abs(samples).max() <= PEAK + 1e-4
    assert rms(samples) == pytest.approx(LOUDNESS, rel=0.01)


@pytest.mark.usefixtures("no_fluidsynth")
def test_a_crowd_of_notes_is_turned_down_before_it_clips(tmp_path):
    record(score([0] * 20 + [2000], [3] * 20 + [2001], [*range(40, 60), 30], [127] * 20 + [3]), tmp_path / "a.wav")
    samples = read_wav(tmp_path / "a.wav")
    assert np.abs(samples).max() == pytest.approx(PEAK, abs=1e-3)
    assert rms(samples) < LOUDNESS


@pytest.mark.usefixtures("no_fluidsynth")
def test_silence_is_a_recording_too(tmp_path):
    record(decode([]), tmp_path / "silence.wav")
    samples = read_wav(tmp_path / "silence.wav")
    assert len(samples) >= SAMPLE_RATE
    assert not samples.any()


def test_the_soundfont_plays_the_same_length(piece, tmp_path):
    pytest.importorskip("fluidsynth", exc_type=ImportError)
    record(piece, tmp_path / "piece.wav")
    samples = read_wav(tmp_path / "piece.wav")
    assert 5 <= len(samples) / SAMPLE_RATE <= 7
    assert rms(samples) > 0.01
