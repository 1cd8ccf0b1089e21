"""What is written beside what was given: one performance, and the tracks of a file for a sequencer."""

import numpy as np
import pytest
from matplotlib.image import imread
from symusic import ControlChange, Note, Score, Tempo, TextMeta, TimeSignature, Track

from shared.errors import UserError
from tasks.midi.codec import columns, decode, encode, merged, one_piano, performance
from tasks.midi.vocabulary import MusicVocabulary
from tasks.music.arguments import MusicArguments, MusicRequestArguments
from tasks.music.pieces import piece
from tasks.music.task import Music
from tests.midi_files import opened


def played(*rows):
    onset, offset, pitch, velocity = np.array(rows).T
    return one_piano(onset, offset, pitch, velocity)


OUTPUT = encode(played((40, 70, 64, 63), (100, 160, 67, 63)))


@pytest.fixture
def song(tmp_path):
    """At 60 and then 90 beats a minute, 240 ticks to the beat, in 3/4: melody, left hand, drums, pedal."""
    score = Score(240)
    score.tempos.extend([Tempo(0, 60), Tempo(480, 90)])
    score.time_signatures.append(TimeSignature(0, 3, 4))
    for name, program, drum in (("MELODY", 73, False), ("Left hand", 0, False), ("Kit", 0, True)):
        score.tracks.append(Track(name, program=program, is_drum=drum))
    score.tracks[0].notes.extend([Note(360, 120, 72, 101), Note(600, 240, 74, 102)])
    score.tracks[1].notes.extend([Note(120, 480, 48, 50), Note(720, 120, 50, 51)])
    score.tracks[1].controls.extend([ControlChange(0, 64, 127), ControlChange(900, 64, 0)])
    score.tracks[2].notes.extend([Note(0, 30, 36, 99), Note(700, 30, 36, 99)])
    path = tmp_path / "song.mid"
    score.dump_midi(path)
    return path


def asked_of(song, *jobs, output=OUTPUT, **asked):
    """The row, the piece, and its file as it is read back."""
    task = Music(MusicArguments(job=list(jobs)), MusicVocabulary(), MusicRequestArguments(**asked))
    row = task.request(str(song) if song else "")
    made = piece(row, output, task.request_arguments, task.vocabulary)
    return row, made, opened(made.file)


def test_drums_play_on_through_a_hole_that_is_filled(song):
    before = Score(song)
    _, _, file = asked_of(song, "infill", hole_from=2.0, hole_to=2.9)
    assert names(file) == ["MELODY", "Left hand", "Kit", "Written"]
    assert notes(file.tracks[2]) == notes(before.tracks[2])
    assert len(file.tracks[0].notes) < len(before.tracks[0].notes)


def notes(track):
    return [(note.time, note.duration, note.pitch, note.velocity) for note in track.notes]


def names(score):
    return [track.name for track in score.tracks]


def test_a_continuation_keeps_the_file_and_comes_on_a_track_of_its_own(song):
    row, made, file = asked_of(song, "continue")
    before = Score(song)
    assert names(file) == ["MELODY", "Left hand", "Kit", "Written"]
    for old, new in zip(before.tracks, file.tracks, strict=False):
        assert (notes(old), old.program, old.is_drum) == (notes(new), new.program, new.is_drum)
    assert file.ticks_per_quarter == 240
    assert [(t.time, round(t.qpm)) for t in file.tempos] == [(0, 60), (480, 90)]
    assert [(t.numerator, t.denominator) for t in file.time_signatures] == [(3, 4)]
    # The pedal is let go at tick 900, after 2.67 s. It goes on 0.4 and 1 s later, at 360 ticks a second.
    assert notes(file.tracks[3]) == [(1045, 108, 64, 63), (1261, 216, 67, 63)]
    assert columns(made.sounding).tolist() == columns(decode([*row["given"], *OUTPUT])).tolist()
    assert made.given == performance(song)


def test_a_file_that_is_read_whole_stays_whole(tmp_path):
    """Also what a decoder does not see of it: drums after the last note, and how long that is to the tick."""
    score = Score(1000)
    score.tempos.append(Tempo(0, 60))
    score.tracks.extend([Track("Piano"), Track("Kit", is_drum=True)])
    score.tracks[0].notes.append(Note(0, 7203, 60, 63))
    score.tracks[1].notes.extend([Note(500 * beat, 30, 36, 99) for beat in range(40)])
    path = tmp_path / "whole.mid"
    score.dump_midi(path)
    _, _, file = asked_of(path, "continue")
    assert [notes(track) for track in file.tracks[:2]] == [notes(track) for track in score.tracks]
    assert notes(file.tracks[2])[0][0] == 7200 + 400


