from itertools import chain

import miditok
import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic import ControlChange, Note, Score, Tempo, Track

from shared.errors import UserError
from tasks.midi.codec import TICKS_PER_SECOND, TOKENIZER, decode, encode, performance, save, shifts_of, waits
from tasks.midi.vocabulary import MusicVocabulary

TICKS = 10  # of the files written here, in 10 ms: 500 to the beat, 120 beats a minute


def seconds(events):
    """When each event comes, from the start."""
    return MusicVocabulary().times(events) / TICKS_PER_SECOND


def names(events):
    return [TOKENIZER[event] for event in events]


def ids(*tokens):
    return [TOKENIZER[token] for token in tokens]


def score(*tracks, tempos=((0, 120),)):
    """A MIDI score. A track is (notes (onset, duration, pitch, velocity), pedal (time, value)), in 10 ms."""
    made = Score(500)
    made.tempos.extend([Tempo(TICKS * tick, tempo) for tick, tempo in tempos])
    for notes, pedal in tracks:
        track = Track("hand")
        track.notes.extend([Note(TICKS * on, TICKS * length, *rest) for on, length, *rest in notes])
        track.controls.extend([ControlChange(TICKS * tick, 64, value) for tick, value in pedal])
        made.tracks.append(track)
    return made


def rows(performed):
    return [(note.start, note.end, note.pitch, note.velocity) for note in performed.tracks[0].notes]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("midi") / "piece.mid"


@pytest.fixture(scope="module")
def perform(file):
    def read(*tracks, **more):
        score(*tracks, **more).dump_midi(file)
        return performance(file)

    return read


note = st.tuples(st.integers(0, 400), st.integers(1, 150), st.integers(58, 66), st.integers(1, 127))
change = st.tuples(st.integers(0, 600), st.sampled_from([0, 63, 64, 127]))
pedal = st.lists(change, max_size=8, unique_by=lambda change: change[0]).map(sorted)
tracks = st.lists(st.tuples(st.lists(note, min_size=1, max_size=25), pedal), min_size=1, max_size=3)

any_id = st.integers(-2, len(TOKENIZER) + 2)
pitch, bin_ = st.integers(60, 64), st.integers(0, 31)
on = st.builds(lambda pitch, bin_: ids(f"NoteOn_{pitch}", f"Velocity_{4 * bin_ + 3}"), pitch, bin_)
off = st.builds(lambda pitch: ids(f"NoteOff_{pitch}"), pitch)
# Ids alone seldom spell a note, so some that do are mixed in.
any_ids = st.lists(st.one_of(on, off, st.lists(any_id, max_size=3)), max_size=60).map(lambda parts: [*chain(*parts)])


def test_vocabulary():
    kinds = [token.split("_")[0] for token in TOKENIZER.vocab]
    sizes = {kind: kinds.count(kind) for kind in ("NoteOn", "NoteOff", "Velocity", "TimeShift")}
    assert sizes == {"NoteOn": 128, "NoteOff": 128, "Velocity": 32, "TimeShift": 100}
    jobs = ("compose", "continue", "accompany", "infill", "gap")
    specials = ["PAD", "<|endoftext|>", *(f"<|{job}|>" for job in jobs)]
    assert names(range(7)) == [f"{token}_None" for token in specials]
    assert len(TOKENIZER) == 7 + 388
    assert TOKENIZER.pad_token_id == 0


def test_plain_miditok_loads_what_is_saved_and_plays_it_at_the_right_speed(tmp_path, perform):
    TOKENIZER.save(tmp_path)
    loaded = miditok.MIDILike.from_pretrained(tmp_path)
    assert loaded.vocab == TOKENIZER.vocab
    piece = perform(([(0, 50, 60, 70), (150, 100, 64, 70)], []))
    played = loaded.decode([encode(piece)]).to("second").tracks[0].notes
    assert [time for n in played for time in (n.start, n.end)] == pytest.approx([0, 0.5, 1.5, 2.5])


def test_golden_row(perform):
    # A chord whose upper note is held by the pedal, a rest of more than a second, the upper note again.
    piece = perform(([(100, 30, 64, 50), (100, 80, 60, 49), (350, 5, 64, 127)], [(110, 127), (140, 0)]))
    assert names(encode(piece)) == [
        "NoteOn_60", "Velocity_51",
        "NoteOn_64", "Velocity_51",
        "TimeShift_0.40.50",
        "NoteOff_64",
        "TimeShift_0.40.50",
        "NoteOff_60",
        "TimeShift_2.0.50", "TimeShift_1.20.50",
        "NoteOn_64", "Velocity_127",
        "TimeShift_0.5.50",
        "NoteOff_64",
    ]  # fmt: skip


@given(tracks)
@settings(max_examples=60, deadline=None)
def test_events_hold_a_performance_without_loss(file, perform, tracks):
    piece = perform(*tracks)
    events = encode(piece)
    assert decode(events) == piece
    assert encode(decode(events)) == events
    assert TOKENIZER.encode(piece)[0].ids == events
    save(piece, file)
    assert performance(file) == piece


