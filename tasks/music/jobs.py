"""The jobs a decoder of events learns, each a kind of line:

               <|compose|>    events …        <|endoftext|>
    primer     <|continue|>   continuation …
    melody     <|accompany|>  performance     <|endoftext|>
    past <|gap|> future <|infill|>   middle   <|endoftext|>
    └── context: attended to ┘└── learned ────────────────┘

One decoder may learn several: every piece then gives lines of each kind.
"""

from collections.abc import Iterator

from symusic import Score

from shared.data.sequence import TokenSequence, windows
from shared.errors import UserError
from shared.task import Row
from tasks.midi.codec import TICKS_PER_SECOND, excerpt
from tasks.midi.vocabulary import ACCOMPANY, COMPOSE, CONTINUE, INFILL, MusicVocabulary

JOBS = {"compose": COMPOSE, "continue": CONTINUE, "accompany": ACCOMPANY, "infill": INFILL}
SHORTEST_SEGMENT = TICKS_PER_SECOND


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

    A note belongs to the segment in which it begins, and ends with it. None for a second of music that does not fit.
    """
    melody, performance = vocabulary.decode(row["melody"]), vocabulary.decode(row["events"])
    length = round(seconds * TICKS_PER_SECOND)

    def lines(start: int, stop: int) -> Iterator[TokenSequence | None]:
        source, target = (
            vocabulary.clocked(vocabulary.encode(excerpt(part, start, stop))) for part in (melody, performance)
        )
        line = TokenSequence([*source, vocabulary.tokens[ACCOMPANY]], [*target, vocabulary.end])
        if len(line) <= max_length:
            yield line
        elif stop - start >= 2 * SHORTEST_SEGMENT:
            middle = (start + stop) // 2
            yield from lines(start, middle)
            yield from lines(middle, stop)
        else:
            yield None

    return [line for start in range(0, _end(performance), length) for line in lines(start, start + length)]


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
