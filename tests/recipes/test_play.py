"""Playing along as a command: ports in memory with mido's interface, and a clock that goes when it is waited for."""

import json
import sys

import mido
import pytest

from recipes import play
from shared.errors import UserError
from tasks.midi import ports
from tasks.midi.codec import performance
from tests.onedecoder.conftest import new_run

PHRASE = [(0.0, 0.3, 60), (0.1, 0.4, 64), (0.4, 0.8, 67)]  # onset, offset, pitch


@pytest.fixture(scope="module", params=["note_off", "with_note"])
def folder(request, tmp_path_factory):
    arguments = {"lengths": request.param}
    return str(new_run(tmp_path_factory.mktemp("run") / "music", "music", context=256, arguments=arguments))


class Studio:
    """A clock, and ports of mido's interface; `played` are (seconds, message), `sent` what came out."""

    def __init__(self):
        self.time, self.played, self.sent, self.closed, self.callback = 50.0, [], [], [], None
        self.stop = None  # when Ctrl+C is pressed

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds
        while self.callback and self.played and 50 + self.played[0][0] <= self.time:
            self.callback(self.played.pop(0)[1])
        if self.stop is not None and self.time >= 50 + self.stop:
            raise KeyboardInterrupt

    def open_input(self, name, callback):
        self.callback = callback
        return Port(self, name)

    def open_output(self, name):
        return Port(self, name)


class Port:
    def __init__(self, studio, name):
        self.studio, self.name = studio, name

    def send(self, message):
        self.studio.sent.append((self.studio.time - 50, self.name, message))

    def close(self):
        self.studio.closed.append(self.name)


@pytest.fixture
def studio(monkeypatch):
    studio = Studio()
    monkeypatch.setattr(ports.Seconds, "now", staticmethod(studio.now))
    monkeypatch.setattr(ports.Seconds, "sleep", staticmethod(studio.sleep))
    monkeypatch.setattr(mido, "get_input_names", lambda: ["Through 14:0", "Keystation 20:0"])
    monkeypatch.setattr(mido, "get_output_names", lambda: ["Through 14:0", "FLUID Synth 128:0"])
    monkeypatch.setattr(mido, "open_input", studio.open_input)
    monkeypatch.setattr(mido, "open_output", studio.open_output)
    return studio


def messages(phrase, start=0.0):
    """The messages of a phrase, each with its time in seconds."""
    found = [(start + at, mido.Message("note_on", note=pitch, velocity=70)) for at, _, pitch in phrase]
    found += [(start + at, mido.Message("note_on", note=pitch, velocity=0)) for _, at, pitch in phrase]
    return sorted(found, key=lambda each: each[0])


def midi_file(path, phrase):
    track, before = mido.MidiTrack(), 0
    for at, message in messages(phrase):
        track.append(message.copy(time=round(1000 * at) - before))
        before = round(1000 * at)
    mido.MidiFile(ticks_per_beat=500, tracks=[track]).save(path)
    return path


def sounding(sent):
    keys = set()
    for _, _, message in sent:
        (keys.add if message.type == "note_on" else keys.discard)(message.note)
    return keys


def test_a_phrase_at_a_port_is_answered_at_a_port_until_ctrl_c(studio, folder, tmp_path, capsys):
    studio.played, studio.stop = messages(PHRASE, 0.5), 4.0
    play.main([folder, "--input=keys", "--output=fluid", "--silence=0.5", f"--output_dir={tmp_path}"])
    assert studio.sent and {name for _, name, _ in studio.sent} == {"FLUID Synth 128:0"}
    assert studio.sent[0][0] == pytest.approx(0.5 + 0.8 + 0.5, abs=0.01) and not sounding(studio.sent)
    assert {*studio.closed} == {"Keystation 20:0", "FLUID Synth 128:0"}
    printed = capsys.readouterr().out
    assert "to continue" in printed and "answers: 1" in printed and "p99" in printed
    latencies = json.loads((tmp_path / "latencies.json").read_text(encoding="utf-8"))
    assert latencies["answers"] == 1
    for histogram in latencies["milliseconds"].values():
        assert sum(count for name, count in histogram.items() if name[0] in "≤>") == histogram["count"]
        assert histogram["p50"] <= histogram["p99"] <= histogram["most"]
    played, answered = mido.MidiFile(tmp_path / "session.mid").tracks[-2:]
    assert [message.note for message in played if message.type == "note_on" and message.velocity] == [60, 64, 67]
    struck = [message.note for _, _, message in studio.sent if message.type == "note_on"]
    assert [message.note for message in answered if message.type == "note_on" and message.velocity] == struck


@pytest.mark.parametrize("stop", [1.85, 1.95, 2.2])
@pytest.mark.parametrize("flags", [[], ["--load_in_8bit=true"], ["--compile=true"]])
def test_ctrl_c_in_an_answer_ends_its_notes(studio, folder, stop, flags, request):
    if "--compile=true" in flags:
        request.getfixturevalue("cpp_compiler")
    studio.played, studio.stop = messages(PHRASE, 0.5), stop
    play.main([folder, "--silence=0.5", "--do_sample=false", *flags])
    assert studio.sent and not sounding(studio.sent)