def test_what_sounds_where_a_primer_is_cut_ends_there(song):
    _, made, file = asked_of(song, "continue", prime_seconds=1.25)  # to tick 420 of the file
    assert notes(file.tracks[0]) == [(360, 60, 72, 101)]
    assert notes(file.tracks[1]) == [(120, 300, 48, 50)]
    assert [(c.time, c.value) for c in file.tracks[1].controls] == [(0, 127), (420, 0)]
    assert notes(file.tracks[3])[0][:1] == (420 + 60 + 54,)  # 0.4 s: 0.25 s at 60 beats a minute, the rest at 90
    assert columns(made.given)[1].max() == 125


def test_a_continuation_alone_has_the_tempo_of_where_it_begins(song):
    _, made, file = asked_of(song, "continue", write_prime=False)
    assert names(file) == ["Written"]
    assert [round(tempo.qpm) for tempo in file.tempos] == [90]
    assert made.given is None
    assert performance_of(file) == decode(OUTPUT[1:])


def performance_of(score):
    """As `codec.performance` reads the file of a score."""
    return merged(score)


def test_an_accompaniment_comes_with_its_melody_and_does_not_double_it(song):
    output = encode(played((0, 100, 48, 63), (2, 90, 72, 63), (150, 200, 50, 63)))
    _, made, file = asked_of(song, "accompany", output=output)
    assert names(file) == ["MELODY", "Accompaniment"]
    before = Score(song).tracks[0]  # as it stands in the file, in its own ticks
    assert (notes(file.tracks[0]), file.tracks[0].program) == (notes(before), 73)
    assert [note[2] for note in notes(file.tracks[1])] == [48, 50]
    assert notes(file.tracks[1])[0][0] == 360
    assert sorted(columns(made.sounding)[2]) == [48, 50, 72, 74]
    _, alone, file = asked_of(song, "accompany", output=output, write_prime=False)
    assert names(file) == ["Written"]
    assert alone.sounding == decode(output)


def test_a_hole_is_filled_among_the_tracks_of_the_file(song):
    row, made, file = asked_of(song, "infill", hole_from=1.6, hole_to=2.6)  # of the file, whose first note is at 0.5 s
    assert row["hole"] == [110, 210]
    assert names(file) == ["MELODY", "Left hand", "Kit", "Written"]
    assert notes(file.tracks[0]) == [(360, 120, 72, 101)]  # the second began in the hole
    assert notes(file.tracks[1]) == notes(Score(song).tracks[1])
    assert len(file.tracks[1].controls) == 2
    assert made.given.tracks[0].notes[0].pitch == 48


def test_a_hole_may_begin_in_the_silence_before_a_file_but_not_end_there(song):
    row, _, _ = asked_of(song, "infill", hole_from=0.2, hole_to=1)
    assert row["hole"] == [0, 50]
    with pytest.raises(UserError, match=r"--to 0.4: .*song.mid begins with a silence of 0.5 s"):
        asked_of(song, "infill", hole_from=0.2, hole_to=0.4)


@pytest.mark.parametrize("name", ["", "Flute"])
def test_a_melody_stays_as_it_stands_in_its_file_whatever_it_is_called(song, name):
    """Also a skyline: of a track that loses other notes the pedal goes, and drums are no melody."""
    score = Score(song)
    score.tracks[0].name = name
    score.tracks[0].controls.append(ControlChange(0, 7, 90))
    score.dump_midi(song)
    _, made, file = asked_of(song, "accompany")
    assert names(file) == [name, "Left hand", "Accompaniment"]
    assert [notes(track) for track in file.tracks[:2]] == [
        [(360, 120, 72, 101), (600, 240, 74, 102)],
        [(120, 480, 48, 50)],
    ]
    assert file.tracks[0].program == 73
    assert [[(c.number, c.value) for c in track.controls] for track in file.tracks[:2]] == [[(7, 90)], []]
    assert [round(tempo.qpm) for tempo in file.tempos] == [60, 90]
    assert columns(made.given)[2].tolist() == [48, 72, 74]


@pytest.mark.parametrize("tempo", [None, 4, 97, 300])
@pytest.mark.parametrize(("resolution", "step"), [(384, 96), (96, 24), (480, 121)])
def test_no_note_of_a_melody_is_lost_to_rounding(tmp_path, resolution, step, tempo):
    """Sixteenths at 120 beats a minute are 12.5 ticks of a performance apart."""
    score = Score(resolution)
    score.tracks.append(Track("Melody"))
    score.tracks[0].notes.extend([Note(step * number, step, 60 + number % 7, 80) for number in range(200)])
    score.dump_midi(tmp_path / "melody.mid")
    _, _, file = asked_of(tmp_path / "melody.mid", "accompany", tempo=tempo)
    assert names(file) == ["Melody", "Accompaniment"]
    if tempo is None:
        assert notes(file.tracks[0]) == notes(score.tracks[0])
    assert [note.pitch for note in file.tracks[0].notes] == [note.pitch for note in score.tracks[0].notes]
    assert file.to("second").tracks[0].end() == pytest.approx(score.to("second").tracks[0].end(), abs=60 / 4 / 96)


