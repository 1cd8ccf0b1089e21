"""The grammar of events with lengths."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.generation.sampling import constrained
from tasks.midi.codec import columns, one_piano
from tasks.midi.lengths import TOKENIZER, clocked, decode, encode, unclocked
from tasks.midi.vocabulary import LengthsVocabulary
from tasks.music.grammar import LONGEST_SILENCE
from tasks.music.lengths import LengthsConstraint
from tests.tasks.music.test_constraint import lets_through, walk

VOCABULARY = LengthsVocabulary()
GRAMMAR = LengthsConstraint(VOCABULARY)
SIZE = len(TOKENIZER)
COMPOSE, CONTINUE, ACCOMPANY, END = (
    TOKENIZER[f"<|{name}|>_None"] for name in ("compose", "continue", "accompany", "endoftext")
)
CONTEXT = 96


def ids(*tokens):
    return [TOKENIZER[token if "_" in token else f"{token}_None"] for token in tokens]


def played(rows):
    onset, length, pitch, velocity = np.array(rows, dtype=int).reshape(-1, 4).T
    onset = onset - onset.min(initial=0 if not len(onset) else onset[0])
    return one_piano(onset, onset + length, pitch, velocity)


note = st.tuples(st.integers(0, 300), st.integers(1, 250), st.integers(60, 70), st.sampled_from([3, 63, 64, 127]))
notes = st.lists(note, min_size=1)


@given(st.integers(0, 2**32), st.integers(4, 120), st.sampled_from([COMPOSE, ACCOMPANY]))
@settings(max_examples=12)
def test_every_walk_is_a_whole_performance_and_the_only_way_to_write_it(seed, new_tokens, job):
    for events, _ in walk([[job]] * 32, new_tokens, seed, GRAMMAR):
        plain = unclocked(events)
        assert encode(decode(events)) == plain
        assert events == (clocked(plain) if job == ACCOMPANY else plain)
        assert bool(plain) or job == ACCOMPANY
        onsets = columns(decode(events))[0]
        assert np.diff(onsets, prepend=0).max(initial=0) <= LONGEST_SILENCE


@given(notes)
def test_every_performance_is_allowed(rows):
    assert lets_through(GRAMMAR, encode(played(rows)))


@given(notes)
def test_every_performance_with_its_times_is_allowed_beside_a_melody(rows):
    grammar = LengthsConstraint(VOCABULARY)
    state, events = grammar.new_state(1, "cpu"), clocked(encode(played(rows)))
    grammar.begin(state, 0, [*events, ACCOMPANY], len(events) + 1)
    for event in [*events, END]:
        assert grammar.allowed(state)[0, event]
        grammar.advance(state, torch.tensor([event]))


@given(notes, st.floats(0, 1), st.sampled_from([COMPOSE, ACCOMPANY]))
def test_a_prompt_read_at_once_leaves_the_state_that_its_events_leave_one_by_one(rows, share, job):
    events = encode(played(rows))
    events = clocked(events) if job == ACCOMPANY else events
    events = events[: round(share * len(events))]
    at_once, by_events, as_written = (GRAMMAR.new_state(2, "cpu") for _ in range(3))
    GRAMMAR.begin(at_once, 1, [job, *events], 30)
    GRAMMAR.begin(as_written, 1, [job], 30, events)
    GRAMMAR.begin(by_events, 1, [job], 30 + len(events))
    for event in events:
        GRAMMAR.advance(by_events, torch.tensor([END, event]))
    assert torch.equal(GRAMMAR.allowed(at_once)[1], GRAMMAR.allowed(by_events)[1])
    for name in ("silence", "begun", "velocity", "length", "shifted", "owing", "left"):
        assert torch.equal(at_once[name][1], by_events[name][1]), name
    for name in ("start", "said"):  # the time is 0 where what is new begins
        ago = [state["now"][1] - state[name][1] for state in (at_once, by_events)]
        assert ago[0] == ago[1]
    left = [(state["ends"][1] - state["now"][1]).clamp(min=0) for state in (at_once, as_written, by_events)]
    assert torch.equal(left[0], left[2]) and torch.equal(left[1], left[2])


@given(notes, st.integers(0, 2**32), st.integers(30, 90), st.floats(0, 1), st.sampled_from([None, 0.5, 3]))
@settings(max_examples=12)
def test_a_continuation_strikes_no_key_that_its_primer_still_sounds(rows, seed, new_tokens, share, limit):
    events = encode(played(rows))
    primer = events[: round(share * len(events))]
    for written, _ in walk([[*primer, CONTINUE]] * 16, new_tokens, seed, LengthsConstraint(VOCABULARY, limit)):
        assert encode(decode([*primer, *written])) == [*primer, *written]
        times = VOCABULARY.times(written) / 100
        assert times.max(initial=0) < (limit or np.inf)
        sounding = columns(decode(written))[1].max(initial=0) / 100
        assert sounding <= (limit or np.inf) + 1


@pytest.mark.parametrize("limit", [0.01, 0.5, 2.0])
def test_seconds_are_used_and_what_sounds_then_ends_within_one_more(limit):
    pieces = [decode(events) for events, _ in walk([[COMPOSE]] * 64, 80, 1, LengthsConstraint(VOCABULARY, limit))]
    assert limit < max(piece.end() for piece in pieces) / 100 <= limit + 1


def test_walks_end_by_themselves_or_where_the_tokens_are_used_up():
    walks = walk([[COMPOSE]] * 64, 60, 0, GRAMMAR)
    assert {ended for _, ended in walks} == {True, False}
    assert max(len(events) for events, ended in walks if ended) > 12
    assert all(len(events) == 60 for events, ended in walks if not ended)


def names_allowed(*events, job=COMPOSE, new_tokens=50, grammar=GRAMMAR, written=0):
    """What may come after these events, which belong to the prompt or are `written`."""
    state, line = grammar.new_state(1, "cpu"), ids(*events)
    grammar.begin(state, 0, [job, *(() if written else line)], new_tokens, line if written else ())
    return {TOKENIZER[index].removesuffix("_None") for index in grammar.allowed(state)[0].nonzero()[:, 0].tolist()}


def kinds_allowed(*events, **more):
    return {name.split("_")[0] for name in names_allowed(*events, **more)}


STRUCK = ("Pitch_60", "Velocity_63", "Duration_1.0.50")


def test_what_may_follow_what():
    assert names_allowed() == {f"Pitch_{pitch}" for pitch in range(21, 109)}
    assert names_allowed("Pitch_60") == {f"Velocity_{4 * bin_ + 3}" for bin_ in range(32)}
    assert kinds_allowed("Pitch_60", "Velocity_63") == {"Duration"}
    assert len(names_allowed("Pitch_60", "Velocity_63")) == 180
    struck = names_allowed(*STRUCK)
    assert {"Pitch_61", "TimeShift_0.1.50", "TimeShift_2.0.10", "<|endoftext|>"} <= struck
    assert not {"Pitch_60", "Pitch_59", "TimeShift_2.1.10"} & struck  # what begins together goes upward
    soon = names_allowed(*STRUCK, "TimeShift_0.49.50")
    assert "Pitch_59" in soon and "Pitch_60" not in soon and {name.split("_")[0] for name in soon} == {"Pitch"}
    assert "Pitch_60" in names_allowed(*STRUCK, "TimeShift_1.0.50")  # its note has ended
    assert kinds_allowed(*STRUCK, "TimeShift_2.0.10") == {"Pitch", "TimeShift"}


def test_beside_a_melody_the_time_is_said_before_a_note_begins():
    assert kinds_allowed(job=ACCOMPANY) == {"<|0:00.00|>", "TimeShift", "<|endoftext|>"}
    assert kinds_allowed("<|0:00.00|>", job=ACCOMPANY) == {"Pitch"}
    begun = ("<|0:00.00|>", *STRUCK)
    assert "<|0:00.00|>" not in kinds_allowed(*begun, job=ACCOMPANY)
    assert kinds_allowed(*begun, "TimeShift_0.24.50", job=ACCOMPANY) == {"Pitch"}  # no other time than was said
    later = (*begun, "TimeShift_2.0.10", "TimeShift_0.25.50")
    assert kinds_allowed(*later, job=ACCOMPANY) == {"<|0:01.25|>"}
    assert kinds_allowed(*later, "<|0:01.25|>", job=ACCOMPANY) == {"Pitch"}
    minute = [name for second in range(60) for name in (f"<|0:{second:02}.00|>", *STRUCK, "TimeShift_2.0.10")]
    assert kinds_allowed(*minute, job=ACCOMPANY) == {"<|0:00.00|>", "TimeShift"}
    assert kinds_allowed(job=ACCOMPANY, new_tokens=3) == {"<|endoftext|>"}


def test_a_note_begins_only_where_all_of_it_may_still_be_written():
    assert kinds_allowed(new_tokens=3) == {"Pitch"} and kinds_allowed(new_tokens=2) == {"<|endoftext|>"}
    assert kinds_allowed(*STRUCK, new_tokens=3) == {"Pitch", "<|endoftext|>"}
    assert kinds_allowed(*STRUCK, new_tokens=4) == {"Pitch", "TimeShift", "<|endoftext|>"}


def test_silences_are_bounded():
    silence = ("TimeShift_2.0.10",) * (LONGEST_SILENCE // 100)
    assert "TimeShift_2.0.10" in names_allowed(*STRUCK, *silence[1:])
    assert kinds_allowed(*STRUCK, *silence) == {"Pitch"}


def test_the_seconds_cut_lengths_and_waits():
    grammar = LengthsConstraint(VOCABULARY, 2)
    late = (*STRUCK, "TimeShift_2.0.10", "Pitch_62", "Velocity_63")
    lengths = names_allowed(*late, grammar=grammar, written=1)
    assert "Duration_4.0.5" in lengths and "Duration_4.1.5" not in lengths
    after = names_allowed(*late, "Duration_1.0.50", grammar=grammar, written=1)
    assert {"TimeShift_1.49.50", "<|endoftext|>", "Pitch_63"} <= after and "TimeShift_2.0.10" not in after


def shares(*events, wanted, grammar=GRAMMAR):
    """The probability of each event that has some after written `events`, of a decoder that wants others."""
    state, logits = grammar.new_state(1, "cpu"), torch.full((1, SIZE), -30.0)
    grammar.begin(state, 0, [COMPOSE], 50, ids(*events))
    logits[0, ids(*wanted)] = torch.tensor([*wanted.values()], dtype=torch.float).log()
    left, _ = constrained(logits, grammar, state)
    return {TOKENIZER[index]: share for index, share in enumerate(left.softmax(-1)[0].tolist()) if share > 1e-6}


def test_a_wait_beyond_the_seconds_is_the_end():
    wanted = {"TimeShift_2.0.10": 0.9, "Pitch_67": 0.1}
    ended = shares(*STRUCK, wanted=wanted, grammar=LengthsConstraint(VOCABULARY, 0.5))
    assert ended == pytest.approx({"<|endoftext|>_None": 0.9, "Pitch_67": 0.1}, abs=1e-4)
    assert shares(*STRUCK, wanted=wanted) == pytest.approx(wanted, abs=1e-4)
    long = shares(*STRUCK, wanted={"TimeShift_6.0.5": 0.9, "Pitch_67": 0.1})  # of MidiTok's, but not of ours
    assert long == pytest.approx(wanted, abs=1e-4)


def test_no_step_asks_for_a_value_and_the_state_is_never_replaced():
    grammar = LengthsConstraint(VOCABULARY, 10)
    state = grammar.new_state(3, "cpu")
    places = {name: tensor.data_ptr() for name, tensor in state.items()}
    grammar.begin(state, 1, [COMPOSE], 50)
    grammar.advance(state, torch.tensor(ids("Pitch_60", "Velocity_63", "TimeShift_1.0.50")))
    assert {name: tensor.data_ptr() for name, tensor in state.items()} == places
    state = grammar.new_state(3, "meta")
    grammar.advance(state, torch.zeros(3, dtype=torch.long, device="meta"))
    assert constrained(torch.zeros(3, SIZE, device="meta"), grammar, state)[0].shape == (3, SIZE)
