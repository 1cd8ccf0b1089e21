import gzip
import json
import lzma
import re

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from shared.errors import UserError
from tasks.chorales import reading
from tasks.chorales.grid import REST, ChoraleVocabulary
from tasks.chorales.reading import grids_to_rows, read_jsb, sample, transpositions
from tasks.chorales.task import ChoraleArguments, Chorales
from tasks.midi.codec import encode, one_piano, save

VOCABULARY = ChoraleVocabulary()
CHORALE = [[67, 62, 59, 43]] * 3 + [[69, 62, 57, -1]]
HIGHER = [[70, 63, 60, 44], [68, 65, 57, 45]]
CONTENT = {"train": [CHORALE, HIGHER], "valid": [CHORALE], "test": [HIGHER]}


@pytest.fixture
def task(write):
    return Chorales(ChoraleArguments(jsb_file=write("jsb.json", json.dumps(CONTENT))), VOCABULARY)


@pytest.fixture
def splits(task):
    return task.load_rows(task.arguments)


def played(ids):
    return [(n.start, n.end, n.pitch) for n in VOCABULARY.decode(ids).tracks[0].notes]


@pytest.mark.parametrize(
    "pack", [str.encode, lambda text: lzma.compress(text.encode()), lambda text: gzip.compress(text.encode())]
)
def test_chorales_are_read_step_by_step_and_voice_by_voice(write, pack):
    suffix = {b"\xfd": ".xz", b"\x1f": ".gz"}.get(pack("{}")[:1], "")
    splits = grids_to_rows(read_jsb(write(f"jsb.json{suffix}", pack(json.dumps(CONTENT)))))
    assert splits["validation"].to_list() == [
        {"path": "validation 1", "events": [67, 62, 59, 43] * 3 + [69, 62, 57, REST]}
    ]
    assert splits["test"]["events"] == [[70, 63, 60, 44, 68, 65, 57, 45]]
    # Voices sing 67-70, 62-65, 57-60 and 43-45 in training: the first may rise by one, the second has no room.
    assert splits["train"]["path"] == ["train 1", "train 1 +1", "train 2"]
    assert splits["train"]["events"][1] == [68, 63, 60, 44] * 3 + [70, 63, 58, REST]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "expected chorales under each of train, valid, test"),
        ("[" * 100_000, "cannot be read as JSON"),
        (json.dumps(CONTENT | {"test": 3}), "under each of train, valid, test"),
        (json.dumps(CONTENT | {"test": []}), "test holds no note"),
        (json.dumps(CONTENT | {"test": [[[-1] * 4] * 8]}), "test holds no note"),
        (json.dumps({"train": [CHORALE], "valid": [CHORALE]}), "under each of train, valid, test"),
        (json.dumps(CONTENT | {"valid": [CHORALE, [[60, 60, 60]]]}), "valid, chorale 2: expected"),
        (json.dumps(CONTENT | {"test": [[[60, 60, 60], [60]]]}), "test, chorale 1: expected"),
        (json.dumps(CONTENT | {"test": [[[60, 60, 60, 128]]]}), "test, chorale 1: expected"),
        (json.dumps(CONTENT | {"test": [[[60, 60, 60.5, 1]]]}), "test, chorale 1: expected"),
        (json.dumps(CONTENT | {"test": [[[60, 60, 60, None]]]}), "test, chorale 1: expected"),
    ],
)
def test_what_is_no_chorale_is_named(write, content, told):
    with pytest.raises(UserError, match=told):
        read_jsb(write("jsb.json", content))
    with pytest.raises(UserError, match=r"missing.json: cannot be read"):
        read_jsb("missing.json")


def test_a_file_that_an_editor_has_marked_as_unicode_is_read(write):
    assert [*read_jsb(write("jsb.json", "\ufeff" + json.dumps(CONTENT)))] == ["train", "validation", "test"]


def test_transpositions_stay_in_the_voices_ranges():
    grid = np.array([[70, REST], [72, REST]])  # the second voice rests throughout
    found = transpositions(grid, np.array([68, 50]), np.array([73, 50]))
    assert [semitones for semitones, _ in found] == [-2, -1, 0, 1]
    assert found[-1][1].tolist() == [[71, REST], [73, REST]]


def test_a_grid_is_played_with_held_notes():
    ids = [67, 62, 59, 43] * 3 + [69, 62, 57, REST]
    expected = [(0, 60, 43), (0, 60, 59), (0, 80, 62), (0, 60, 67), (60, 80, 57), (60, 80, 69)]
    assert played(ids) == expected
    assert played([VOCABULARY.tokens["<|compose|>_None"], *ids, VOCABULARY.end]) == expected
    assert played(ids[:2]) == [(0, 20, 62), (0, 20, 67)]  # written up to the alto
    assert played([]) == []
    assert played([60] * 4) == [(0, 20, 60)]  # a unison


