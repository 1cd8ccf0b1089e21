"""Events with lengths: their lines, and pieces that go on from others."""

import functools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.generation.arguments import GenerationArguments
from shared.generation.generate import generate
from tasks.midi.codec import columns, save
from tasks.midi.lengths import MEANING, clocked, decode, encode, unclocked
from tasks.midi.vocabulary import LengthsVocabulary
from tasks.music import Music
from tasks.music.arguments import MusicArguments, MusicRequestArguments
from tasks.music.jobs import leading_to
from tasks.music.pieces import piece
from tasks.music.windows import accompaniment, continuation, since
from tests.contract import Case, TaskContract
from tests.midi_files import opened
from tests.tasks.music.test_lengths import ACCOMPANY, COMPOSE, CONTINUE, END, SIZE, VOCABULARY, ids, notes, played

CONTEXT = 96


def music(*job, asked=None, **arguments):
    arguments = MusicArguments(job=list(job), lengths="with_note", **arguments)
    return Music(arguments, Music.build_vocabulary(arguments, None, None, 0), MusicRequestArguments(**(asked or {})))


@given(notes, st.integers(30, 80))
def test_composing_and_continuing_learn_every_event_once_and_primers_are_whole(rows, max_length):
    row = {"events": encode(played(rows))}
    for job, first in (("compose", COMPOSE), ("continue", CONTINUE)):
        lines = music(job).sequences(row, max_length, training=True)
        assert all(len(line) <= max_length for line in lines)
        assert [event for line in lines for event in line.target] == [*row["events"], END]
        assert lines[0].context == [first]
    for line in lines[1:]:
        primer = line.context[:-1]
        assert MEANING[primer[0]][0] in ("NoteOn", "TimeShift") and MEANING[primer[-1]][0] in ("Duration", "TimeShift")


def without_beginning(melody):
    return melody[1:] if melody[:1] == [COMPOSE] else melody


@given(notes, st.sampled_from([60, 400]))
def test_melody_and_performance_of_a_segment_are_in_the_same_time(rows, max_length):
    whole = played(rows)
    row = {"events": encode(whole), "melody": encode(played(rows[:1]))}
    lines = music("accompany", segment_seconds=2).sequences(row, max_length, training=True)
    found, learned = [], 0
    for line in filter(None, lines):
        separator = line.context.index(ACCOMPANY)
        melody, given = without_beginning(line.context[:separator]), line.context[separator + 1 :]
        performance = [*given, *line.target[:-1]]
        found.append(columns(decode(performance)))
        learned += (VOCABULARY.pitches[line.target] >= 0).sum()
        assert not given or VOCABULARY.ticks[given[-1]]  # no note is cut
        for part in (melody, performance):
            assert clocked(unclocked(part)) == part and encode(decode(part)) == unclocked(part)
    assert learned == columns(whole).shape[1] or None in lines
    assert all(part[1].max(initial=0) <= 205 for part in found)  # lengths above a second are rounded


