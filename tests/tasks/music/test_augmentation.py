import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.midi import lengths
from tasks.midi.codec import TOKENIZER, columns, decode, encode, one_piano
from tasks.music.augmentation import Augmentation, Table, louder, stretched, transposed
from tests.tasks.midi.test_codec import seconds

ACCOMPANY = TOKENIZER["<|accompany|>_None"]


def ids(*tokens):
    return np.array([TOKENIZER[token] for token in tokens])


def names(events):
    return [TOKENIZER[int(event)] for event in events]


notes = st.lists(
    st.tuples(st.integers(0, 900), st.integers(1, 400), st.integers(24, 105), st.integers(1, 127)), min_size=1
)
seeds = st.integers(0, 2**32)


def events_of(rows):
    onset, duration, pitch, velocity = np.array(rows).T
    return np.array(encode(one_piano(onset - onset.min(), onset - onset.min() + duration, pitch, velocity)))


def table(events):
    return decode(events.tolist()).tracks[0].notes.numpy()


@given(notes, seeds)
def test_a_line_stays_as_long_and_canonical(rows, seed):
    events = events_of(rows)
    new = Augmentation(3, 0.05, 4)(events, np.random.default_rng(seed))
    assert len(new) == len(events)
    assert encode(decode(new.tolist())) == new.tolist()
    assert len(table(new)["pitch"]) == len(table(events)["pitch"])


@given(notes, seeds)
def test_a_transposition_moves_every_note_alike_and_nothing_else(rows, seed):
    events = events_of(rows)
    before, after = table(events), table(transposed(events, 3, np.random.default_rng(seed)))
    moved = {*(after["pitch"].astype(int) - before["pitch"])}
    assert len(moved) == 1 and moved <= {*range(-3, 4)}
    assert after["pitch"].min() >= 21 and after["pitch"].max() <= 108
    for name in ("time", "duration", "velocity"):
        assert (after[name] == before[name]).all()


@pytest.mark.parametrize(
    ("pitches", "expected"),
    [
        ((60, 61), range(-3, 4)),
        ((22, 60), range(-1, 4)),
        ((60, 108), range(-3, 1)),
        ((21, 108), [0]),
        ((3, 60), range(4)),
    ],
)
def test_all_transpositions_that_fit_the_piano_are_drawn(pitches, expected):
    events = ids(*(f"NoteOn_{pitch}" for pitch in pitches), "TimeShift_1.0.50")
    rng = np.random.default_rng(0)
    drawn = {int(transposed(events, 3, rng)[0] - events[0]) for _ in range(100)}
    assert drawn == {*expected}


def test_velocities_move_by_bins_and_stop_at_the_softest_and_the_loudest():
    events = ids("NoteOn_60", "Velocity_3", "NoteOn_64", "Velocity_63", "NoteOn_67", "Velocity_123", "TimeShift_1.0.50")
    assert names(louder(events, 2))[1::2] == ["Velocity_11", "Velocity_71", "Velocity_127"]
    assert names(louder(events, -1))[1::2] == ["Velocity_3", "Velocity_59", "Velocity_119"]
    assert (louder(events, 2)[::2] == events[::2]).all()


def test_a_stretch_carries_what_was_rounded():
    shifts = [f"TimeShift_0.{ticks}.50" for ticks in (10, 10, 10, 10)]
    events = ids(*(token for pair in zip(shifts, ["NoteOff_60"] * 4, strict=True) for token in pair))
    # 10.4, 20.8, 31.2 and 41.6 ticks from the start: 10, 21, 31, 42
    assert [round(100 * time) for time in seconds(stretched(events, 1.04))[::2]] == [10, 21, 31, 42]


def test_waits_about_whole_seconds_keep_their_number_of_shifts_and_the_next_ones_make_up_for_it():
    events = ids(
        "NoteOn_60", "Velocity_63", "TimeShift_2.0.50", "NoteOff_60", "TimeShift_1.0.50", "NoteOn_60", "Velocity_63",
        "TimeShift_2.0.50", "TimeShift_0.2.50", "NoteOff_60", "TimeShift_0.20.50", "NoteOn_61", "Velocity_63",
    )  # fmt: skip
    # 100, 150, 252 and 272 ticks: longer, 105 does not fit into one shift; shorter, 239 leaves 97 for two.
    assert names(stretched(events, 1.05))[2::2][:1] == ["TimeShift_2.0.50"]
    assert [round(100 * time) for time in seconds(stretched(events, 1.05))[[2, 4, 8, 10]]] == [100, 158, 265, 286]
    assert [round(100 * time) for time in seconds(stretched(events, 0.95))[[2, 4, 8, 10]]] == [95, 142, 243, 258]