@given(st.lists(st.integers(0, len(VOCABULARY.tokens) - 1)))
def test_any_ids_can_be_played(ids):
    score = VOCABULARY.decode(ids)
    assert score.end() <= 20 * -(-len(ids) // 4)


chords = st.lists(st.integers(30, 90), min_size=4, max_size=4, unique=True).map(lambda pitches: sorted(pitches)[::-1])


@given(st.lists(chords, min_size=1, max_size=8))
def test_a_performance_on_the_grid_is_the_grid_again(grid):
    ids = np.ravel(grid).tolist()
    assert VOCABULARY.encode(VOCABULARY.decode(ids)) == ids


def test_other_performances_are_put_on_the_grid():
    notes = [(3, 20, 60), (0, 42, 64), (0, 42, 67), (0, 42, 72), (0, 42, 76), (70, 80, 50)]
    onset, offset, pitch = map(np.array, zip(*notes, strict=True))
    ids = VOCABULARY.encode(one_piano(onset, offset, pitch, np.full(6, 63)))
    assert ids == [76, 72, 67, 60, 76, 72, 67, 64, *[REST] * 4, 50, 50, 50, 50]


def test_a_run_loads_as_a_tokenizer_of_transformers(tmp_path):
    VOCABULARY.save(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("C4 rest A#4")["input_ids"] == [60, REST, 70]
    assert tokenizer.decode([60, REST, 70]) == "C4 rest A#4"
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (VOCABULARY.end, VOCABULARY.padding)
    assert tokenizer.get_vocab() == VOCABULARY.tokens


def test_tokens_have_pitch_time_and_words():
    ids = [67, 62, 59, REST, VOCABULARY.end]
    assert VOCABULARY.pitches[ids].tolist() == [67, 62, 59, -1, -1]
    assert VOCABULARY.ticks[ids].sum() == 20  # a 16th at 75 quarter notes a minute
    assert len(VOCABULARY.pitches) == len(VOCABULARY.ticks) == len(VOCABULARY.tokens)
    assert [VOCABULARY.words(token) for token in ("C4", "rest", "<|compose|>_None")] == [
        "the note C4",
        "rest",
        "compose",
    ]


def test_likelihoods_are_of_voices_alone_and_training_learns_the_end(task, splits):
    row = splits["test"][0]
    [line] = task.sequences(row, 64, training=False)
    assert list(line.target) == row["events"]
    [line] = task.sequences(row, 64, training=True)
    assert list(line.target) == [*row["events"], VOCABULARY.end]
    scores = task.score_likelihood(16.0, 8, splits["test"], splits["train"])
    # Six notes (the tenor and the bass are lower in the second 16th: all four voices move) in two 16ths of 0.2 s.
    assert (scores["nll_per_token"], scores["nll_per_note"], scores["nll_per_second"]) == (2.0, 2.0, 40.0)


def test_windows_and_prompts_begin_with_a_voice_of_their_own(task):
    ids = [*range(40)]
    parts = task.sequences({"events": ids}, 17, training=False)
    assert [token for part in parts for token in part.target] == ids
    bass = [[*part.context, *part.target][0] % 4 for part in parts[1:]]
    assert bass == [3] * len(bass)
    prompt = task.prompt({"primer": ids}, 16, 4)
    assert (len(prompt.context), prompt.context[1] % 4, prompt.cut) == (9, 0, 32)


def test_a_chorale_goes_on_from_a_midi_file(task, tmp_path):
    save(VOCABULARY.decode([67, 62, 59, 43]), tmp_path / "chord.mid")
    assert task.request(str(tmp_path / "chord.mid")) == {"primer": [67, 62, 59, 43]}


def test_outputs_are_scored_and_reported(task, splits):
    outputs = [splits["train"][0]["events"], [60, 60, 60, 60]]
    metrics = task.score(outputs, splits["test"], splits["train"])
    assert metrics["valid_midi"] == 100
    assert [passages["copied"]["events"] for passages in metrics["passages"]] == [16, 1]
    assert metrics["passages"][0]["copied"]["source"] == "train 1"
    assert "| 1 | exact | 16 | 15 | 0.8 | 0.0 | train 1 | 0.0 |" in re.sub(" +", " ", task.report(metrics))


def test_the_sample_is_that_of_music_put_on_the_grid(monkeypatch):
    chorale = VOCABULARY.decode([67, 62, 59, 43, 69, 62, 57, 45])
    rows = Dataset.from_dict({"events": [encode(chorale)]})
    monkeypatch.setattr(reading, "read_chorales", lambda: {"train": rows, "test": rows})
    assert sample()["test"][0].tolist() == [[67, 62, 59, 43], [69, 62, 57, 45]]
