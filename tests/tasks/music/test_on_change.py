"""Events with a velocity on change only: their grammar, their lines, and pieces that go on from others."""

import functools
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.generation.arguments import GenerationArguments
from shared.generation.generate import generate
from shared.generation.sampling import constrained
from tasks.midi.codec import TOKENIZER, columns, decode, encode, one_piano, save
from tasks.midi.velocities import compact, expand
from tasks.midi.vocabulary import OnChangeVocabulary
from tasks.music import Music
from tasks.music.arguments import MusicArguments, MusicRequestArguments
from tasks.music.grammar import LONGEST_SILENCE
from tasks.music.on_change import OnChangeConstraint
from tasks.music.pieces import piece
from tests.contract import Case, TaskContract
from tests.midi_files import opened
from tests.tasks.music.test_constraint import in_order, lets_through, released, walk

VOCABULARY = OnChangeVocabulary()
GRAMMAR = OnChangeConstraint(VOCABULARY)
COMPOSE, CONTINUE, END = (TOKENIZER[f"<|{name}|>_None"] for name in ("compose", "continue", "endoftext"))
CONTEXT = 96


def ids(*tokens):
    return [TOKENIZER[token] for token in tokens]


def played(rows):
    onset, length, pitch, velocity = np.array(rows, dtype=int).reshape(-1, 4).T
    return one_piano(onset - onset.min(), onset - onset.min() + length, pitch, velocity)


def music(*job, asked=None, **arguments):
    arguments = MusicArguments(job=list(job), velocity="on_change", **arguments)
    return Music(arguments, Music.build_vocabulary(arguments, None, None, 0), MusicRequestArguments(**(asked or {})))


note = st.tuples(st.integers(0, 300), st.integers(1, 250), st.integers(60, 70), st.sampled_from([3, 63, 64, 127]))
notes = st.lists(note, min_size=1)


def is_the_only_way_to_write(events):
    """That events are those of the performance that they describe, but for the order in which notes end at one tick."""
    whole = expand(events)
    return compact(whole) == events and in_order(whole) == encode(decode(whole))


@given(st.integers(0, 2**32), st.integers(4, 120))
@settings(max_examples=10)
def test_every_walk_is_a_whole_performance_and_the_only_way_to_write_it(seed, new_tokens):
    for events, _ in walk([[COMPOSE]] * 32, new_tokens, seed, GRAMMAR):
        assert events and released(expand(events)) and is_the_only_way_to_write(events)
        onsets = VOCABULARY.decode(events).tracks[0].notes.numpy()["time"]
        assert np.diff(onsets, prepend=0).max() <= LONGEST_SILENCE


@given(notes)
def test_every_performance_is_allowed(rows):
    assert lets_through(GRAMMAR, VOCABULARY.encode(played(rows)))


@given(notes, st.floats(0, 1))
def test_a_prompt_read_at_once_leaves_the_state_that_its_events_leave_one_by_one(rows, share):
    events = VOCABULARY.encode(played(rows))
    events = events[: round(share * len(events))]
    at_once, by_events = GRAMMAR.new_state(2, "cpu"), GRAMMAR.new_state(2, "cpu")
    GRAMMAR.begin(at_once, 1, [COMPOSE, *events], 30)
    GRAMMAR.begin(by_events, 1, [COMPOSE], 30 + len(events))
    for event in events:
        GRAMMAR.advance(by_events, torch.tensor([END, event]))
    assert torch.equal(GRAMMAR.allowed(at_once)[1], GRAMMAR.allowed(by_events)[1])
    for name in ("sounding", "begun", "velocity", "last", "owing", "left"):
        assert torch.equal(at_once[name][1], by_events[name][1]), name


@given(notes, st.integers(0, 2**32), st.integers(30, 90), st.floats(0, 1))
@settings(max_examples=12)
def test_a_continuation_goes_on_from_the_primers_velocity(rows, seed, new_tokens, share):
    events = VOCABULARY.encode(played(rows))
    primer = events[: round(share * len(events))]
    for written, _ in walk([[*primer, CONTINUE]] * 16, new_tokens, seed, GRAMMAR):
        assert released(expand([*primer, *written])) and is_the_only_way_to_write([*primer, *written])


def names_allowed(*events, new_tokens=50):
    state = GRAMMAR.new_state(1, "cpu")
    GRAMMAR.begin(state, 0, [COMPOSE, *ids(*events)], new_tokens)
    return {TOKENIZER[index] for index in GRAMMAR.allowed(state)[0].nonzero()[:, 0].tolist()}


def kinds_allowed(*events, **more):
    return {name.split("_")[0] for name in names_allowed(*events, **more)}


STRUCK = ("Velocity_63", "NoteOn_60")
HELD = (*STRUCK, "TimeShift_2.0.50")


def test_what_may_follow_what():
    assert names_allowed() == {f"Velocity_{4 * bin_ + 3}" for bin_ in range(32)}
    assert names_allowed("Velocity_63") == {f"NoteOn_{pitch}" for pitch in range(21, 109)}
    assert kinds_allowed(*STRUCK) == {"NoteOn", "Velocity", "TimeShift"}
    struck = names_allowed(*STRUCK, "Velocity_71")
    assert struck == {f"NoteOn_{pitch}" for pitch in range(61, 109)}  # what begins together goes upward
    held = names_allowed(*HELD)
    assert {"NoteOn_59", "Velocity_59", "NoteOff_60", "TimeShift_0.1.50"} <= held
    assert not {"Velocity_63", "NoteOn_60"} & held
    assert "Velocity" not in kinds_allowed(*STRUCK, "NoteOn_108")  # no key above is left
    assert "Velocity_63" in names_allowed(*STRUCK, "Velocity_71", "NoteOn_64")


