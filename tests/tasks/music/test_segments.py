"""The lines that a melody and its performance make."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.midi.codec import decode, encode
from tasks.midi.vocabulary import MusicVocabulary
from tests.tasks.music.test_jobs import ACCOMPANY, COMPOSE, END, music, names, piece, rows


def ticks(events):
    return int(MusicVocabulary.ticks[np.array(events, dtype=int)].sum())


@given(rows(), st.sampled_from([60, 100, 400]))
def test_melody_and_performance_of_a_segment_are_in_the_same_time(row, max_length):
    lines = music("accompany", segment_seconds=8).sequences(row, max_length, training=True)
    onsets = {name: decode(row[name]).tracks[0].notes.numpy()["time"] for name in row}
    found, given_until = {"melody": [], "events": []}, []
    for line in lines:
        separator = line.context.index(ACCOMPANY)
        source, before = line.context[:separator], line.context[separator + 1 :]
        *target, end = line.target
        assert end == END and len(line) <= max_length and not line.cut
        parts = {"melody": decode(source), "events": decode([*before, *target])}
        assert all(part.end() <= 800 for part in parts.values())
        for name, part in parts.items():
            found[name].append(part.tracks[0].notes.numpy()["time"])
        given_until.append((ticks(before[:-1]), ticks(before)))
    if max_length < 400:  # a second of many notes may not fit
        return
    begins, end = int(onsets["melody"][0]), int(onsets["events"][-1])
    segments = [(0, 0, min(800, begins) or 800)]  # where it begins, where what is learned does, and where it ends
    while (new := segments[-1][2]) <= end:
        near = [onset for onset in onsets["melody"].tolist() if new - 400 < onset <= new - 200]
        start = new if new == begins else max(near, default=new - 200)
        segments.append((start, new, min(start + 800, begins) if new < begins else start + 800))
    assert [line.context[0] == COMPOSE for line in lines] == [start == begins for start, _, _ in segments]
    for (start, new, stop), (short, long) in zip(segments, given_until, strict=True):
        if start < new and any(new <= onset < stop for onset in onsets["events"].tolist()):
            assert short < new - start <= long
    for name, times in found.items():
        for (start, _, stop), each in zip(segments, times, strict=True):
            assert (each + start).tolist() == [time for time in onsets[name].tolist() if start <= time < stop]


def test_a_segment_that_is_too_long_is_halved_and_a_second_that_is_too_long_dropped():
    played = [(10 * index, 10 * index + 8, 60 + index % 5, 64) for index in range(160)]  # 16 s, 4 events a note
    row = {"events": encode(piece(*played)), "melody": encode(piece(*played[::16]))}
    task = music("accompany", segment_seconds=16)
    assert len(task.sequences(row, 1024, True)) == 1
    lines = task.sequences(row, 250, True)
    assert len(lines) == 7  # 4 s, and six times 2 s, after a third of that
    assert sum(name.startswith("NoteOn") for line in lines for name in names(line.target)) == 160
    assert task.sequences(row, 20, True) == [None] * 16
