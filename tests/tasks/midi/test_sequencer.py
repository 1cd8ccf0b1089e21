import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import Note, Score, Tempo, Track

from tasks.midi.codec import columns, later, one_piano, performance
from tasks.midi.sequencer import arranged, pedalled
from tasks.midi.source import MidiSource

note = st.tuples(st.integers(0, 800), st.integers(1, 300), st.integers(40, 80), st.integers(1, 127))
notes = st.lists(note, min_size=1, max_size=40)


def piece(rows, grid):
    onset, duration, pitch, velocity = np.array(rows).T
    return one_piano(onset, (onset + duration) // grid * grid + grid, pitch, velocity)


def source_of(path, resolution, tempo):
    """A file of one note, whose time what is written is in."""
    score = Score(resolution)
    score.tempos.append(Tempo(0, tempo))
    track = Track("hand")
    track.notes.append(Note(0, resolution, 60, 64))
    score.tracks.append(track)
    score.dump_midi(path)
    return MidiSource(path)


@given(notes, st.sampled_from([1, 20, 50]), st.sampled_from([None, (24, 60), (24, 120), (96, 60), (480, 77)]))
@settings(max_examples=120, deadline=None)
def test_a_pedal_that_is_written_sounds_as_the_notes_did(tmp_path_factory, rows, grid, time):
    played = piece(rows, grid)
    folder = tmp_path_factory.getbasetemp()
    path, plain = folder / "pedal.mid", folder / "plain.mid"
    source = source_of(folder / "time.mid", *time) if time else None
    arranged({"Written": played}, source, pedal=True).save(path)
    arranged({"Written": played}, source).save(plain)
    assert performance(path) == performance(plain)
    if source is None:
        assert performance(plain) == later(played, -int(columns(played)[0].min()))
    held, changes = pedalled(columns(played))
    assert (held[1] <= columns(played)[1]).all()
    assert [value for _, value in changes] == [127, 0] * (len(changes) // 2)


def test_an_arpeggio_is_held_by_the_pedal_and_a_chord_by_keys():
    arpeggio = one_piano(*np.array([[0, 20, 40], [200, 200, 200], [48, 52, 55], [64] * 3]))
    held, changes = pedalled(columns(arpeggio))
    assert changes == [(1, 127), (200, 0)]
    assert held[1].tolist() == [31, 50, 70]
    chord = one_piano(*np.array([[0] * 3, [200] * 3, [48, 52, 55], [64] * 3]))
    assert pedalled(columns(chord))[1] == []


@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(20, 400)), max_size=5), st.integers(24, 960))
@settings(max_examples=40, deadline=None)
def test_times_follow_the_files_tempo_both_ways(tmp_path_factory, tempi, resolution):
    score = Score(resolution)
    score.tempos.append(Tempo(0, 77))
    score.tempos.extend([Tempo(at, tempo) for at, tempo in sorted(dict(tempi).items())])
    track = Track("hand")
    track.notes.extend([Note(resolution * beat, resolution, 60, 64) for beat in range(1, 9)])
    score.tracks.append(track)
    path = tmp_path_factory.getbasetemp() / "tempi.mid"
    score.dump_midi(path)
    clock = MidiSource(path).clock
    starts = columns(performance(path))[0]
    expected = clock.time(np.arange(1, 9) * resolution) - clock.silence
    assert np.abs(starts - expected).max() <= 0.6  # they are whole hundredths
    again = clock.time(clock.ticks(starts)) - clock.silence
    assert np.abs(again - starts).max() <= 60 / 20 / resolution * 100  # half a tick of the file, at its slowest