@pytest.mark.parametrize(("resolution", "step"), [(384, 96), (480, 121)])
def test_the_notes_of_a_hole_are_those_that_the_line_does_not_show(tmp_path, resolution, step):
    score = Score(resolution)
    score.tracks.append(Track("Piano"))
    score.tracks[0].notes.extend([Note(step * number, step, 60 + number % 7, 80) for number in range(200)])
    score.dump_midi(tmp_path / "piece.mid")
    for start in (1.13, 2.0, 5.63):
        row, _, file = asked_of(tmp_path / "piece.mid", "infill", hole_from=start, hole_to=start + 5)
        onset = columns(decode(row["given"]))[0]
        assert len(file.tracks[0].notes) == ((onset < row["hole"][0]) | (onset >= row["hole"][1])).sum()


def test_words_behind_the_part_that_is_read_go(song):
    score = Score(song)
    score.tracks[1].lyrics.append(TextMeta(9000, "la"))
    score.dump_midi(song)
    _, made, _ = asked_of(song, "accompany", prime_seconds=1)
    assert made.file.length < 5


@pytest.mark.parametrize(("intro", "seconds", "length"), [(True, 1.3, 72), (False, 0.8, 120)])
def test_of_a_melody_that_is_read_in_part_that_part_stays(song, intro, seconds, length):
    """From the file's first note, at 0.5 s, or from the melody's, at 1.5 s."""
    _, _, file = asked_of(song, "accompany", prime_seconds=seconds, intro=intro)
    assert names(file) == ["MELODY", "Accompaniment"]
    assert notes(file.tracks[0]) == [(360, length, 72, 101)]


def test_a_tempo_is_asked_for_and_else_midis(song):
    _, _, file = asked_of(None, "compose")
    assert names(file) == ["Piano"]
    assert [round(tempo.qpm) for tempo in file.tempos] == [120]
    assert file.ticks_per_quarter == 500
    assert notes(file.tracks[0]) == [(400, 300, 64, 63), (1000, 600, 67, 63)]
    _, _, slow = asked_of(None, "compose", tempo=60)
    assert notes(slow.tracks[0]) == [(200, 150, 64, 63), (500, 300, 67, 63)]
    assert performance_of(slow) == performance_of(file)
    _, _, other = asked_of(song, "continue", tempo=100)
    _, _, same = asked_of(song, "continue")
    assert [round(tempo.qpm) for tempo in other.tempos] == [100]
    assert names(other) == names(same) == ["MELODY", "Left hand", "Kit", "Written"]
    for one, two in zip(same.to("second").tracks, other.to("second").tracks, strict=True):
        assert (one.program, one.is_drum) == (two.program, two.is_drum)
        for first, second in zip(one.notes, two.notes, strict=True):
            assert (second.time, second.end) == pytest.approx((first.time, first.end), abs=2 * 60 / 100 / 240)


def test_pieces_of_a_split_have_no_file_of_their_own(tmp_path):
    primer = encode(played((0, 50, 60, 64), (20, 90, 62, 64)))
    task = Music(MusicArguments(job=["continue"]), MusicVocabulary())
    task.write_outputs([OUTPUT], [{"job": "continue", "given": primer}], tmp_path / "out")
    file = Score(tmp_path / "out" / "piece-1.mid")
    assert names(file) == ["Primer", "Written"]
    assert notes(file.tracks[1])[0][0] == 1300
    colours = imread(tmp_path / "out" / "piece-1.png")
    assert colours.shape[0] > 500


def test_pieces_of_another_scoring_go(tmp_path):
    task = Music(MusicArguments(job=["compose"]), MusicVocabulary())
    row = {"job": "compose", "given": []}
    task.write_outputs([OUTPUT] * 3, [row] * 3, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert task.write_outputs([OUTPUT], [row], tmp_path) == [tmp_path / "piece-1.mid"]
    assert {path.stem for path in tmp_path.iterdir()} == {"piece-1", "notes"}


@pytest.mark.parametrize("tempo", [0, 3, 1001])
def test_tempi_that_cannot_be_meant(tempo):
    with pytest.raises(ValueError, match="--tempo"):
        MusicRequestArguments(tempo=tempo)
