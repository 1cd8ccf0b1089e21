import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.generation.sampling import constrained
from tasks.midi.codec import LONGEST_NOTE, MEANING, TOKENIZER, decode, encode, one_piano
from tasks.midi.vocabulary import MusicVocabulary
from tasks.music.constraint import EventConstraint
from tasks.music.grammar import LONGEST_SILENCE
from tests.tasks.midi.test_codec import seconds

SIZE = len(TOKENIZER)
VOCABULARY = MusicVocabulary()
GRAMMAR = EventConstraint(VOCABULARY)
COMPOSE, CONTINUE, ACCOMPANY = (TOKENIZER[f"<|{job}|>_None"] for job in ("compose", "continue", "accompany"))


def ids(*tokens):
    return [TOKENIZER[token] for token in tokens]


def walk(prompts, new_tokens, seed, grammar=GRAMMAR):
    """Random continuations of prompts, and whether each came to its end by itself.

    Every row is fond of some kinds of event, so that walks differ: some hold many keys, some are mostly silent.
    """
    generator = torch.Generator().manual_seed(seed)
    meaning, end = grammar.vocabulary.meaning, grammar.vocabulary.end
    kinds = torch.tensor([len(meaning.get(index, ("special",))[0]) for index in range(len(grammar.kind))])
    fondness = 3 * torch.randn(len(prompts), 20, generator=generator)[:, kinds]
    state = grammar.new_state(len(prompts), "cpu")
    for row, prompt in enumerate(prompts):
        grammar.begin(state, row, prompt, new_tokens)
    written = []
    for _ in range(new_tokens):
        allowed = grammar.allowed(state)
        assert allowed.any(-1).all()
        noise = -torch.empty(allowed.shape).exponential_(generator=generator).log()
        tokens = (fondness + noise).masked_fill(~allowed, -torch.inf).argmax(-1)
        grammar.advance(state, tokens)
        written.append(tokens)
    rows = torch.stack(written, 1).tolist()
    assert all(set(row[row.index(end) :]) == {end} for row in rows if end in row)  # nothing follows the end
    return [(row[: row.index(end)], True) if end in row else (row, False) for row in rows]


def lets_through(grammar, events):
    """Whether a whole piece may be written, event by event; then nothing but its end may come."""
    end, state = grammar.vocabulary.end, grammar.new_state(1, "cpu")
    grammar.begin(state, 0, [COMPOSE], len(events) + 1)
    for event in [*events, end]:
        if not grammar.allowed(state)[0, event]:
            return False
        grammar.advance(state, torch.tensor([event]))
    return grammar.allowed(state)[0].nonzero().tolist() == [[end]]


def in_order(events):
    """The events with the notes that end at one tick in the order in which they were struck, as `encode` has them."""
    struck, keys = {}, []
    for place, (kind, value) in enumerate(map(MEANING.get, events)):
        tick = keys[-1][0] + (kind == "TimeShift") if keys else 0
        if kind == "NoteOn":
            struck[value] = place
        keys.append((tick, *((1, struck[value]) if kind == "NoteOff" else (2 * (kind != "TimeShift"), place))))
    return [event for _, event in sorted(zip(keys, events, strict=True), key=lambda pair: pair[0])]


def released(events):
    """That each note-on has its velocity and its note-off, a tick later at least, and nothing else occurs."""
    sounding, now = {}, 0
    for event, after in zip(events, [*events[1:], None], strict=False):
        kind, value = MEANING[event]
        if kind == "TimeShift":
            now += value
        elif kind == "NoteOn":
            assert value not in sounding
            assert MEANING[after][0] == "Velocity"
            sounding[value] = now
        elif kind == "NoteOff":
            assert 0 < now - sounding.pop(value) <= LONGEST_NOTE
    return not sounding


@given(st.integers(0, 2**32), st.integers(4, 120), st.sampled_from([COMPOSE, ACCOMPANY]))
@settings(max_examples=10)
def test_every_walk_is_a_whole_performance_and_the_only_way_to_write_it(seed, new_tokens, job):
    for events, _ in walk([[job]] * 32, new_tokens, seed):
        assert released(events)
        assert in_order(events) == encode(decode(events))
        assert bool(events) or job == ACCOMPANY
        onsets = decode(events).tracks[0].notes.numpy()["time"]
        assert np.diff(onsets, prepend=0).max(initial=0) <= LONGEST_SILENCE