@given(tracks)
@settings(max_examples=60, deadline=None)
def test_a_note_sounds_until_key_and_pedal_are_let_go_or_it_is_struck_again(file, perform, tracks):
    piece = perform(*tracks)
    read = Score(file)
    heard = []
    for part in read.tracks:
        last = max([n.end for n in part.notes] + [c.time for c in part.controls])
        for n in part.notes:
            end = n.end
            while end < last and next((c.value >= 64 for c in reversed(part.controls) if c.time <= end), False):
                end += TICKS
            heard.append((n.time // TICKS, end // TICKS, n.pitch, (n.velocity - 1) // 4 * 4 + 3))
    start = min(onset for onset, *_ in heard)
    longest = {}
    for onset, end, pitch, _ in sorted(heard, key=lambda row: row[1]):
        longest[onset - start, pitch] = end - start
    expected = []
    for (onset, pitch), end in sorted(longest.items()):
        again = min((o for o, p in longest if p == pitch and o > onset), default=end)
        expected.append((onset, min(end, again), pitch))
    assert [row[:3] for row in rows(piece)] == expected
    assert {velocity for *_, velocity in rows(piece)} <= {velocity for *_, velocity in heard}


def test_times_follow_the_tempo_map(file, perform):
    notes = [(tick, 7, 40 + tick % 50, 80) for tick in range(0, 3000, 37)]
    piece = perform((notes, []), tempos=[(0, 120), (500, 47.3), (1111, 201), (2000, 90)])
    heard = pretty_midi.PrettyMIDI(str(file)).instruments[0].notes
    for played, truth in zip(piece.to("second").tracks[0].notes, heard, strict=True):
        assert (played.start, played.end) == pytest.approx((truth.start, truth.end), abs=0.0051)


def test_drums_are_dropped_and_pitched_tracks_merged(file):
    made = score(([(0, 10, 60, 60)], []), ([(5, 10, 64, 60)], []), ([(0, 10, 36, 60)], []))
    made.tracks[2].is_drum = True
    made.tracks[1].program = 40
    made.dump_midi(file)
    assert rows(performance(file)) == [(0, 10, 60, 59), (5, 15, 64, 59)]


@given(any_ids)
@settings(max_examples=100, deadline=None)
def test_any_ids_give_a_file_that_plays(file, events):
    piece = decode(events)
    save(piece, file)
    assert pretty_midi.PrettyMIDI(str(file)).get_end_time() == pytest.approx(piece.end() / 100)
    assert Score(file).note_num() == piece.note_num()
    again = encode(piece)
    assert decode(again) == piece
    assert encode(decode(again)) == again


def test_what_makes_no_sense_is_passed_over():
    events = ids(
        "Velocity_63", "NoteOff_60", "NoteOn_70", "TimeShift_0.10.50", "Velocity_63",
        "NoteOn_60", "Velocity_63", "<|endoftext|>_None", "TimeShift_0.10.50", "NoteOff_60", "NoteOff_60", "NoteOn_61",
    )  # fmt: skip
    assert rows(decode(events)) == [(10, 20, 60, 63)]


def test_a_note_never_released_ends_with_the_events_or_after_ten_seconds():
    struck = ids("NoteOn_60", "Velocity_63")
    assert rows(decode(struck)) == [(0, 1, 60, 63)]
    assert rows(decode(struck + ids("TimeShift_2.0.50") * 3)) == [(0, 300, 60, 63)]
    assert rows(decode(struck + ids("TimeShift_2.0.50") * 30)) == [(0, 1000, 60, 63)]
    released = struck + ids("TimeShift_2.0.50") * 15 + ids("NoteOff_60")
    assert rows(decode(released)) == [(0, 1500, 60, 63)]


def test_no_note_is_longer_than_twenty_seconds(perform):
    piece = perform(([(0, 10, 60, 63), (3000, 10, 62, 63)], [(5, 127)]))
    assert rows(piece) == [(0, 2000, 60, 63), (3000, 3010, 62, 63)]
    assert decode(encode(piece)) == piece


def test_a_key_struck_again_ends_its_note():
    strike = ids("NoteOn_60", "Velocity_63", "TimeShift_0.10.50")
    assert rows(decode(strike * 2 + ids("NoteOff_60"))) == [(0, 10, 60, 63), (10, 20, 60, 63)]


@pytest.mark.parametrize(
    ("contents", "reason"),
    [(b"", "not a sound MIDI file"), (b"no music " * 9, "not a sound MIDI file"), (None, "No such file")],
)
def test_a_bad_file_is_named_in_one_line(tmp_path, contents, reason):
    path = tmp_path / "bad.mid"
    if contents is not None:
        path.write_bytes(contents)
    with pytest.raises(UserError) as caught:
        performance(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_drums_only_and_no_notes_are_errors(file):
    made = score(([(0, 10, 36, 60)], []))
    made.tracks[0].is_drum = True
    for empty in (made, decode([])):
        save(empty, file)
        with pytest.raises(UserError, match="no pitched note"):
            performance(file)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_file_is_read_or_a_user_error(file, data):
    score(([(0, 50, 60, 60), (20, 50, 64, 60)], [(10, 127), (60, 0)])).dump_midi(file)
    contents = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(contents[: data.draw(st.integers(len(contents) // 2, len(contents)))])
    try:
        piece = performance(file)
    except UserError:
        return
    assert decode(encode(piece)) == piece


def test_seconds_of_events(perform):
    events = encode(perform(([(0, 50, 60, 60), (150, 50, 60, 60)], [])))
    assert seconds(events)[-1] == pytest.approx(2)
    assert len(seconds(events)) == len(events)


@given(st.integers(0, 3000))
def test_a_wait_is_whole_seconds_and_then_what_is_left(ticks):
    second, rest = TOKENIZER["TimeShift_2.0.50"], names(waits(ticks % TICKS_PER_SECOND, MusicVocabulary.shifts))
    assert waits(ticks, MusicVocabulary.shifts) == [second] * (ticks // TICKS_PER_SECOND) + ids(*rest)
    assert waits(ticks, MusicVocabulary.shifts) == shifts_of(np.array([ticks]))[0].tolist()
    assert MusicVocabulary.ticks[[*waits(ticks, MusicVocabulary.shifts), second]].sum() == ticks + TICKS_PER_SECOND
