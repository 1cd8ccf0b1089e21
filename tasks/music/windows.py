"""What the decoder reads before it writes on, where a piece is longer than its context: lines as in training.

    melody of the window <|accompany|> what is written since the window began   an accompaniment, a segment at a time
    last events <|continue|>                                                    a continuation, half a line at a time
    last notes                                                                  a composition with lengths

The windows over a melody overlap. Of each but the first, a quarter or a little more is written already, from a note of
the melody on, and is given as in training. The last quarter is seen, but left to the next window, which sees how it
goes on:

    ├────────── to be written ────────────┼── only seen ──┤
                          ├─── written ───┼────── to be written ──────┼── only seen ──┤

So nothing is written twice, and what sounds where one ends goes on in the next. With lengths it goes on unseen: no
segment of training begins with notes from before, and to a decoder that sees some struck at once the music is denser
than it is, so that it writes more and more.
"""

from collections.abc import Sequence

from shared.writing import Window
from tasks.midi.codec import columns, waits
from tasks.midi.vocabulary import ACCOMPANY, MusicVocabulary
from tasks.music.jobs import AROUND, SHORTEST_SEGMENT, segment_of, splits_a_note, window_start


def accompaniment(
    melody: Sequence[int], written: Sequence[int], context: int, segment: int, vocabulary: MusicVocabulary
) -> Window:
    """The window over a melody, of `segment` ticks, that the decoder reads to go on after `written`.

    It is halved until it takes half of the context at most. Where it shows the end of the melody, it has no `until`.
    Once what is written has come to the melody's end, the window is the last: the rest ends with the context.
    """
    song, events, half = vocabulary.decode(melody), vocabulary.unclocked(written), context // 2
    now = int(vocabulary.ticks[events].sum())
    separator = vocabulary.tokens[ACCOMPANY]
    onsets, offsets, *_ = columns(song)
    end, length, past = int(offsets.max(initial=0)), segment, segment // AROUND
    while True:
        start = window_start(onsets, now, past)
        source = segment_of(song, start, start + length, vocabulary)
        begun = since(events, start, vocabulary)
        target = vocabulary.clocked(begun)
        if len(source) + 1 + len(target) <= half or not past:
            break
        past //= 2
        length = length // 2 if length >= 2 * SHORTEST_SEGMENT else length
    if len(source) + 1 + len(target) > half:  # very many notes at once
        source = source[: half // 2 - splits_a_note(source, half // 2, vocabulary)]
        target = vocabulary.ending(target, half - 1 - len(source))
    until = None if start + length >= end else start + length - length // AROUND
    at = vocabulary.times(begun)[vocabulary.ticks[begun] == 0]
    said = start + int(at[-1]) if at.size else -1  # the last event's time has been said
    return Window([*source, separator, *target], until, last=now >= end, start=start, said=said)


def composition(prompt: Sequence[int], written: Sequence[int], context: int, vocabulary: MusicVocabulary) -> Window:
    """The prompt and all that is written or, where that fills the context, its end: half of it, cut between notes."""
    ids = [*prompt, *written]
    return Window(ids if len(ids) < context else vocabulary.ending(ids, context // 2))


def continuation(prompt: Sequence[int], written: Sequence[int], context: int, vocabulary: MusicVocabulary) -> Window:
    """The prompt and all that is written or, where that fills the context, its last events as a new primer.

    Such a primer is cut between notes, and takes half of the context with the separator.
    """
    if len(prompt) + len(written) < context:
        return Window([*prompt, *written])
    *primer, separator = prompt
    events = [*primer, *written]
    start, stop = len(events) - (context // 2 - 1), len(events)
    start += -splits_a_note(events, start, vocabulary) % vocabulary.note_size
    stop -= splits_a_note(events, stop, vocabulary)
    return Window([*events[start:stop], separator, *events[stop:]])


def since(events: Sequence[int], start: int, vocabulary: MusicVocabulary) -> list[int]:
    """The events from tick `start` on, with their times counted from there.

    Notes that sound there from before begin there where their release is still to come, and are left out where they
    have said their length.
    """
    times = vocabulary.times(events)
    sounding: dict[int, Sequence[int]] = {}
    for place, (event, time) in enumerate(zip(events, times.tolist(), strict=True)):
        kind, value = vocabulary.meaning[event]
        if time > start or (time == start and kind == "NoteOn"):
            break
        if kind == "NoteOn":
            sounding[value] = events[place : place + 2]
        elif kind == "NoteOff":
            del sounding[value]
        elif kind == "Duration":  # of the note before it, the only one there is
            sounding.clear()
    else:
        place = len(events)
    later = place
    while later < len(events) and vocabulary.ticks[events[later]]:
        later += 1
    wait = int(times[later - 1]) - start if later else 0
    held = [event for pitch in sorted(sounding) for event in sounding[pitch]]
    return [*held, *waits(wait, vocabulary.shifts), *events[later:]]