def test_walks_end_by_themselves_or_where_the_tokens_are_used_up():
    walks = walk([[COMPOSE]] * 64, 60, seed=0)
    assert {ended for _, ended in walks} == {True, False}
    assert max(len(events) for events, ended in walks if ended) > 12
    assert all(len(events) == 60 for events, ended in walks if not ended)


notes = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 250), st.integers(60, 70), st.integers(1, 127)), min_size=1
)


def piece(rows):
    onset, duration, pitch, velocity = np.array(rows).T
    return one_piano(onset - onset.min(), onset - onset.min() + duration, pitch, velocity)


@given(notes)
@example([(0, 250, 60, 64), (100, 150, 61, 64), (250, 20, 60, 64), (250, 10, 61, 64), (280, 5, 62, 64)])
def test_every_performance_is_allowed(rows):
    assert lets_through(GRAMMAR, encode(piece(rows)))


@given(notes, st.floats(0, 1), st.booleans())
def test_a_prompt_read_at_once_leaves_the_state_that_its_events_leave_one_by_one(rows, share, compose):
    events = encode(piece(rows))
    events = events[: round(share * len(events))]
    job = COMPOSE if compose else ACCOMPANY
    at_once, by_events = GRAMMAR.new_state(2, "cpu"), GRAMMAR.new_state(2, "cpu")
    GRAMMAR.begin(at_once, 1, [job, *events], 30)
    GRAMMAR.begin(by_events, 1, [job], 30 + len(events))
    for event in events:
        GRAMMAR.advance(by_events, torch.tensor([VOCABULARY.end, event]))
    assert torch.equal(GRAMMAR.allowed(at_once)[1], GRAMMAR.allowed(by_events)[1])
    by_events["struck"][1] -= by_events["now"][1]  # the first counts time from the end of the prompt
    for name in ("sounding", "silence", "begun", "velocity", "shifted", "owing", "left"):
        assert torch.equal(at_once[name][1], by_events[name][1]), name
    held = at_once["sounding"][1]
    assert torch.equal(at_once["struck"][1][held], by_events["struck"][1][held])


@given(notes, st.integers(0, 2**32), st.integers(30, 90), st.floats(0, 1), st.sampled_from([None, 0.5, 3]))
@settings(max_examples=12)
def test_a_continuation_releases_what_the_primer_left_sounding(rows, seed, new_tokens, share, limit):
    events = encode(piece(rows))
    primer = events[: round(share * len(events))]
    grammar = EventConstraint(VOCABULARY, limit)
    for written, _ in walk([[*primer, CONTINUE]] * 16, new_tokens, seed, grammar):
        assert released([*primer, *written])
        assert in_order([*primer, *written]) == encode(decode([*primer, *written]))
        begun = [at for at, event in zip(seconds(written), written, strict=True) if MEANING[event][0] == "NoteOn"]
        assert max(begun, default=0) <= (limit or np.inf)
        assert seconds(written).max(initial=0) <= (limit or np.inf) + 1.01


@pytest.mark.parametrize("limit", [0.01, 0.5, 2.0])
def test_seconds_are_used_and_what_sounds_then_rings_for_one_more(limit):
    lengths = [seconds(events)[-1] for events, _ in walk([[COMPOSE]] * 64, 80, 1, EventConstraint(VOCABULARY, limit))]
    assert limit < max(lengths) <= limit + 1.01


@pytest.mark.parametrize("limit", [0.5, 4.0])
def test_seconds_that_are_to_be_filled_do_not_end_early(limit):
    free, filled = (
        walk([[COMPOSE]] * 64, 120, 2, EventConstraint(VOCABULARY, limit, filled=filled)) for filled in (False, True)
    )
    assert all(released(events) for events, _ in filled)
    lengths = [seconds(events)[-1] for events, ended in filled if ended]
    assert limit - 1 <= min(lengths) and max(lengths) <= limit + 1.01
    assert limit < 1 or min(seconds(events)[-1] for events, _ in free) < limit - 1


