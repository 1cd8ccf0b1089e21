"""What is read to write on, where a piece is longer than the decoder sees: lines like those that it has learned.

    melody of the window <|accompany|> what is written since the window began   an accompaniment, a segment at a time
    last events <|continue|>                                                    a continuation, half a line at a time

The windows over a melody overlap. Of each but the first, a quarter or a little more is written already, from a note of
the melody on, and is the beginning of its target. The last quarter is seen, but left to the next window, which sees how
it goes on:

    ├────────── to be written ────────────┼── only seen ──┤
                          ├─── written ───┼────── to be written ──────┼── only seen ──┤

So nothing is written twice, and what sounds where one ends goes on in the next.
"""

from collections.abc import Sequence as Tokens

import numpy as np

from shared.writing import Window
from tasks.midi.codec import MEANING, columns, decode, encode, excerpt, waits
from tasks.midi.vocabulary import MusicVocabulary
from tasks.music.jobs import SHORTEST_SEGMENT, splits_a_note_on

AROUND = 4  # what is written already (at least, and half at most), and what is only seen: one part of so many


def accompaniment(melody: Tokens[int], written: Tokens[int], context: int, segment: int, separator: int) -> Window:
    """The window over a melody, of `segment` ticks, from which `written` is gone on.

    It is halved until it takes half of the context at most. The last one shows the end of the melody. Behind that, what
    is written ends with the context.
    """
    song, now, half = decode(melody), int(_ticks(written).sum()), context // 2
    onsets, offsets, *_ = columns(song)
    end, length, past = int(offsets.max(initial=0)), segment, segment // AROUND
    while True:
        near = onsets[(now - 2 * past < onsets) & (onsets <= now - past)]
        start = int(near[-1]) if near.size else max(0, now - past)
        source, target = encode(excerpt(song, start, start + length)), since(written, start)
        if len(source) + 1 + len(target) <= half or not past:
            break
        past //= 2
        length = length // 2 if length >= 2 * SHORTEST_SEGMENT else length
    if len(source) + 1 + len(target) > half:  # very many notes at once
        source = source[: half // 2]
        target = target[len(target) - min(len(target), half - 1 - len(source)) :]
    until = None if start + length >= end else start + length - length // AROUND
    return Window([*source, separator, *target], until, last=now >= end)


def continuation(prompt: Tokens[int], written: Tokens[int], context: int) -> Window:
    """All so far or, where that fills the context, its last events as the primer."""
    if len(prompt) + len(written) < context:
        return Window([*prompt, *written])
    *primer, separator = prompt
    events = [*primer, *written]
    start, stop = len(events) - (context // 2 - 1), len(events)
    start += splits_a_note_on(events, start)
    stop -= splits_a_note_on(events, stop)
    return Window([*events[start:stop], separator, *events[stop:]])


def since(events: Tokens[int], start: int) -> list[int]:
    """The events from tick `start` on, which becomes 0. What has begun before and sounds there begins there."""
    times = np.cumsum(_ticks(events))
    sounding: dict[int, Tokens[int]] = {}
    for place, (event, time) in enumerate(zip(events, times.tolist(), strict=True)):
        kind, value = MEANING[event]
        if time > start or (time == start and kind == "NoteOn"):
            break
        if kind == "NoteOn":
            sounding[value] = events[place : place + 2]
        elif kind == "NoteOff":
            del sounding[value]
    else:
        place = len(events)
    later = place
    while later < len(events) and MEANING[events[later]][0] == "TimeShift":
        later += 1
    wait = int(times[later - 1]) - start if later else 0
    struck = [event for pitch in sorted(sounding) for event in sounding[pitch]]
    return [*struck, *waits(wait), *events[later:]]


def _ticks(events: Tokens[int]) -> np.ndarray:
    """How long each event takes. Shape [events]."""
    return MusicVocabulary.ticks[np.array(events, dtype=int)]