def one_by_one(events, factor):
    """Each event's time after stretching, in ticks: the nearest that the number of shifts before it can reach."""
    now, then, shifts, times = 0, 0, 0, []
    for before, event in zip(np.rint(100 * seconds(events)), names(events), strict=True):
        if event.startswith("TimeShift"):
            shifts += 1
        elif shifts:
            now, then, shifts = (
                before,
                np.clip(round(factor * before), then + 100 * shifts - 99, then + 100 * shifts),
                0,
            )
        assert before == now or shifts
        times.append(then)
    return times


@given(notes, st.floats(0.9, 1.1))
@example([(0, 1, 60, 3), (1, 1, 61, 3), (2, 1, 62, 3), (3, 1, 63, 3), (203, 9, 64, 3)], 0.9)
def test_a_stretch_moves_every_event_as_near_to_its_new_time_as_its_shifts_allow(rows, factor):
    events = events_of(rows)
    after, wanted = np.rint(100 * seconds(stretched(events, factor))), one_by_one(events, factor)
    is_shift = np.array([name.startswith("TimeShift") for name in names(events)])
    assert after[~is_shift].tolist() == np.array(wanted)[~is_shift].tolist()
    assert (stretched(events, 1.0) == events).all()


def test_melody_and_performance_are_stretched_alike_from_their_own_beginnings():
    melody = ids("TimeShift_0.15.50", "NoteOn_60", "Velocity_63", "TimeShift_0.15.50", "NoteOff_60")
    line = np.concatenate([melody, [ACCOMPANY], melody, [TOKENIZER["<|endoftext|>_None"]]])
    new = stretched(line, 1.04)
    assert (new[:5] == new[6:11]).all()
    assert new[5] == ACCOMPANY and new[-1] == line[-1]
    assert [round(100 * time) for time in seconds(new[:5])] == [16, 16, 16, 31, 31]


def test_what_is_off_changes_nothing_and_what_is_on_is_drawn_evenly():
    events = events_of([(0, 50, 60, 63), (80, 50, 64, 63)])
    assert (Augmentation()(events, np.random.default_rng(0)) == events).all()
    draws = {tuple(Augmentation(1, 0, 1)(events, np.random.default_rng(seed))) for seed in range(200)}
    assert len(draws) == 9
    lengths = [seconds(Augmentation(0, 0.05, 0)(events, np.random.default_rng(seed)))[-1] for seed in range(200)]
    assert 1.23 < min(lengths) < 1.25 and 1.35 < max(lengths) < 1.37


WITH_LENGTHS = Table(lengths.MEANING)


@given(notes, seeds)
def test_lengths_that_stand_with_their_notes_are_stretched_too(rows, seed):
    events = np.array(lengths.encode(decode(events_of(rows))))
    new = Augmentation(3, 0.05, 4, WITH_LENGTHS)(events, np.random.default_rng(seed))
    assert len(new) == len(events)
    assert lengths.encode(lengths.decode(new)) == new.tolist()
    (*_, before, _), (*_, after, _) = (columns(lengths.decode(line)) for line in (events, new))
    assert len({*(after - before)}) == 1


@pytest.mark.parametrize("factor", [0.95, 1.05])
@given(rows=notes)
def test_a_stretched_length_is_the_nearest_or_ends_where_its_key_is_struck_again(rows, factor):
    events = np.array(lengths.encode(decode(events_of(rows))))
    before, after = (columns(lengths.decode(line)) for line in (events, stretched(events, factor, WITH_LENGTHS)))
    wanted, found = factor * (before[1] - before[0]), after[1] - after[0]
    for place, (onset, _, pitch, _) in enumerate(after.T):
        again = after[0][(after[2] == pitch) & (after[0] > onset)]
        cut = bool(again.size) and again.min() < onset + 1.05 * wanted[place]
        assert found[place] <= 1.05 * wanted[place] + 1
        assert cut or found[place] >= 0.95 * wanted[place] - 1


def test_a_line_that_begins_within_a_note_keeps_what_it_cannot_tell():
    names = ["Velocity_63", "Duration_1.0.50", "TimeShift_2.0.10", "Pitch_60", "Velocity_63", "Duration_1.0.50"]
    events = np.array([lengths.TOKENIZER[name] for name in names])
    for start in range(6):
        found = stretched(events[start:], 1.1, WITH_LENGTHS)
        assert len(found) == 6 - start
        assert [lengths.TOKENIZER[int(event)] for event in found[-3:]][-1] in ("Duration_1.5.50", names[5])