def test_the_end_of_the_seconds_does_not_make_keys_the_only_choice():
    """A long wait that sounds right is never forbidden by it: else chords of what is left were struck at the end."""
    grammar = EventConstraint(VOCABULARY, 2)
    waits = {"TimeShift_2.0.50", "TimeShift_1.0.50", "TimeShift_0.1.50"}
    struck = (*STRUCK, "TimeShift_2.0.50")
    assert waits <= names_allowed(*struck, grammar=grammar, written=1)
    assert waits <= names_allowed(*struck, "NoteOff_60", "NoteOn_62", "Velocity_63", grammar=grammar, written=1)
    late = names_allowed(*struck, "TimeShift_1.49.50", "NoteOff_60", grammar=grammar, written=1)
    assert "TimeShift_1.49.50" in late
    silent = (*struck, "NoteOff_60", "NoteOff_64")
    assert names_allowed(*silent, grammar=grammar, written=1) == {"<|endoftext|>"}
    assert kinds_allowed(*silent, grammar=EventConstraint(VOCABULARY, 2.5), written=1) > {"NoteOn", "TimeShift"}


def test_keys_are_a_pianos_unless_asked_otherwise():
    def keys(**more):
        return {int(name.split("_")[1]) for name in names_allowed(**more)}

    assert keys() == {*range(21, 109)}
    assert keys(grammar=EventConstraint(VOCABULARY, all_keys=True)) == {*range(128)}


def names_allowed(*events, job=COMPOSE, new_tokens=50, grammar=GRAMMAR, written=0):
    """What may come after these events, which belong to the prompt or are `written`."""
    state, line = grammar.new_state(1, "cpu"), ids(*events)
    grammar.begin(state, 0, [job, *(() if written else line)], new_tokens, line if written else ())
    return {TOKENIZER[index].removesuffix("_None") for index in grammar.allowed(state)[0].nonzero()[:, 0].tolist()}


def kinds_allowed(*events, **more):
    return {name.split("_")[0] for name in names_allowed(*events, **more)}


STRUCK = ("NoteOn_60", "Velocity_63", "NoteOn_64", "Velocity_63")
HELD = (*STRUCK, "TimeShift_1.0.50")


def test_what_may_follow_what():
    assert kinds_allowed() == {"NoteOn"}
    assert kinds_allowed(job=ACCOMPANY) == {"NoteOn", "TimeShift", "<|endoftext|>"}
    assert names_allowed("NoteOn_60") == {f"Velocity_{4 * bin_ + 3}" for bin_ in range(32)}
    struck = names_allowed(*STRUCK)
    assert {"NoteOn_64", "NoteOn_63", "NoteOn_60", "NoteOff_60", "NoteOff_64", "<|endoftext|>"}.isdisjoint(struck)
    assert {"NoteOn_65", "NoteOn_108", "TimeShift_0.1.50", "TimeShift_2.0.50"} <= struck
    held = names_allowed(*HELD)
    assert {name for name in held if name.startswith("NoteOff")} == {"NoteOff_60", "NoteOff_64"}
    assert {"NoteOn_59", "NoteOn_61"} <= held
    assert "NoteOn_60" not in held
    assert not any(name.startswith("TimeShift") for name in held)  # the shift would have been a longer one
    assert kinds_allowed(*STRUCK, "TimeShift_2.0.50") == {"NoteOn", "NoteOff", "TimeShift"}
    off = names_allowed(*HELD, "NoteOff_64")
    assert {"NoteOff_60", "NoteOn_64", "TimeShift_0.1.50"} <= off
    assert "<|endoftext|>" in names_allowed(*HELD, "NoteOff_60", "NoteOff_64")
    assert kinds_allowed(*HELD, "NoteOff_60", "NoteOff_64", "TimeShift_1.0.50") == {"NoteOn"}


def shares(*events, wanted, grammar=GRAMMAR):
    """The probability of each event that has some after `events`, of a decoder that wants others."""
    state, logits = grammar.new_state(1, "cpu"), torch.full((1, SIZE), -30.0)
    grammar.begin(state, 0, [COMPOSE, *ids(*events)], 50)
    logits[0, ids(*wanted)] = torch.tensor([*wanted.values()], dtype=torch.float).log()
    left, removed = constrained(logits, grammar, state)
    found = {TOKENIZER[index]: share for index, share in enumerate(left.softmax(-1)[0].tolist()) if share > 1e-6}
    return found, removed.item()


