"""The lines of the music task's three jobs, and what a user may ask for."""

import math

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UserError
from shared.runs.flags import parse
from tasks.midi.codec import TOKENIZER, decode, encode, one_piano, save
from tasks.midi.vocabulary import MusicVocabulary
from tasks.music import Music
from tasks.music.arguments import MusicArguments, MusicRequestArguments

COMPOSE, CONTINUE, ACCOMPANY = (TOKENIZER[f"<|{job}|>_None"] for job in ("compose", "continue", "accompany"))
END = TOKENIZER["<|endoftext|>_None"]


def music(*job, asked=None, **arguments):
    asked = MusicRequestArguments(**(asked or {}))
    return Music(MusicArguments(job=list(job), **arguments), MusicVocabulary(), asked)


def names(events):
    return [TOKENIZER[int(event)] for event in events]


def piece(*rows):
    return one_piano(*(np.array(column) for column in zip(*rows, strict=True)))


notes = st.lists(
    st.tuples(st.integers(0, 6000), st.integers(1, 300), st.integers(40, 90), st.integers(1, 127)), min_size=1
)


@st.composite
def rows(draw):
    played = [(onset, onset + length, pitch, velocity) for onset, length, pitch, velocity in draw(notes)]
    melody = [note for note in played if note[2] >= 70] or played[:1]
    return {"events": encode(piece(*played)), "melody": encode(piece(*melody))}


