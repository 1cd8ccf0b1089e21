"""What a visitor hears: the notes that the roll shows and the file holds, as sound."""

import numpy as np
from symusic import Score

from onedecoder.export import export

# Web Audio as it is, watched.
LISTENING = """() => {
  const strikes = (globalThis.strikes = []), { start, stop } = OscillatorNode.prototype;
  OscillatorNode.prototype.start = function (at) {
    strikes.push((this.strike = { start: at, frequency: this.frequency.value }));
    start.call(this, at);
  };
  OscillatorNode.prototype.stop = function (at) {
    this.strike.stop = at;
    stop.call(this, at);
  };
}"""

RENDERED = """async ({ notes, seconds }) => {
  const { player } = await import("onedecoder/views/player.js");
  const audio = new OfflineAudioContext(1, seconds * 22050, 22050);
  audio.resume = () => {};
  globalThis.AudioContext = function () { return audio; };
  player(() => {}).play(notes);
  const samples = (await audio.startRendering()).getChannelData(0);
  const power = (from, to, pitch) => {
    const step = (2 * Math.PI * 440 * 2 ** ((pitch - 69) / 12)) / 22050;
    let real = 0, imaginary = 0;
    for (let i = Math.round(from * 22050); i < to * 22050; i++) {
      real += samples[i] * Math.cos(step * i);
      imaginary += samples[i] * Math.sin(step * i);
    }
    return Math.hypot(real, imaginary);
  };
  const loudness = (from, to) => {
    let sum = 0;
    for (let i = Math.round(from * 22050); i < to * 22050; i++) sum += samples[i] ** 2;
    return Math.sqrt(sum / ((to - from) * 22050));
  };
  const pitches = Array.from({ length: 61 }, (_, i) => 36 + i);
  return notes.map(({ start, end }) => {
    const [from, to] = [start + 0.1, end + 0.08];
    const powers = pitches.map((pitch) => power(from, to, pitch));
    const pitch = pitches[powers.indexOf(Math.max(...powers))];
    return { pitch, during: loudness(from, to), after: loudness(to + 0.14, to + 0.18) };
  });
}"""


def test_what_is_played_is_what_is_saved(open_file, write, composer, tmp_path):
    """Each oscillator beside the notes of the saved file: key, onset, length."""
    tab = open_file(export([composer], tmp_path / "page.html"), view="music")
    write(tab, "music")
    panel = tab.locator("#music")
    with tab.expect_download() as download:
        panel.get_by_role("button", name="Save as MIDI").click()
    notes = Score.from_midi(download.value.path().read_bytes()).resample(50).tracks[0].notes
    tab.evaluate(LISTENING)
    panel.get_by_role("button", name="Play", exact=True).click()
    tab.wait_for_function(
        "count => globalThis.strikes.length === count && globalThis.strikes.at(-1).stop", arg=len(notes)
    )
    panel.get_by_role("button", name="Stop playing").click()
    strikes = tab.evaluate("globalThis.strikes")
    first = min(strike["start"] for strike in strikes)
    played = [(s["start"] - first, s["stop"] - s["start"], 69 + 12 * np.log2(s["frequency"] / 440)) for s in strikes]
    begin = min(note.time for note in notes)
    saved = [((note.time - begin) / 100, max(0.05, note.duration / 100) + 0.12, note.pitch) for note in notes]
    np.testing.assert_allclose(sorted(played), sorted(saved), atol=2e-3)


def test_a_note_can_be_heard(open_mock):
    """The sound itself, rendered: at the key's frequency, louder for a louder strike, silent after its end."""
    loud, soft = (
        {"pitch": 57, "start": 0.05, "end": 0.35, "velocity": 110},
        {"pitch": 64, "start": 0.05, "end": 0.35, "velocity": 40},
    )
    tab = open_mock("music")
    for one in (loud, soft):
        (one["heard"],) = tab.evaluate(RENDERED, {"notes": [one], "seconds": 1})
        assert one["heard"]["pitch"] == one["pitch"]
        assert one["heard"]["during"] > 1e-3 and one["heard"]["after"] < one["heard"]["during"] / 50
    assert loud["heard"]["during"] > 1.5 * soft["heard"]["during"]