def test_what_cannot_be_played_is_taken_for_what_it_stands_for():
    struck, removed = shares(*HELD, wanted={"NoteOn_60": 0.5, "NoteOff_60": 0.1, "NoteOn_67": 0.4})
    assert struck == pytest.approx({"NoteOff_60": 0.6, "NoteOn_67": 0.4}, abs=1e-4)  # a sounding key is released
    assert removed == pytest.approx(0.5, abs=1e-4)
    silent = {"NoteOff_62": 0.6, "NoteOff_60": 0.1, "NoteOff_64": 0.2, "NoteOn_67": 0.1}
    offs, removed = shares(*HELD, wanted=silent)
    assert offs == pytest.approx({"NoteOff_60": 0.3, "NoteOff_64": 0.6, "NoteOn_67": 0.1}, abs=1e-4)
    assert removed == pytest.approx(0.6, abs=1e-4)
    wait, _ = shares(*HELD, wanted={"TimeShift_0.1.50": 0.5, "NoteOn_67": 0.5})  # no shift may follow at all
    assert wait == pytest.approx({"NoteOn_67": 1}, abs=1e-4)


def test_the_last_tokens_release_what_sounds():
    assert kinds_allowed(*STRUCK, new_tokens=3) == {"TimeShift"}
    assert names_allowed(*HELD, new_tokens=2) == {"NoteOff_60"}
    assert names_allowed(*HELD, new_tokens=3) == {"NoteOff_60", "NoteOff_64"}
    assert "NoteOn" not in kinds_allowed(*HELD, new_tokens=5)
    assert "NoteOn" in kinds_allowed(*HELD, new_tokens=6)
    assert kinds_allowed(new_tokens=4) == {"NoteOn"}
    assert kinds_allowed(new_tokens=3) == {"<|endoftext|>"}


def test_notes_and_silences_are_bounded():
    long = ("TimeShift_2.0.50",) * (LONGEST_NOTE // 100 - 1)
    onward = ("NoteOn_80", "Velocity_63", "TimeShift_0.1.50", "NoteOff_80")  # so that the silence is broken
    shifts = names_allowed("NoteOn_60", "Velocity_63", *long, *onward)
    assert {"TimeShift_1.49.50"} <= shifts
    assert "TimeShift_2.0.50" not in shifts
    assert names_allowed("NoteOn_60", "Velocity_63", *long, *onward, "TimeShift_1.49.50") == {"NoteOff_60"}
    silent = ("NoteOn_60", "Velocity_63", "TimeShift_0.1.50", "NoteOff_60")
    silence = ("TimeShift_2.0.50",) * (LONGEST_SILENCE // 100 - 1)
    assert "TimeShift_1.49.50" in names_allowed(*silent, *silence)  # the hundredth has passed before
    assert "TimeShift_2.0.50" not in names_allowed(*silent, *silence)
    assert kinds_allowed(*silent, *silence, "TimeShift_1.49.50") == {"NoteOn"}


def test_a_melody_is_not_taken_for_what_sounds():
    state = GRAMMAR.new_state(1, "cpu")
    GRAMMAR.begin(state, 0, [*ids(*STRUCK), ACCOMPANY], 50)
    assert not state["sounding"].any()
    assert GRAMMAR.allowed(state)[0, ids("NoteOn_60")[0]]


def test_the_state_is_never_replaced_and_rows_are_apart():
    state = GRAMMAR.new_state(2, "cpu")
    places = {name: tensor.data_ptr() for name, tensor in state.items()}
    GRAMMAR.begin(state, 1, [COMPOSE], 50)
    before = {name: tensor[1].clone() for name, tensor in state.items()}
    GRAMMAR.begin(state, 0, [COMPOSE, *ids(*STRUCK)], 50)
    assert all(torch.equal(tensor[1], before[name]) for name, tensor in state.items())
    alone = GRAMMAR.allowed(state)[1]
    GRAMMAR.advance(state, torch.tensor(ids("TimeShift_1.0.50", "NoteOn_70")))
    assert {name: tensor.data_ptr() for name, tensor in state.items()} == places
    assert names_allowed() == {TOKENIZER[index] for index in alone.nonzero()[:, 0].tolist()}


def test_no_step_asks_for_a_value():
    """On the meta device there are none: whatever would make a GPU wait for one fails."""
    grammar = EventConstraint(VOCABULARY, 10)
    state = grammar.new_state(3, "meta")
    grammar.advance(state, torch.zeros(3, dtype=torch.long, device="meta"))
    logits, removed = constrained(torch.zeros(3, SIZE, device="meta"), grammar, state)
    assert logits.shape == (3, SIZE) and removed.shape == (3,)