@pytest.mark.parametrize("job", ["compose", "continue", "accompany"])
def test_a_file_is_played_in_real_time(studio, folder, tmp_path, job):
    path = midi_file(tmp_path / "phrase.mid", PHRASE)
    play.main([folder, f"--file={path}", "--job", job, "--silence=0.5", f"--output_dir={tmp_path / 'out'}"])
    assert not studio.sent  # without --output it is silent, and needs no port
    length = performance(tmp_path / "out" / "session.mid").end() / 100
    assert 0.8 + 0.5 < length <= 0.8 + 0.5 + 0.8 + 1.01
    assert studio.time - 50 >= 1 + length - 0.02


def test_a_file_may_leave_notes_on(tmp_path):
    track = [mido.Message("note_on", note=60, velocity=70, time=5), mido.Message("note_on", note=64, time=50)]
    path = tmp_path / "open.mid"
    mido.MidiFile(ticks_per_beat=500, tracks=[mido.MidiTrack(track)]).save(path)
    source = ports.FileSource(path)
    assert not source.take(10) and not source.ended
    taken = [(round(at, 3), message.note) for at, message in source.take(99) if not message.is_meta]
    assert taken == [(11.0, 60), (11.05, 64), (11.05, 60), (11.05, 64)] and source.ended


@pytest.mark.parametrize(
    ("division", "channel", "told"), [(500, 9, "holds no pitched note"), (-6360, 0, r"that of film \(SMPTE\)")]
)
def test_files_that_cannot_be_answered_are_refused(tmp_path, division, channel, told):
    track = [mido.Message("note_on", note=38, velocity=70, time=5, channel=channel)]
    path = tmp_path / "odd.mid"
    mido.MidiFile(ticks_per_beat=division, tracks=[mido.MidiTrack(track)]).save(path)
    with pytest.raises(UserError, match=told):
        ports.FileSource(path)


def test_a_port_that_is_missing_is_one_line_with_those_there_are(studio, folder, monkeypatch):
    def refused(*flags):
        with pytest.raises(UserError) as caught:
            play.main([folder, *flags])
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def failing(error):
        def names():
            raise error

        return names

    assert refused("--input=Moog") == "no MIDI input port Moog; there are: Through 14:0, Keystation 20:0"
    assert refused("--output=Moog") == "no MIDI output port Moog; there are: Through 14:0, FLUID Synth 128:0"
    monkeypatch.setattr(mido, "open_output", lambda name: failing(OSError("busy"))())
    assert "--output Through 14:0: cannot be opened (busy)" in refused()
    monkeypatch.setattr(mido, "get_input_names", list)
    assert refused() == "no MIDI input port; there are none: connect one, or give --file FILE"
    monkeypatch.setattr(mido, "get_input_names", failing(OSError("ALSA\nno /dev/snd/seq")))
    assert "no MIDI system (ALSA)" in refused()
    monkeypatch.setattr(mido, "get_input_names", failing(ModuleNotFoundError("No module named 'rtmidi'")))
    assert "pip install -e .[live]" in refused()


def test_without_rtmidi_mido_says_so(monkeypatch):
    """As `ModuleNotFoundError`, where the first port is sought."""
    monkeypatch.setitem(sys.modules, "rtmidi", None)
    monkeypatch.delitem(sys.modules, "mido.backends.rtmidi", raising=False)
    monkeypatch.setattr(mido, "get_input_names", mido.Backend("mido.backends.rtmidi").get_input_names)
    with pytest.raises(UserError, match=r"pip install -e \.\[live\]"):
        ports.PortSource(None)


def test_what_cannot_be_meant_is_one_line(studio, folder, write, tmp_path):
    empty = tmp_path / "empty.mid"
    mido.MidiFile(tracks=[mido.MidiTrack()]).save(empty)
    chorales = str(new_run(tmp_path / "chorales", "chorales"))
    on_change = {"job": ["compose"], "velocity": "on_change"}
    kept = tmp_path / "kept"
    kept.mkdir()
    midi_file(kept / "session.mid", PHRASE)
    sparse = str(new_run(tmp_path / "sparse", "music", arguments=on_change))
    for arguments, message in (
        ([folder, "--job=infill"], "has learned to compose and continue and accompany: give --job continue"),
        ([folder, "--silence=0"], "give 0.1 to 9"),
        ([folder, "--num_beams=4"], "--num_beams does nothing here"),
        ([folder, "--file=x.mid", "--input=a"], "exclude each other"),
        ([folder, f"--file={tmp_path / 'none.mid'}"], "cannot be read"),
        ([folder, "--file", write("text.mid", "no MIDI at all")], "not a sound MIDI file"),
        ([folder, f"--file={empty}"], "holds no pitched note"),
        ([chorales], "is a chorales decoder"),
        ([folder, f"--output_dir={kept}"], "session.mid is there already; give another folder"),
        ([sparse], "was trained with --velocity on_change: play along with a run without it"),
        ([str(tmp_path)], "not a finished run"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            play.main(arguments)
        assert "\n" not in str(caught.value)
