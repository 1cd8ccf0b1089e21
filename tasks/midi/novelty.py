"""How much of a piece is copied from training: its longest passages that stand there, too.

Two kinds of copy are looked for over the whole training set. An *exact* one has the same events: times, velocities and
pitches. A *transposed* one has the same pitches in the same order, in any key and at any speed: its notes are compared
by the intervals between successive ones, so that neither augmentation nor rubato hides it. Every piece shares short
passages with others; how long they are where nothing was copied, the test pieces say.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from datasets import Dataset

from tasks.midi.codec import TICKS_PER_SECOND
from tasks.midi.scores import WINDOW, Features, window_count

REAL_WINDOWS = 200  # of the test pieces, drawn at random: enough for a mean


class PitchesAndTicks(Protocol):
    """What the ids of a vocabulary mean, as arrays [V]: the pitch that one strikes (or -1), the ticks that it takes."""

    pitches: np.ndarray
    ticks: np.ndarray


@dataclass(frozen=True)
class Passage:
    """A copied passage: its length, when it begins in the piece and when in training, in seconds, and where there."""

    events: int = 0
    notes: int = 0
    seconds: float = 0.0
    at: float = 0.0
    source: str = ""
    source_at: float = 0.0


def novelty(
    generated: Sequence[Sequence[int]], real: Sequence[Sequence[int]], training: Dataset, meaning: PitchesAndTicks
) -> tuple[Features, Features, list[dict[str, Any]]]:
    """What generated pieces, and the `real` ones of the test, have in common with `training`, all given as events.

    The features of both, as `scores.compare` takes them, are of the longest copies within windows of 30 s:
    `copied_events` and `copied_seconds` of exact ones, `transposed_notes` and `transposed_seconds` of transposed ones.
    Then come, for each generated piece, its longest `copied` and `transposed` passage as a whole (see `Passage`).

    `training` has the columns `path` and `events`.
    """
    lines = [np.asarray(events) for events in training.with_format("numpy")["events"]]
    pieces = [np.asarray(events, dtype=int) for events in generated]
    ours = [window for piece in pieces for window in windows(piece, meaning)]
    theirs = [window for piece in real for window in windows(np.asarray(piece, dtype=int), meaning)]
    if len(theirs) > REAL_WINDOWS:
        theirs = [theirs[index] for index in np.random.default_rng(0).permutation(len(theirs))[:REAL_WINDOWS]]

    passages: list[dict[str, Any]] = [{} for _ in pieces]
    features: tuple[dict, dict] = ({}, {})
    for kind, unit in (("copied", "events"), ("transposed", "notes")):
        found = longest_copies([*pieces, *ours, *theirs], lines, training["path"], meaning, kind == "transposed")
        for piece, passage in zip(passages, found, strict=False):
            piece[kind] = asdict(passage)
        of_windows = found[len(pieces) : len(pieces) + len(ours)], found[len(pieces) + len(ours) :]
        for own, copies in zip(features, of_windows, strict=True):
            own[f"{kind}_{unit}"] = [np.array([getattr(copy, unit)]) for copy in copies]
            own[f"{kind}_seconds"] = [np.array([copy.seconds]) for copy in copies]
    return *features, passages


def windows(events: np.ndarray, meaning: PitchesAndTicks) -> list[np.ndarray]:
    """The events [N] of each window of a piece."""
    passed = np.cumsum(meaning.ticks[events])
    count = window_count(passed[-1] if len(passed) else 0)
    borders = np.searchsorted(passed, np.arange(1, count + 1) * WINDOW)
    return [events[start:stop] for start, stop in pairwise([0, *borders])]


def longest_copies(
    pieces: Sequence[np.ndarray],
    training: Sequence[np.ndarray],
    sources: Sequence[str],
    meaning: PitchesAndTicks,
    transposed: bool,
) -> list[Passage]:
    """The longest passage of each piece that stands in training, whose pieces are named by `sources`."""
    found = matches(
        [_symbols(piece, meaning, transposed) for piece in pieces],
        [_symbols(piece, meaning, transposed) for piece in training],
    )
    return [
        _passage(piece, match, training, sources, meaning, transposed)
        for piece, match in zip(pieces, found, strict=True)
    ]


def _symbols(events: np.ndarray, meaning: PitchesAndTicks, transposed: bool) -> np.ndarray:
    """What is compared: the events or, `transposed`, the intervals between notes, as integers from 0 on."""
    if not transposed:
        return events
    pitches = meaning.pitches[events]
    return (np.diff(pitches[pitches >= 0]) + 128).astype(np.uint8)


def _passage(
    piece: np.ndarray,
    match: "Matches",
    training: Sequence[np.ndarray],
    sources: Sequence[str],
    meaning: PitchesAndTicks,
    transposed: bool,
) -> Passage:
    if not match.length.any():
        return Passage()
    start = int(match.length.argmax())
    source, source_start, length = match.line[start], match.place[start], match.length[start]

    def event(events: np.ndarray, symbol: int) -> int:  # at which a symbol begins
        return int(np.flatnonzero(meaning.pitches[events] >= 0)[symbol]) if transposed else int(symbol)

    def seconds(events: np.ndarray) -> float:
        return float(meaning.ticks[events].sum() / TICKS_PER_SECOND)

    begin = event(piece, start)
    end = event(piece, start + length) + 1 if transposed else start + length  # n intervals are between n + 1 notes
    copied = piece[begin:end]
    return Passage(
        events=len(copied),
        notes=int((meaning.pitches[copied] >= 0).sum()),
        seconds=seconds(copied),
        at=seconds(piece[:begin]),
        source=sources[int(source)],
        source_at=seconds(training[source][: event(training[source], source_start)]),
    )


@dataclass(frozen=True)
class Matches:
    """For every symbol of one line, the longest run from it on that occurs in training. All arrays have shape [line].

    `length` is in symbols; `line` and `place` say where it occurs: in which training line, from which symbol on.
    """

    length: np.ndarray
    line: np.ndarray
    place: np.ndarray


def matches(lines: Sequence[np.ndarray], training: Sequence[np.ndarray]) -> list[Matches]:
    """The longest runs of integer symbols that lines share with training lines, exact; for each line.

    Runs grow symbol by symbol on both sides at once, and only those go on whose hash the other side has. The hash is
    the polynomial one of Karp and Rabin 1987 modulo 2^64, over random numbers in place of the symbols.
    """
    rng = np.random.default_rng(0)
    codes = rng.integers(2**64, size=2**16, dtype=np.uint64)
    base = rng.integers(2**62, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    ours, starts = _joined(lines, codes, rng)
    theirs, their_starts = _joined(training, codes, rng)

    length, place = np.zeros(len(ours), dtype=int), np.zeros(len(ours), dtype=int)
    here, there = np.arange(len(ours)), np.arange(len(theirs), dtype=np.int32)
    here_hash, there_hash = (np.zeros(len(runs), dtype=np.uint64) for runs in (here, there))
    marks = np.zeros(2**24, dtype=bool)
    grown = 0
    while len(here):
        here_hash = here_hash * base + ours[here + grown]
        there_hash = there_hash * base + theirs[there + grown]
        grown += 1
        wanted, which = np.unique(here_hash, return_inverse=True)
        # Every hash of a large training set would be slow to search for: most are ruled out by 24 of their bits.
        marks[wanted >> np.uint64(40)] = True
        likely = np.flatnonzero(marks[there_hash >> np.uint64(40)])
        marks[wanted >> np.uint64(40)] = False
        index = np.minimum(np.searchsorted(wanted, there_hash[likely]), len(wanted) - 1)
        hit = wanted[index] == there_hash[likely]
        there, there_hash = there[likely[hit]], there_hash[likely[hit]]
        found = np.full(len(wanted), -1)
        found[index[hit][::-1]] = there[::-1]  # of equal runs in training the first: what is written last stays
        known = found[which] >= 0
        here, here_hash = here[known], here_hash[known]
        length[here], place[here] = grown, found[which[known]]
    line = np.searchsorted(their_starts, place, side="right") - 1
    cuts = [slice(start, start + len(own)) for start, own in zip(starts, lines, strict=True)]
    return [Matches(length[cut], line[cut], (place - their_starts[line])[cut]) for cut in cuts]


def _joined(lines: Sequence[np.ndarray], codes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The codes of all lines' symbols, each line ended by a number of its own, and where the lines start."""
    starts = np.cumsum([0, *(len(line) + 1 for line in lines)])
    joined = rng.integers(2**64, size=starts[-1], dtype=np.uint64)
    for line, start in zip(lines, starts[:-1], strict=True):
        joined[start : start + len(line)] = codes[line]
    return joined, starts[:-1]
