"""The jobs a decoder of events learns, each a kind of line:

               <|compose|>    events …        <|endoftext|>
    primer     <|continue|>   continuation …
    melody     <|accompany|>  performance     <|endoftext|>
    past <|gap|> future <|infill|>   middle   <|endoftext|>
    └── context: attended to ┘└── learned ────────────────┘

One decoder may learn several: every piece then gives lines of each kind. Where a melody begins, `<|compose|>` stands
before it, as before a piece's first events: songs begin calmer than they go on.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from symusic import Score

from shared.data.sequence import TokenSequence, windows
from shared.errors import UserError
from shared.task import Row
from tasks.midi.codec import TICKS_PER_SECOND, columns, excerpt
from tasks.midi.vocabulary import ACCOMPANY, COMPOSE, CONTINUE, INFILL, MusicVocabulary
from tasks.music.melody import first_onset

JOBS = {"compose": COMPOSE, "continue": CONTINUE, "accompany": ACCOMPANY, "infill": INFILL}
SHORTEST_SEGMENT = TICKS_PER_SECOND
AROUND = 4  # what is written already, and what is only seen of the melody, of a segment: one part of so many each


def compose(
    row: Row, vocabulary: MusicVocabulary, max_length: int, stride: int | None, training: bool
) -> list[TokenSequence]:
    """Windows over a whole piece; every event is learned once, `stride` of them (by default all) in each window."""
    line = [vocabulary.tokens[COMPOSE], *row["events"], vocabulary.end]
    return windows(line, max_length, _checked(stride or max_length - 1, max_length), vary_end=training)


def continue_(row: Row, vocabulary: MusicVocabulary, max_length: int, stride: int | None) -> list[TokenSequence]:
    """Every `stride` events of a piece (by default half a line) as the continuation of those that fit in before them.

    The first have nothing before them, so that here, too, every event is learned once.
    """
    # A note-on is not parted from its velocity, or from its length.
    stride = _checked(stride or max_length // 2, max_length, least=vocabulary.note_size)
    events, separator = [*row["events"], vocabulary.end], vocabulary.tokens[CONTINUE]
    found, start = [], 0
    while start < len(events):
        stop = start + stride
        stop -= splits_a_note(events, stop, vocabulary) if stop < len(events) else 0
        primer = max(0, start - (max_length - 1 - stride))
        primer += -splits_a_note(events, primer, vocabulary) % vocabulary.note_size
        found.append(TokenSequence([*events[primer:start], separator], events[start:stop]))
        start = stop
    return found


def accompany(row: Row, vocabulary: MusicVocabulary, max_length: int, seconds: float) -> list[TokenSequence | None]:
    """Segments of `seconds`, melody and performance in the same time, where need be halved until they fit a line.

    One of them begins with the melody's first note. The first quarter of each later one, or a little more, has been
    learned before, and is given with the melody, as it is where a whole song is accompanied (see
    `tasks.music.windows`):

        ├─────── learned ────────┤
                         ├ given ┼──── learned ────┤
                                           ├ given ┼──── learned ────┤

    So every note is learned once. It ends with its segment. None for a second of music that does not fit.
    """
    melody, performance = vocabulary.decode(row["melody"]), vocabulary.decode(row["events"])
    length = round(seconds * TICKS_PER_SECOND)
    onsets, begins, end = columns(melody)[0], first_onset(melody) or 0, _end(performance)

    def start_of(new: int, past: int) -> int:
        return new if new in (0, begins) else window_start(onsets, new, past)

    def learned(new: int, last: int) -> Iterator[tuple[int, int]]:
        while new < last:
            stop = start_of(new, length // AROUND) + length
            yield new, stop
            new = stop

    def lines(new: int, stop: int, past: int) -> Iterator[TokenSequence | None]:
        start = start_of(new, past)
        source = segment_of(melody, start, stop, vocabulary)
        target = vocabulary.clocked(vocabulary.encode(excerpt(performance, start, stop)))
        given = leading_to(target, new - start, vocabulary)
        context = [*source, vocabulary.tokens[ACCOMPANY], *target[:given]]
        line = TokenSequence(context, [*target[given:], vocabulary.end])
        if len(line) <= max_length:
            yield line
        elif stop - new >= 2 * SHORTEST_SEGMENT:
            middle = (new + stop) // 2
            yield from lines(new, middle, past // 2)
            yield from lines(middle, stop, past // 2)
        else:
            yield None

    before = [(new, min(stop, begins)) for new, stop in learned(0, begins)]
    return [line for part in [*before, *learned(begins, end)] for line in lines(*part, length // AROUND)]


def window_start(onsets: np.ndarray, now: int, past: int) -> int:
    """Where a window over a melody begins that shows at least `past` ticks before `now`.

    That is at one of the melody's `onsets` [N], if there is one near: there, a beat is.
    """
    near = onsets[(now - 2 * past < onsets) & (onsets <= now - past)]
    return int(near[-1]) if near.size else max(0, now - past)


def leading_to(events: Sequence[int], ticks: int, vocabulary: MusicVocabulary) -> int:
    """How many events lead to a time: all before it, and the wait that comes to it."""
    place = int(np.searchsorted(vocabulary.times(events), ticks)) if ticks else 0
    return place + bool(ticks and place < len(events) and vocabulary.ticks[events[place]])


def segment_of(melody: Score, start: int, stop: int, vocabulary: MusicVocabulary) -> list[int]:
    """A melody's events from tick `start` to before `stop`, after `<|compose|>` if it begins there."""
    begin = [vocabulary.tokens[COMPOSE]] if start == first_onset(melody) else []
    return [*begin, *vocabulary.clocked(vocabulary.encode(excerpt(melody, start, stop)))]


def _end(score: Score) -> int:
    notes = score.tracks[0].notes
    return notes[-1].time + 1 if notes else 0  # just after the last one begins


def splits_a_note(events: list[int], place: int, vocabulary: MusicVocabulary) -> int:
    """How many events a cut before `place` would part from the rest of their note; 0 where it splits none."""
    before = events[max(0, place + 1 - vocabulary.note_size) : place]
    return next((back for back, event in enumerate(reversed(before), 1) if vocabulary.pitches[event] >= 0), 0)


def _checked(stride: int, max_length: int, least: int = 1) -> int:
    if not least <= stride < max_length:
        raise UserError(f"--stride {stride}: give {least} to {max_length - 1}, less than --max_length")
    return stride