def test_what_is_read_to_go_on_with_a_song_is_what_is_given_in_training():
    melody = encode(played([(at, 60, 60 + at // 70 % 12, 64) for at in range(0, 3000, 100)]))
    whole = encode(played([(at, 40, 50 + at // 50 % 7, 64) for at in range(0, 3000, 50)]))
    row, most = {"events": whole, "melody": melody}, 4 * len(whole)
    first, *others = music("accompany", segment_seconds=4).sequences(row, most, training=True)
    assert accompaniment(melody, [], 2 * most, 400, VOCABULARY).ids == first.context
    for now, line in zip(range(400, 3000, 300), others, strict=True):
        written = whole[: leading_to(whole, now, VOCABULARY)]
        assert accompaniment(melody, written, 2 * most, 400, VOCABULARY).ids == line.context


@given(notes, st.floats(0, 1))
def test_what_is_carried_over_has_begun_in_the_window(rows, share):
    events = encode(played(rows))
    start = round(share * int(VOCABULARY.times(events)[-1]))
    found = columns(decode(events))
    found = found[:, found[0] >= start]
    found[:2] -= start
    assert columns(decode(since(events, start, VOCABULARY))).tolist() == found.tolist()
    assert since(events, 0, VOCABULARY) == events
    for place in range(0, len(events), 5):  # cut anywhere, even within a note
        if (now := int(VOCABULARY.ticks[events[:place]].sum())) >= start:
            assert VOCABULARY.ticks[since(events[:place], start, VOCABULARY)].sum() == now - start


def test_a_note_is_whole_in_every_window_of_a_continuation():
    events = encode(played([(70 * at, 60, 60 + at % 12, 64) for at in range(40)]))
    for length in range(len(events)):
        *window, last = continuation([*events[:12], CONTINUE], events[12 : 12 + length], CONTEXT, VOCABULARY).ids
        window = window if last == CONTINUE else [*window, last]
        at = window.index(CONTINUE) if CONTINUE in window else len(window)
        assert MEANING[window[0]][0] in ("NoteOn", "TimeShift") and MEANING[window[at - 1]][0] != "NoteOn"


@pytest.fixture(scope="module")
def decoder(new_decoder):
    return new_decoder(SIZE, context=CONTEXT)


@pytest.mark.parametrize("job", ["continue", "compose"])
def test_music_goes_on_over_many_windows(decoder, job):
    primer = encode(played([(70 * at, 60, 60 + at % 12, 40 + at) for at in range(5)]))
    task = music(job, asked={"seconds": 600})
    row = {"job": job, "given": primer}
    prompt = task.prompt(row, CONTEXT, 1000).context
    look = functools.partial(task.window, row, prompt, context=CONTEXT)
    found = []

    def view(_, written):
        found.append(look(written).ids)
        return look(written)

    (written,) = generate(
        *(decoder, [prompt], GenerationArguments(do_sample=True, max_new_tokens=500, min_new_tokens=400), VOCABULARY),
        constraint=task.constraint(), look=view,
    )  # fmt: skip
    assert len(written) > 3 * CONTEXT and len(found) > 3
    assert encode(decode([*primer, *written])) == [*primer, *written]
    if job == "compose":
        assert {MEANING[window[0]][0] for window in found if window[0] in MEANING} <= {"NoteOn", "TimeShift"}


def test_an_accompaniment_lasts_as_long_as_its_melody_and_ends(decoder):
    melody = encode(played([(at, 60, 60 + at // 70 % 12, 64) for at in range(0, 3000, 70)]))
    task, row = music("accompany", segment_seconds=4), {"job": "accompany", "given": melody, "at": 0}
    prompt = task.prompt(row, CONTEXT, 1000).context
    (written,) = generate(
        *(decoder, [prompt], GenerationArguments(do_sample=True, max_new_tokens=4000), VOCABULARY),
        constraint=task.constraint(), look=lambda _, written: task.window(row, prompt, written, CONTEXT),
    )  # fmt: skip
    assert encode(decode(written)) == unclocked(written) == task.decode(written)
    assert columns(decode(written))[0].max() >= 3000 - 400
    made = piece(row, written, task.request_arguments, VOCABULARY)
    assert made.given == decode(melody)
    window = accompaniment(melody, written, CONTEXT, 400, VOCABULARY)
    assert window.last and len(window.ids) <= CONTEXT // 2


@pytest.mark.parametrize("seed", range(8))
def test_every_window_over_a_melody_says_times_from_its_own_beginning(decoder, seed):
    melody = encode(played([(at, 60, 60 + at // 70 % 12, 64) for at in range(0, 3000, 70)]))
    task, row = music("accompany", segment_seconds=4), {"job": "accompany", "given": melody, "at": 0}
    prompt = task.prompt(row, CONTEXT, 1000).context
    seen = []

    def look(_, written):
        seen.append((len(written), task.window(row, prompt, written, CONTEXT)))
        return seen[-1][1]

    (written,) = generate(
        *(decoder, [prompt], GenerationArguments(do_sample=True, max_new_tokens=4000), VOCABULARY),
        constraint=task.constraint(), look=look, seed=seed,
    )  # fmt: skip
    seen = dict(seen)  # the first is looked at twice
    assert len(seen) > 5 and len({window.start for window in seen.values()}) > 3
    for (done, window), until in zip(seen.items(), [*list(seen)[1:], len(written)], strict=True):
        separator = window.ids.index(ACCOMPANY)
        shown, carried = without_beginning(window.ids[:separator]), window.ids[separator + 1 :]
        assert clocked(unclocked(shown)) == shown and encode(decode(shown)) == unclocked(shown)
        assert not carried or MEANING[carried[0]][0] in ("NoteOn", "TimeShift", "Time")  # no note is cut
        if len(window.ids) > CONTEXT // 2 - 4:  # a part may be left out
            continue
        target = [*carried, *written[done:until]]
        while target and MEANING[target[-1]][0] == "Time":  # for a note that no longer fitted
            target.pop()
        # A wait that a window ended in may go on in the next.
        said, expected = (
            [event for event in line if not VOCABULARY.ticks[event]] for line in (target, clocked(target))
        )
        assert said == expected


@pytest.fixture
def file(tmp_path):
    save(played([(100 * second, 150, 60 + second, 40 + second) for second in range(20)]), tmp_path / "given.mid")
    return str(tmp_path / "given.mid")


@pytest.mark.parametrize("whole", [True, False])
def test_a_continuation_begins_after_the_last_onset_and_cuts_no_note_of_its_primer(file, whole):
    task = music("continue", asked={"write_prime": whole})
    row, written = task.request(file), ids("TimeShift_0.25.50", "Pitch_90", "Velocity_63", "Duration_2.0.10")
    made = piece(row, written, task.request_arguments, task.vocabulary)
    if whole:
        assert columns(made.sounding)[:2, -2:].T.tolist() == [[1900, 2050], [1925, 2025]]
        whole = opened(made.file)
        assert [note.duration for note in whole.tracks[0].notes] == [1500] * 20
        assert [note.time for note in whole.tracks[-1].notes] == [19250]
    else:
        assert columns(made.sounding)[:3].T.tolist() == [[25, 125, 90]]
    short = task.prompt(row, 40, 10).context
    assert len(short) <= 30 and MEANING[short[0]][0] in ("NoteOn", "TimeShift")


def test_the_embedded_pieces_are_the_same():
    rows, others = (
        Music.load_rows(MusicArguments(lengths=lengths))["test"].select(range(3))
        for lengths in ("with_note", "note_off")
    )
    for column in ("events", "melody"):
        assert rows[column] == [VOCABULARY.rewritten(events) for events in others[column]]
    assert rows.features == others.features


def test_what_it_is_not_for_is_refused_in_one_line():
    message = re.escape("--velocity on_change is for --lengths note_off: give that, too")
    with pytest.raises(ValueError, match=message) as error:
        MusicArguments(lengths="with_note", velocity="on_change")
    assert "\n" not in str(error.value)


def test_a_saved_vocabulary_is_known_again(tmp_path):
    VOCABULARY.save(tmp_path)
    assert type(Music.load_vocabulary(str(tmp_path))) is LengthsVocabulary


class TestLengths(TaskContract):
    @pytest.fixture(scope="class")
    def case(self, midi_dir):
        return Case.of(
            Music, MusicArguments(midi_dir=str(midi_dir), lengths="with_note", job=["compose", "accompany", "infill"])
        )
