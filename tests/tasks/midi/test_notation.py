import sys

import mido
import numpy as np
import pytest

from shared.errors import UserError
from shared.runs.cli import Parser
from tasks.chorales.grid import ChoraleVocabulary
from tasks.midi.codec import one_piano
from tasks.midi.notation import write_musicxml
from tasks.midi.recording import best_suffix
from tasks.midi.rendering import Piece, write_pieces
from tasks.midi.sequencer import arranged
from tasks.music.arguments import MusicRequestArguments

converter = pytest.importorskip("music21.converter")
QUARTER = 80  # ticks of 10 ms at 75 beats a minute


def read(path):
    """(onset, length, pitch) in quarters of each part's notes, by name."""
    score = converter.parse(path).stripTies()
    return {
        part.partName: [
            (float(note.getOffsetInHierarchy(score)), float(note.quarterLength), pitch.midi)
            for note in part.recurse().notes
            for pitch in note.pitches
        ]
        for part in score.parts
    }


def in_quarters(score):
    return [(note.time / QUARTER, note.duration / QUARTER, note.pitch) for note in score.tracks[0].notes]


def test_a_chorale_comes_back_from_its_score_note_by_note(tmp_path):
    rng = np.random.default_rng(0)
    lengths = rng.choice([1, 2, 4, 8], size=(4, 40))
    grid = np.stack([np.repeat(rng.permutation(40) + 40, voice)[:48] for voice in lengths], axis=1)
    voices = ChoraleVocabulary().voices(grid.ravel().tolist())
    piece = Piece(one_piano(*np.zeros((4, 0), dtype=int)), None, arranged(voices, tempo=75))
    write_pieces([piece], tmp_path / "pieces", musicxml=True)
    assert read(tmp_path / "pieces" / "piece-1.musicxml") == {name: in_quarters(v) for name, v in voices.items()}


def test_times_move_to_the_nearest_16th_or_triplet(tmp_path):
    played = one_piano(*np.array([[1, 78], [83, 108], [60, 67], [80, 80]]))
    write_pieces([Piece(played, None, arranged({"Piano": played}, tempo=75))], tmp_path / "pieces", musicxml=True)
    assert read(tmp_path / "pieces" / "piece-1.musicxml") == {"Piano": [(0, 1, 60), (1, pytest.approx(1 / 3), 67)]}


def test_all_parts_have_the_files_bars(tmp_path):
    """Also where its time signatures stand on a track with notes, and where one track has two channels."""
    file = mido.MidiFile(ticks_per_beat=480)
    first, second = file.add_track("Flute"), file.add_track("Hands")
    first.extend([mido.MetaMessage("time_signature", numerator=3), mido.Message("program_change", program=73)])
    for track, channel, key in ((first, 0, 72), (second, 1, 60), (second, 2, 48)):
        for kind, time in (("note_on", 0), ("note_off", 1440)):
            track.append(mido.Message(kind, channel=channel, note=key, velocity=64, time=time))
    write_musicxml(file, tmp_path / "waltz.musicxml")
    parts = converter.parse(tmp_path / "waltz.musicxml").parts
    bars = [[sign.ratioString for sign in part.recurse().getElementsByClass("TimeSignature")] for part in parts]
    assert bars == [["3/4"]] * 3


def test_no_score_is_written_unasked_or_left_beside_another_piece(tmp_path):
    played = one_piano(*np.array([[0], [80], [60], [80]]))
    pieces = [Piece(played, None, arranged({"Piano": played}))]
    write_pieces(pieces, tmp_path / "pieces")
    assert not list((tmp_path / "pieces").glob("*.musicxml"))
    (tmp_path / "pieces" / "piece-1.musicxml").write_text("of another piece")
    write_pieces(pieces, tmp_path / "pieces", keep=True)
    assert (tmp_path / "pieces" / "piece-1.musicxml").exists() and (tmp_path / "pieces" / "piece-2.mid").exists()
    write_pieces(pieces, tmp_path / "pieces")
    left = {path.name for path in (tmp_path / "pieces").iterdir()}
    assert left == {"piece-1.mid", "piece-1.png", f"piece-1{best_suffix()}"}


def test_without_music21_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(UserError, match=r"--musicxml: takes music21: pip install -e .\[music21\]") as caught:
        Parser(MusicRequestArguments).parse(["--musicxml", "true"])
    assert "\n" not in str(caught.value)
