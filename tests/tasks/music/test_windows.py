"""Music longer than a segment, or than a decoder sees: window after window, as if it were one."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import UserError
from shared.generation import reference
from shared.generation.arguments import GenerationArguments
from shared.generation.candidates import generate_best
from shared.generation.generate import generate
from tasks.midi.codec import MEANING, TOKENIZER, columns, decode, encode, later, one_piano
from tasks.midi.scores import consonance_at_equal_length
from tasks.midi.vocabulary import MusicVocabulary
from tasks.music import Music
from tasks.music.arguments import MusicArguments, MusicRequestArguments
from tasks.music.asking import accompaniment as accompaniment_of
from tasks.music.constraint import EventConstraint
from tasks.music.pieces import piece
from tasks.music.windows import accompaniment, continuation, since
from tests.midi_files import opened
from tests.tasks.music.test_constraint import in_order, released

CONTEXT = 96
VOCABULARY = MusicVocabulary()
COMPOSE, CONTINUE, ACCOMPANY = (TOKENIZER[f"<|{job}|>_None"] for job in ("compose", "continue", "accompany"))
SAMPLED = GenerationArguments(do_sample=True, max_new_tokens=4000)


def played(rows):
    return one_piano(*np.array(rows, dtype=int).reshape(-1, 4).T)


def song(length, gap=70):
    """A melody of so many ticks, a note every `gap`."""
    return encode(played([(at, min(at + 60, length), 60 + at // gap % 12, 64) for at in range(0, length - 1, gap)]))


def music(*job, asked=None, **arguments):
    return Music(MusicArguments(job=list(job), **arguments), VOCABULARY, MusicRequestArguments(**(asked or {})))


def asking(melody):
    return {"job": "accompany", "given": melody, "at": 0}


@pytest.fixture(scope="module")
def decoder(new_decoder):
    return new_decoder(len(TOKENIZER), context=CONTEXT)


def write(decoder, task, rows, settings, seed=0):
    prompts = [task.prompt(row, CONTEXT, settings.max_new_tokens).context for row in rows]
    return generate_best(decoder, task, prompts, settings, seed=seed, constraint=task.constraint(), rows=rows)


def recorded(decoder, prompt, view, settings, seed, constraint=None):
    """What is written after a prompt, and the windows: what was written before each, and what was read."""
    found = []

    def look(index, written):
        window = view(written)
        if not found or len(found[-1][0]) < len(written):  # the first one is asked for several times
            found.append(([*written], window))
        return window

    constraint = constraint or EventConstraint(VOCABULARY)
    (written,) = generate(decoder, [prompt], settings, VOCABULARY, seed=seed, constraint=constraint, look=look)
    return written, found


def ticks(events):
    return int(VOCABULARY.times(events)[-1]) if events else 0


notes = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 300), st.integers(40, 90), st.integers(1, 127)))


@given(notes, st.floats(0, 1))
def test_what_is_carried_over_begins_with_the_window(rows, share):
    whole = played([(onset, onset + length, pitch, velocity) for onset, length, pitch, velocity in rows])
    events = encode(whole)
    start = round(share * ticks(events))
    found = columns(whole)
    found = found[:, found[1] > start]
    found[:2] = np.maximum(found[:2] - start, 0)
    assert decode(since(events, start, VOCABULARY)) == one_piano(*found)
    for place in range(0, len(events), 7):  # cut anywhere, even between a key and its velocity
        if ticks(events[:place]) >= start:
            assert ticks(since(events[:place], start, VOCABULARY)) == ticks(events[:place]) - start
    assert since(events, 0, VOCABULARY) == events


@given(st.integers(10, 2500), st.sampled_from([150, 400, 1000]), st.integers(50, 200), st.integers(0, 99))
@settings(max_examples=15)
def test_windows_over_a_song_line_up(decoder, length, segment, gap, seed):
    melody = song(length, gap)
    whole, end = columns(decode(melody)), ticks(melody)
    view = functools.partial(accompaniment, melody, context=CONTEXT, segment=segment, vocabulary=VOCABULARY)
    written, found = recorded(decoder, [ACCOMPANY], view, SAMPLED, seed)
    for before, window in found:
        at = window.ids.index(ACCOMPANY)
        source, target = window.ids[:at], window.ids[at + 1 :]
        start, now = ticks(before) - ticks(target), ticks(before)
        assert len(window.ids) <= CONTEXT // 2
        assert 0 <= start <= now  # in the melody's time, from one of its notes on if there is one near
        assert start in {0, *whole[0]} or not ((whole[0] > 2 * start - now) & (whole[0] <= start)).any()
        carried = since(before, start, VOCABULARY)
        assert carried[len(carried) - len(target) :] == target
        assert len(carried) == len(target) or start == now  # more sounds than fits
        assert (source[:1] == [COMPOSE]) == (start == whole[0][0])
        seen = columns(decode(source))
        first = np.searchsorted(whole[0], start)  # what the window shows is the melody from there on, none left out
        shown = whole[:, first : first + seen.shape[1]]
        assert (seen[0] + start).tolist() == shown[0].tolist() and seen[2].tolist() == shown[2].tolist()
        if window.until is None:
            assert first + seen.shape[1] == whole.shape[1]
        else:
            assert now < window.until < end
        assert window.last == (now >= end)
    for (before, window), (after, _) in zip(found, [*found[1:], (written, None)], strict=True):
        assert after[: len(before)] == before  # no window changes what the one before wrote
        if window.until is not None and ticks(after) >= window.until:
            assert ticks(after[:-1]) < window.until  # it stops at the first event there
    assert released(written)
    assert in_order(written) == encode(decode(written))
    assert ticks(written) >= max((window.until or 0 for _, window in found), default=0)


def test_the_last_quarter_of_a_window_is_seen_and_left_to_the_next():
    window = accompaniment(song(2000), [], 10 * CONTEXT, 800, VOCABULARY)
    shown = columns(decode(window.ids[: window.ids.index(ACCOMPANY)]))[0]
    assert window.until == 600 and shown.max() >= 700 and not window.last


def test_an_accompaniment_lasts_as_long_as_its_melody_and_ends(decoder):
    task = music("accompany", segment_seconds=4)
    melody = song(4000)
    (written,) = write(decoder, task, [asking(melody)], SAMPLED)
    onsets = columns(decode(written))[0]
    assert onsets.max() >= 4000 - 400 and np.diff(np.unique(onsets)).max() <= 1000
    assert released(written)
    made = piece(asking(melody), written, task.request_arguments, VOCABULARY)
    assert made.given == decode(melody)
    tracks = {track.name: track for track in opened(made.file).tracks}
    assert [note.pitch for note in tracks["Melody"].notes] == columns(decode(melody))[2].tolist()
    assert [note.time for note in tracks["Melody"].notes] == (10 * columns(decode(melody))[0]).tolist()
    assert len(tracks["Accompaniment"].notes) > 50
    (short,) = write(decoder, music("accompany", asked={"seconds": 15}), [asking(melody)], SAMPLED)
    assert 1000 <= columns(decode(short))[0].max() < 1500 and released(short)


def test_an_introduction_is_accompanied_before_its_melody_begins(decoder):
    """Windows without a note of the melody have learned lines, too: segments in which it rests."""
    task = music("accompany", segment_seconds=4, asked={"intro": True})
    row = accompaniment_of(encode(later(decode(song(600)), 1000)), 10**6, task.request_arguments, task.vocabulary)
    (written,) = write(decoder, task, [row], SAMPLED)
    assert task.prompt(row, CONTEXT, 40).context == [ACCOMPANY]
    onsets = columns(decode(written))[0]
    assert released(written) and onsets.min() < 900 and onsets.max() > 1300
    made = piece(row, written, task.request_arguments, VOCABULARY)
    assert columns(made.given)[0].min() == 1000


@pytest.mark.parametrize("slots", [64, 3])
def test_in_each_window_the_most_consonant_of_several_accompaniments_is_gone_on_with(decoder, slots):
    task = music("accompany", "compose", segment_seconds=4)
    rows = [asking(song(390)), asking(song(1000, gap=90))]
    sampled = GenerationArguments(do_sample=True, max_new_tokens=80, num_candidates=3, generation_batch_size=slots)
    for place, (row, events) in enumerate(zip(rows, write(decoder, task, rows, sampled), strict=True)):
        prompt, most = task.prompt(row, CONTEXT, 80).context, task.new_tokens(row, 80)
        parts, judge = [], task.judge(row)

        def chosen(candidates, parts=parts, judge=judge):
            parts.append(candidates)
            return judge(candidates)

        expected = reference.write_best(
            decoder,
            prompt,
            replace(sampled, max_new_tokens=most),
            VOCABULARY.end,
            [np.random.default_rng([0, 3 * place + candidate]).random(most) for candidate in range(3)],
            functools.partial(task.window, row, prompt, context=CONTEXT),
            chosen,
            task.constraint(),
        )
        assert events == expected and len(parts) > 2 * place  # the longer song has windows
        melody = decode(row["given"])
        found = [[consonance_at_equal_length(decode(each), melody) for each in part] for part in parts]
        assert [*map(judge, parts)] == [np.argmax(each) for each in found] and len({*found[0]}) > 1
    with pytest.raises(UserError, match=r"--num_candidates chooses by a melody.* to compose"):
        write(decoder, task, [{"job": "compose", "given": []}], sampled)


@pytest.mark.parametrize("sample", [False, True])
def test_a_song_that_fits_into_one_window_is_written_as_in_one(decoder, sample):
    task, melody = music("accompany", segment_seconds=4), song(390)
    few = GenerationArguments(do_sample=sample, max_new_tokens=50)
    (whole,) = write(decoder, task, [asking(melody)], few)
    prompt = [COMPOSE, *melody, ACCOMPANY]
    assert task.prompt(asking(melody), CONTEXT, 50).context == prompt
    assert [whole] == generate(decoder, [prompt], few, VOCABULARY, constraint=task.constraint())


@pytest.mark.parametrize(("sample", "copying"), [(False, 0), (True, 0), (True, 5)])
def test_songs_in_a_batch_are_written_as_one_by_one_and_as_by_the_reference(new_decoder, sample, copying):
    exact = new_decoder(len(TOKENIZER), context=CONTEXT, dtype=torch.float64, copy_attention=copying)
    task = music("accompany", segment_seconds=3)
    rows = [asking(song(length)) for length in (1500, 200, 1000)]
    prompts = [task.prompt(row, CONTEXT, 40).context for row in rows]

    def look(index, written):
        return task.window(rows[index], prompts[index], written, CONTEXT)

    few = GenerationArguments(do_sample=sample, max_new_tokens=150, generation_batch_size=2)
    rule = task.constraint()
    expected = reference.generate(exact, prompts, few, VOCABULARY, constraint=rule, look=look)
    assert generate(exact, prompts, few, VOCABULARY, constraint=rule, look=look) == expected
    assert 0 < rule.removed < rule.tokens
    assert 0 <= rule.tokens - sum(map(len, expected)) <= 3  # ends
    for index, ids in enumerate(expected):
        given = [rows[index]], [prompts[index]]
        alone = generate(
            *(exact, given[1], few, VOCABULARY),
            streams=[index], constraint=rule, look=lambda _, written, index=index: look(index, written),
        )  # fmt: skip
        assert alone == [ids]


@pytest.mark.parametrize(("length", "rule"), [(2, {"min_new_tokens": 300}), (60, {"no_repeat_ngram_size": 1})])
def test_rules_for_text_give_way_to_the_grammar(decoder, length, rule):
    """They forbid what alone it allows: the end, or a velocity where all 32 have been."""
    task = music("compose", asked={"seconds": length})
    settings = GenerationArguments(do_sample=True, max_new_tokens=300, **rule)
    written = write(decoder, task, [task.request("")] * 3, settings)
    for events in [*written, *write(decoder, task, [task.request("")], settings)]:  # many slots, and one alone
        assert events and released(events) and in_order(events) == encode(decode(events))


def test_tokens_are_counted_for_each_segment():
    task = music("accompany", "continue", segment_seconds=10)
    assert task.new_tokens(asking(song(900)), 300) == 300
    assert task.new_tokens(asking(song(4100)), 300) == 1500
    assert task.new_tokens({"job": "continue", "given": []}, 300) == 300
    asked = music("accompany", "continue", segment_seconds=10, asked={"seconds": 25})
    assert asked.new_tokens(asking(song(4100)), 300) == 900
    assert asked.new_tokens({"job": "continue", "given": []}, 300) == 900


@pytest.mark.parametrize("job", ["continue", "compose"])
def test_music_goes_on_for_minutes(decoder, job):
    """Nothing is lost where windows change, every note ends, and each window is as long as the others."""
    primer = song(300)
    task = music(job, asked={"seconds": 90})
    row = {"job": job, "given": primer}
    prompt = task.prompt(row, CONTEXT, 1000).context
    view = functools.partial(task.window, row, prompt, context=CONTEXT)
    written, found = recorded(decoder, prompt, view, SAMPLED, 0, task.constraint())
    assert 8500 <= columns(decode(written))[0].max() < 9000 and ticks(written) <= 9101
    rule = EventConstraint(VOCABULARY, 90)
    state = rule.new_state(1, "cpu")
    rule.begin(state, 0, prompt, len(written) + 1)
    for event in [*written, VOCABULARY.end]:  # as one piece
        assert rule.allowed(state)[0, event]
        rule.advance(state, torch.tensor([event]))
    assert released([*primer, *written])
    struck = sum(MEANING[event][0] == "NoteOn" for event in written)
    assert len(decode([*primer, *written]).tracks[0].notes) == len(decode(primer).tracks[0].notes) + struck
    lengths = [len(window.ids) for _, window in found[1:]]
    assert len(found) > 10 and max(lengths) <= CONTEXT // 2
    assert np.diff([len(before) for before, _ in found[1:]]).min() >= CONTEXT // 2 - 2


def test_what_is_continued_stands_before_its_separator_in_every_window():
    prompt, events = [*song(300), CONTINUE], [event for event in song(2000) if event]
    for length in range(len(events)):
        window = continuation(prompt, events[:length], CONTEXT, VOCABULARY).ids
        at = window.index(CONTINUE)
        whole = [*prompt[:-1], *events[:length]]
        assert [*window[:at], *window[at + 1 :]] == whole[len(whole) - len(window) + 1 :]
        assert at == len(window) - 1 or MEANING[window[-1]][0] == "NoteOn" or len(prompt) + length < CONTEXT
        assert MEANING[window[0]][0] != "Velocity"