@given(rows(), st.integers(30, 80))
def test_composing_and_continuing_learn_every_event_once(row, max_length):
    whole = [*row["events"], END]
    for job in ("compose", "continue"):
        lines = music(job).sequences(row, max_length, training=True)
        assert all(len(line) <= max_length for line in lines)
        assert [event for line in lines for event in line.target] == whole
        assert lines[0].context == [COMPOSE if job == "compose" else CONTINUE]
    learned = len(lines[0].target)
    for line in lines[1:]:
        *primer, separator = line.context
        assert separator == CONTINUE
        assert len(primer) >= min(learned, max_length - 1 - max_length // 2) - 1
        assert primer == whole[learned - len(primer) : learned]  # what comes just before
        assert not names(primer[-1:])[0].startswith("NoteOn") and not names(primer[:1])[0].startswith("Velocity")
        learned += len(line.target)


def test_training_has_lines_of_every_job_and_scoring_of_the_first():
    row = {"events": encode(piece((0, 50, 60, 64))), "melody": encode(piece((0, 50, 60, 64)))}
    task = music("accompany", "compose", "continue")
    assert [line.context[-1] for line in task.sequences(row, 64, training=True)] == [ACCOMPANY, COMPOSE, CONTINUE]
    assert [line.context[-1] for line in task.sequences(row, 64, training=False)] == [ACCOMPANY]


@pytest.fixture
def file(tmp_path):
    save(piece(*((100 * second, 100 * second + 150, 60 + second, 64) for second in range(20))), tmp_path / "given.mid")
    return str(tmp_path / "given.mid")


def test_a_file_is_continued_by_what_has_learned_it_and_else_composed_on(file):
    for task, expected in (
        (music("compose", "continue"), "continue"),
        (music("compose"), "compose"),
        (music("accompany", "compose"), "accompany"),
        (music("accompany", "continue", asked={"job": "accompany"}), "accompany"),
    ):
        assert task.request(file)["job"] == expected
    events = music("continue").request(file)["given"]
    assert music("continue").prompt({"job": "continue", "given": events}, 200, 50).context == [*events, CONTINUE]
    assert music("compose").prompt({"job": "compose", "given": events}, 200, 50).context == [COMPOSE, *events]
    cut = music("continue").prompt({"job": "continue", "given": events}, 60, 20)
    assert cut.context == [*events[-39:], CONTINUE] and cut.cut == len(events) - 39


def test_without_a_file_what_can_be_is_composed():
    assert music("compose", "accompany").request("") == {"job": "compose", "given": []}
    assert music("continue").prompt(music("continue").request(""), 64, 8).context == [CONTINUE]


def test_the_first_seconds_of_a_primer_are_whole(file):
    given = music("continue", asked={"prime_seconds": 2.5}).request(file)["given"]
    # Struck at 0, 1 and 2 s; the first ended at 1.5 s, the second would at 2.5, the third later.
    assert decode(given) == piece((0, 150, 60, 64), (100, 250, 61, 64), (200, 250, 62, 64))


def test_a_melody_is_given_from_its_first_note_and_its_first_segment_makes_the_line(tmp_path):
    melody = piece((300, 350, 70, 64), (400, 450, 72, 64), (2000, 2050, 74, 64))
    bass = piece((0, 350, 40, 64))
    melody.tracks[0].name = "Melody"
    melody.tracks.append(bass.tracks[0])
    save(melody, tmp_path / "song.mid")
    task = music("accompany", segment_seconds=15)
    row = task.request(str(tmp_path / "song.mid"))
    given = encode(piece((0, 50, 70, 64), (100, 150, 72, 64), (1700, 1750, 74, 64)))
    assert row == {"job": "accompany", "given": given, "at": 300, "path": str(tmp_path / "song.mid")}
    first = encode(piece((0, 50, 70, 64), (100, 150, 72, 64)))
    assert task.prompt(row, 64, 20).context == [COMPOSE, *first, ACCOMPANY]
    shorter = music("accompany", asked={"prime_seconds": 1}).request(str(tmp_path / "song.mid"))
    assert shorter["given"] == encode(piece((0, 50, 70, 64)))
    with_intro = music("accompany", segment_seconds=15, asked={"intro": True})
    row = with_intro.request(str(tmp_path / "song.mid"))
    assert (row["at"], decode(row["given"])) == (0, piece((300, 350, 70, 64), (400, 450, 72, 64), (2000, 2050, 74, 64)))
    assert with_intro.prompt(row, 64, 20).context[0] == TOKENIZER["TimeShift_2.0.50"]


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        (music("accompany"), False, "no melody to accompany"),
        (music("compose", asked={"job": "accompany"}), True, "has learned to compose; give --job compose"),
        (music("accompany", "compose", asked={"job": "continue"}), True, "accompany and compose; give --job compose"),
        (music("compose", asked={"job": "continue"}), False, "has learned to compose"),
        (music("accompany", "compose", asked={"job": "accompany"}), False, "give a MIDI file"),
    ],
)
def test_what_a_run_has_not_learned_is_an_error(file, task, given, message):
    with pytest.raises(UserError, match=message):
        task.request(file if given else "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"job": ["sing"]},
        {"job": []},
        {"job": ["compose", "compose"]},
        {"transpose": -1},
        {"stretch": 1.0},
        {"velocity_shift": 32},
        {"segment_seconds": 0.5},
        {"segment_seconds": math.inf},
        {"hole_seconds": math.nan},
        {"hole_seconds": 1e300},
        {"pitch_top_p": 0},
        {"pitch_top_p": 1.1},
        {"num_samples": 0},
        {"shuffle_melodies": True},
        {"whole_songs": True},
        {"primed": True, "job": ["continue", "compose"]},
    ],
    ids=str,
)
def test_settings_that_cannot_be_meant(wrong):
    with pytest.raises(ValueError, match=f"--{next(iter(wrong))} "):
        MusicArguments(**wrong)


def test_pitches_are_drawn_as_the_run_says_or_as_is_asked():
    assert music("compose").constraint().narrowed is None
    assert music("compose", pitch_top_p=0.9).constraint().narrowed[1] == 0.9
    assert music("compose", pitch_top_p=0.9, asked={"pitch_top_p": 0.5}).constraint().narrowed[1] == 0.5
    assert music("compose", pitch_top_p=0.9, asked={"pitch_top_p": 1.0}).constraint().narrowed is None
    with pytest.raises(ValueError, match="--pitch_top_p is 0"):
        MusicRequestArguments(pitch_top_p=0)