def test_the_last_tokens_release_what_sounds():
    assert kinds_allowed(new_tokens=4) == {"Velocity"}
    assert kinds_allowed(new_tokens=3) == {"<|endoftext|>"}
    assert kinds_allowed("Velocity_63", new_tokens=3) == {"NoteOn"}
    assert {"NoteOn", "Velocity"} <= kinds_allowed(*HELD, new_tokens=5)
    assert "NoteOn" in kinds_allowed(*HELD, new_tokens=4) and "Velocity" not in kinds_allowed(*HELD, new_tokens=4)
    assert names_allowed(*HELD, new_tokens=1) == {"NoteOff_60"}


def test_no_step_asks_for_a_value():
    grammar = OnChangeConstraint(VOCABULARY, 10)
    state = grammar.new_state(3, "meta")
    grammar.advance(state, torch.zeros(3, dtype=torch.long, device="meta"))
    assert constrained(torch.zeros(3, len(TOKENIZER), device="meta"), grammar, state)[0].shape == (3, len(TOKENIZER))


@given(notes, st.integers(30, 80))
def test_composing_and_continuing_learn_every_event_once(rows, max_length):
    row = {"events": VOCABULARY.encode(played(rows))}
    for job, first in (("compose", COMPOSE), ("continue", CONTINUE)):
        lines = music(job).sequences(row, max_length, training=True)
        assert all(len(line) <= max_length for line in lines)
        assert [event for line in lines for event in line.target] == [*row["events"], END]
        assert lines[0].context == [first]


def test_the_embedded_pieces_are_the_same():
    rows, others = (
        Music.load_rows(MusicArguments(velocity=velocity))["test"].select(range(3))
        for velocity in ("on_change", "note")
    )
    assert [expand(events) for events in rows["events"]] == list(others["events"])
    assert rows.features == others.features


@pytest.fixture
def file(tmp_path):
    save(played([(100 * second, 150, 60 + second, 40 + second) for second in range(20)]), tmp_path / "given.mid")
    return str(tmp_path / "given.mid")


def test_a_primer_that_is_cut_says_the_velocity_of_its_first_note(file):
    task = music("compose", "continue")
    row = task.request(file)
    assert row["given"] == VOCABULARY.encode(decode(expand(row["given"])))
    *primer, separator = task.prompt(row, 40, 10).context
    assert separator == CONTINUE and len(primer) in (28, 29)
    kept = columns(VOCABULARY.decode(primer))[2:]
    assert kept.tolist() == columns(VOCABULARY.decode(row["given"]))[2:, -kept.shape[1] :].tolist()
    whole = task.prompt(row, 400, 10)
    assert whole.context == [*row["given"], CONTINUE] and not whole.cut
    short = music("continue", asked={"prime_seconds": 2.5}).request(file)["given"]
    assert columns(VOCABULARY.decode(short))[2].tolist() == [60, 61, 62]


@pytest.mark.parametrize("whole", [True, False])
def test_a_continuation_sounds_as_loud_as_its_primer_ends(file, whole):
    task = music("continue", asked={"write_prime": whole})
    row, written = task.request(file), ids("TimeShift_0.1.50", "NoteOn_90", "TimeShift_1.0.50", "NoteOff_90")
    made = piece(row, written, task.request_arguments, task.vocabulary)
    assert columns(made.sounding)[2:, -1].tolist() == [90, 59]  # the bin of the last note's 59
    assert [note.velocity for note in opened(made.file).tracks[-1].notes] == [59]


@pytest.mark.parametrize("job", ["continue", "compose"])
def test_music_goes_on_over_many_windows(new_decoder, job):
    primer = VOCABULARY.encode(played([(70 * at, 60, 60 + at % 12, 40 + at) for at in range(5)]))
    task = music(job, asked={"seconds": 40})
    row = {"job": job, "given": primer}
    prompt = task.prompt(row, CONTEXT, 1000).context
    look = functools.partial(task.window, row, prompt, context=CONTEXT)
    (written,) = generate(
        *(new_decoder(len(TOKENIZER), context=CONTEXT), [prompt]),
        *(GenerationArguments(do_sample=True, max_new_tokens=4000), VOCABULARY),
        constraint=task.constraint(), look=lambda _, written: look(written),
    )  # fmt: skip
    assert len(written) > 3 * CONTEXT
    assert released(expand([*primer, *written])) and is_the_only_way_to_write([*primer, *written])


@pytest.mark.parametrize("job", ["accompany", "infill"])
def test_other_jobs_are_refused_in_one_line_that_names_the_flag(job):
    message = f"--velocity on_change is for --job compose and continue: leave it out with compose {job}"
    with pytest.raises(ValueError, match=re.escape(message)):
        music("compose", job)


class TestOnChange(TaskContract):
    @pytest.fixture(scope="class")
    def case(self, midi_dir):
        return Case.of(Music, MusicArguments(midi_dir=str(midi_dir), velocity="on_change"))
