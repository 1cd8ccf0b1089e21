"""What the page hands to Web Audio are the notes of the piano roll: when they begin and end, which keys, how loud."""

import json
import math

import numpy as np
import pytest

from onedecoder.export import exported
from tasks.midi.codec import decode, encode, one_piano

RELEASE = 0.12  # seconds that a damped string goes on
SHORTEST = 0.05  # seconds that a note is heard for at least

# A clock that the test moves, and nodes that keep what they were told.
FAKE_AUDIO = """
const audio = { currentTime: 5, strikes: [] };
class Parameter {
  setValueAtTime(value, at) {
    this.start = at;
  }
  linearRampToValueAtTime(value) {
    this.peak = value;
  }
  setTargetAtTime() {}
}
const node = (more) => ({ connect: (next) => next, disconnect() {}, ...more });
globalThis.AudioContext = class {
  destination = node({});
  get currentTime() {
    return audio.currentTime;
  }
  resume() {}
  createPeriodicWave() {}
  createDynamicsCompressor = () => node({});
  createBiquadFilter = () => node({ frequency: new Parameter() });
  createGain() {
    const gain = new Parameter();
    audio.strikes.at(-1).gain = gain;
    return node({ gain });
  }
  createOscillator() {
    const strike = { handed: audio.currentTime };
    audio.strikes.push(strike);
    return node({
      frequency: new Parameter(), setPeriodicWave() {},
      start(at) { Object.assign(strike, { start: at, frequency: this.frequency.value }); },
      stop(at) { strike.stop = at; },
    });
  }
};
let turn = null;
globalThis.setInterval = (work) => ((turn = work), 1);
globalThis.clearInterval = () => { turn = null; };
function played(notes, from) {
  audio.strikes = [];
  const began = audio.currentTime;
  sound.play(notes, from);
  while (turn) {
    audio.currentTime += 0.08;
    turn();
  }
  return audio.strikes.map(({ handed, start, stop, frequency, gain }) => ({
    handed: handed - began, start: start - began, stop: stop - began, frequency, loudness: gain.peak }));
}
"""
PLAYED = f"""
import {{ player }} from "onedecoder/views/player.js";
import {{ LocalEngine }} from "onedecoder/engine/local.js";
{FAKE_AUDIO}
let ended = 0;
const sound = player(() => ended++);
const engine = new LocalEngine(data.page), {{ notes }} = await engine.notes(data.ids);
result = {{ notes, whole: played(notes, 0), rest: played(notes, data.from), ended }};
"""


@pytest.fixture(scope="module")
def piece():
    """Events and notes of a piece with chords, repeated keys, notes of a tick and of seconds, of all loudnesses."""
    rng = np.random.default_rng(0)
    onset = rng.integers(0, 120, 150) * 10
    length = rng.choice([1, 3, 12, 50, 300], 150)
    score = one_piano(onset, onset + length, rng.integers(21, 109, 150), rng.integers(1, 128, 150))
    ids = encode(score)
    return ids, decode(ids).tracks[0].notes


@pytest.fixture(scope="module")
def heard(composer, piece, javascript):
    ids, _ = piece
    start = 6.005  # seconds; here some notes sound and some have ended
    return start, javascript(PLAYED, {"page": json.loads(exported(composer)), "ids": ids, "from": start})


def as_notes(strikes):
    """(onset, length, key) of each, in seconds after the first moment, and how loud it was."""
    first = 0.08  # the moment before a piece begins, in which the first notes are handed over
    return [
        (one["start"] - first, one["stop"] - RELEASE - one["start"], 69 + 12 * math.log2(one["frequency"] / 440))
        for one in strikes
    ]


def test_onsets_lengths_and_keys_are_those_of_the_score(heard, piece):
    _, found = heard
    _, notes = piece
    expected = sorted((n.time / 100, max(SHORTEST, n.duration / 100), n.pitch) for n in notes)
    assert len(notes) > 30 and len({note.velocity for note in notes}) > 5
    played = sorted(as_notes(found["whole"]))
    assert len(played) == len(expected)
    for one, other in zip(played, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_the_louder_a_note_was_struck_the_louder_it_sounds(heard, piece):
    _, found = heard
    by_key = {(round(start, 4), round(key)): one["loudness"]
              for one, (start, _, key) in zip(found["whole"], as_notes(found["whole"]), strict=True)}  # fmt: skip
    pairs = sorted((note.velocity, by_key[round(note.time / 100, 4), note.pitch]) for note in piece[1])
    loudness = {}
    for velocity, loud in pairs:
        assert loudness.setdefault(velocity, loud) == loud
    assert [*loudness.values()] == sorted({*loudness.values()}) and min(loudness.values()) > 0


def test_notes_are_handed_over_shortly_before_they_are_due(heard):
    for one in heard[1]["whole"]:
        assert one["handed"] <= one["start"] <= one["handed"] + 0.6


def test_from_the_middle_only_what_still_sounds_is_played(heard, piece):
    start, found = heard
    left = [n for n in piece[1] if (n.time + n.duration) / 100 > start]
    assert 0 < len(left) < len(piece[1]) and any(n.time / 100 < start for n in left)
    expected = sorted(
        (max(0, n.time / 100 - start), max(SHORTEST, (n.time + n.duration) / 100 - max(start, n.time / 100)), n.pitch)
        for n in left
    )
    for one, other in zip(sorted(as_notes(found["rest"])), expected, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
    assert found["ended"] == 2  # both came to an end by themselves
