"""A file that was given stays as it stands, beside what is written."""

import mido
import numpy as np
import pytest

from tasks.midi.codec import columns, one_piano, performance
from tasks.midi.sequencer import arranged
from tasks.midi.source import MidiSource, events
from tests.midi_files import opened

PIECE = one_piano(*np.array([[0, 50], [40, 90], [60, 62], [63, 63]]))
WRITTEN = {"Written": PIECE}


def played(channel, *rows):
    """Notes (tick, length, key) of a channel as messages with the time since the one before."""
    moments = [(time, "note_on", key) for time, _, key in rows] + [
        (time + long, "note_off", key) for time, long, key in rows
    ]
    found, before = [], 0
    for time, kind, key in sorted(moments):
        found.append(mido.Message(kind, channel=channel, note=key, velocity=64, time=time - before))
        before = time
    return found


def saved(path, *tracks, resolution=1000):
    file = mido.MidiFile(ticks_per_beat=resolution, charset="latin1")
    file.tracks.extend(map(mido.MidiTrack, tracks))
    file.save(path)
    return path


def programs(file):
    """The programs in force where notes of a channel and a key begin, for a synthesizer that reads all tracks."""
    moments = [(time, number, message) for number, track in enumerate(file.tracks) for time, message in events(track)]
    force, found = {}, {}
    for _, _, message in sorted(moments, key=lambda moment: moment[:2]):
        if message.type == "program_change":
            force[message.channel] = message.program
        elif message.type == "note_on" and message.velocity:
            found.setdefault((message.channel, message.note), []).append(force.get(message.channel, 0))
    return found


def test_instruments_stay_those_of_the_file(tmp_path):
    """Tracks that change their programs, and more of them than are easily told apart."""
    channels = [channel for channel in range(14) if channel != 9]
    strings = [
        [
            mido.Message("program_change", channel=channel, program=40 + channel),
            *played(channel, (0, 400, 40 + channel), (500, 400, 40 + channel)),
            mido.Message("program_change", channel=channel, program=45),
            *played(channel, (500, 400, 40 + channel)),
        ]
        for channel in channels
    ]
    path = saved(tmp_path / "strings.mid", *strings)
    source = MidiSource(path)
    file = arranged(WRITTEN, source, source.tracks)
    found, before = programs(file), programs(mido.MidiFile(path))
    assert {key: found[key] for key in before} == before and before[0, 40] == [40, 40, 45]
    assert {channel for channel, key in found if (channel, key) not in before} == {14}
    assert found[14, 60] == [0]


def test_where_no_channel_is_free_what_is_written_has_a_port_of_its_own(tmp_path):
    source = MidiSource(saved(tmp_path / "full.mid", *(played(channel, (0, 100, 60)) for channel in range(16))))
    *_, written = arranged(WRITTEN, source, source.tracks).tracks
    assert [message.port for message in written if message.type == "midi_port"] == [1]
    *_, written = arranged(WRITTEN).tracks
    assert "midi_port" not in {message.type for message in written}


def test_texts_and_messages_stay(tmp_path):
    """Names in any alphabet of eight bits, lyrics, markers, aftertouch, bends, exclusive messages and unknown ones."""
    track = [
        mido.MetaMessage("track_name", name="Fl\xf6te"),
        mido.MetaMessage("copyright", text="\xa9 me"),
        mido.UnknownMetaMessage(0x60, data=(1, 2)),
        mido.Message("sysex", data=(1, 2, 3)),
        mido.Message("aftertouch", value=9),
        mido.Message("pitchwheel", pitch=70),
        mido.MetaMessage("lyrics", text="la"),
        *played(0, (0, 400, 60), (1000, 200, 64)),
        mido.MetaMessage("marker", text="end", time=50),
    ]
    path = saved(tmp_path / "texts.mid", track)
    source = MidiSource(path)
    arranged(WRITTEN, source, source.without(10_000, 20_000)).save(tmp_path / "new.mid")
    (before,), (after, _) = mido.MidiFile(path).tracks, mido.MidiFile(tmp_path / "new.mid").tracks
    assert [*after] == [*before]
    assert b"Fl\xf6te" in (tmp_path / "new.mid").read_bytes()


@pytest.mark.parametrize("start", range(995, 1006))
def test_a_hole_takes_the_notes_that_the_decoder_does_not_see(tmp_path, start):
    """Which notes are in it is decided in ticks of 10 ms, as the decoder sees them, however fine the file's are."""
    path = saved(tmp_path / "fine.mid", played(0, (0, 100, 40), (2 * start, 300, 60), (4000, 100, 80)))
    source = MidiSource(path)  # a tick is half a millisecond
    left = opened(arranged({}, source, source.without(100, 150))).tracks[0]
    seen = columns(performance(path))[:, 1]
    assert (60 in [note.pitch for note in left.notes]) == (not 100 <= seen[0] < 150)


def test_of_two_notes_on_a_key_the_one_in_the_hole_goes_with_its_own_end(tmp_path):
    both = [mido.Message("note_on", note=60, velocity=64, time=time) for time in (0, 500)]
    both += [mido.Message("note_off", note=60, time=time) for time in (300, 400)]
    source = MidiSource(saved(tmp_path / "both.mid", both, resolution=500))
    (left,) = opened(arranged({}, source, source.without(30, 60))).tracks
    assert [(note.time, note.end) for note in left.notes] == [(0, 800)]


def test_a_tempo_takes_the_place_of_the_files_and_all_sounds_when_it_did(tmp_path):
    slow, fast = (mido.MetaMessage("set_tempo", tempo=tempo) for tempo in (1_000_000, 400_000))
    notes = played(0, (0, 900, 60), (2000, 900, 62))
    path = saved(tmp_path / "two.mid", [fast.copy(time=1500)], [slow, *notes])
    source, plain = MidiSource(path, tempo=90), MidiSource(path)
    file = arranged(WRITTEN, source, source.tracks)
    file.save(tmp_path / "new.mid")
    arranged(WRITTEN, plain, plain.tracks).save(tmp_path / "plain.mid")
    assert performance(tmp_path / "new.mid") == performance(tmp_path / "plain.mid")
    assert [message.tempo for track in file.tracks for message in track if message.type == "set_tempo"] == [666667]
    arranged(WRITTEN, plain).save(tmp_path / "alone.mid")  # in the file's time, which two tracks tell
    assert performance(tmp_path / "alone.mid") == PIECE
    assert source.written.tempo(0) == source.written.tempo(10_000) == pytest.approx(90, abs=1e-3)