def test_a_stride_that_would_part_every_note_from_its_velocity_is_refused():
    row = {"events": encode(piece((0, 50, 60, 64)))}
    with pytest.raises(UserError, match="--stride 1: give 2 to 15"):
        music("continue", stride=1).sequences(row, 16, training=True)
    assert music("continue", stride=2).sequences(row, 16, training=True)


@pytest.mark.parametrize("name", ["seconds", "prime_seconds"])
def test_requests_that_cannot_be_meant(name):
    with pytest.raises(ValueError, match=f"--{name} is 0"):
        MusicRequestArguments(**{name: 0})


def test_what_is_written_when_a_split_is_scored():
    task = music("accompany", "compose", num_samples=2)
    row = {"events": encode(piece((0, 50, 60, 64))), "melody": encode(piece((70, 90, 62, 64)))}
    splits = {name: [row[name]] * 3 for name in row}
    rows_ = Dataset.from_dict(splits)
    assert task.requests(rows_) == [{"job": "accompany", "given": encode(piece((0, 20, 62, 64))), "at": 70}] * 2
    long = Dataset.from_dict({name: [encode(piece((0, 50, 60, 64), (2000, 2010, 62, 64)))] for name in row})
    assert len(decode(task.requests(long)[0]["given"]).tracks[0].notes) == 1
    (song,) = music("accompany", whole_songs=True).requests(long)
    assert song["given"] == long["melody"][0]
    assert music("compose", num_samples=3).requests(rows_) == [{"job": "compose", "given": []}] * 3
    assert music("continue", num_samples=9).requests(rows_) == [{"job": "continue", "given": row["events"]}] * 3
    primed = music("compose", num_samples=9, primed=True)
    assert primed.requests(rows_) == [{"job": "compose", "given": row["events"]}] * 3


def test_augmentation_is_off_where_nothing_is_to_be_changed():
    assert music("compose", transpose=0, stretch=0).augment is None
    assert music("compose").augment.transpose == 3


def test_a_run_whose_events_had_other_ids_is_refused(tmp_path):
    MusicVocabulary().save(tmp_path)
    assert isinstance(Music.load_vocabulary(str(tmp_path)), MusicVocabulary)
    file = tmp_path / "tokenizer.json"
    file.write_text(file.read_text().replace('"<|infill|>_None", ', "").replace('"<|infill|>_None",', ""))
    with pytest.raises(UserError, match="an earlier version"):
        Music.load_vocabulary(str(tmp_path))


@pytest.mark.parametrize(("jobs", "fits"), [(["compose"], False), (["infill"], True), (["compose", "continue"], True)])
def test_all_of_a_line_is_learned_where_it_has_a_source(jobs, fits):
    flags = ["--job", *jobs, "--loss_on", "all"]
    if fits:
        assert parse(Music, flags)[1].loss_on == "all"
    else:
        with pytest.raises(UserError, match=r"the lines to learn have no source: leave out --loss_on all$"):
            parse(Music, flags)


def test_what_goes_on_from_what_is_written_is_not_read_both_ways():
    with pytest.raises(UserError, match="--mask prefix: music also goes on from what is written"):
        parse(Music, ["--job", "accompany", "--mask", "prefix"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"intro": True}, "--intro is for --job accompany: leave it out to compose"),
        ({"hole_from": 1.0, "hole_to": 2.0}, "--from and --to are for --job infill: leave them out to compose"),
        ({"prime_seconds": 3.0}, "--prime_seconds is for a MIDI file: give one, or leave it out"),
    ],
)
def test_what_is_asked_of_another_job_is_refused(asked, message):
    with pytest.raises(UserError, match=message):
        music("compose", asked=asked).request("")


@pytest.mark.parametrize(
    "text", ["", "{", "3", '{"tokenization": 1}', '{"tokenization": 1, "config": 3}', "[" * 100_000]
)
def test_a_vocabulary_that_is_damaged_is_named(tmp_path, text):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(UserError, match=r"tokenizer.json is damaged: copy it anew") as caught:
        Music.load_vocabulary(str(tmp_path))
    assert "\n" not in str(caught.value)
