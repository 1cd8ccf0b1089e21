"""The sample the music recipe runs on when it is given no data: Bach's chorales, from the corpus of music21.

They are the four-part chorales of the Riemenschneider edition as music21 ships them: 350 scores, and not performances,
kept here as the notes of each voice (`tasks.midi.corpus` made the file). Every quarter note lasts 0.8 s, fermatas are
not held, repeats are not played and each voice has one velocity. A model that learns them has learned some harmony and
voice leading, and nothing of expressive timing or touch. The splits are this project's own: a likelihood on them cannot
be compared with those that papers give for "JSB Chorales".

Bach set many melodies more than once, some in several keys. Split by number, they would test what was learned
by heart; here a melody is in one split only (`families`).
"""

import json
import lzma
import random
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, Features, List, Value

from shared.data.loading import SPLITS
from tasks.midi.codec import decode, encode, one_piano

SCORES = Path(__file__).with_name("chorales.json.xz")  # see `tasks.midi.corpus`
QUARTER = 80  # ticks of 10 ms: 75 quarter notes a minute, and a 16th is a whole number of ticks
VELOCITIES = {"Soprano": 79, "Alto": 67, "Tenor": 67, "Bass": 71}  # the melody a little above the others
PHRASE = 11  # so many quarter beats in a row, the same in any key, are the same melody
SEED = 17

EVENTS = List(Value("uint16"))
FEATURES = Features({"path": Value("string"), "title": Value("string"), "events": EVENTS, "melody": EVENTS})

Voices = dict[str, list[tuple[int, int, int]]]  # by name: onset and offset in ticks, MIDI pitch


def read_chorales() -> DatasetDict:
    """Rows {"path", "title": str, "events", "melody": list[int]} of `train`, `validation` and `test` (80:10:10).

    `melody` is the soprano alone, in the same time as `events`.
    """
    with lzma.open(SCORES, "rt", encoding="utf-8") as file:
        scores = json.load(file)
    rows = [
        {
            "path": score["path"],
            "title": score["title"],
            "events": perform(score["voices"], VELOCITIES),
            "melody": perform(score["voices"], ["Soprano"]),
        }
        for score in scores
    ]
    return DatasetDict(
        {
            split: Dataset.from_list([rows[index] for index in indices], features=FEATURES)
            for split, indices in split_families(families(rows)).items()
        }
    )


def perform(voices: Voices, names: Iterable[str]) -> list[int]:
    """The events of some of the voices, played in time on one piano."""
    notes = [(*note, VELOCITIES[name]) for name in names for note in voices[name]]
    return encode(one_piano(*np.array(notes).T))


def families(rows: list[dict[str, Any]]) -> list[list[int]]:
    """The indices of the rows, those together that have a title or a phrase of melody in common.

    A phrase is `PHRASE` successive notes of the soprano that fall on a beat, seen as intervals: in any key, with
    any passing notes in between.
    """
    family = list(range(len(rows)))
    owner: dict[Hashable, int] = {}
    for index, row in enumerate(rows):
        for mark in _marks(row):
            old, new = family[index], family[owner.setdefault(mark, index)]
            if old != new:
                family = [new if name == old else name for name in family]
    return [[index for index, own in enumerate(family) if own == name] for name in sorted(set(family))]


def _marks(row: dict[str, Any]) -> Iterator[Hashable]:
    yield "".join(filter(str.isalpha, row["title"].casefold()))  # apostrophes are written in several ways
    notes = decode(row["melody"]).tracks[0].notes.numpy()
    intervals = np.diff(notes["pitch"][notes["time"] % QUARTER == 0]).tolist()
    for start in range(len(intervals) - PHRASE + 2):
        yield tuple(intervals[start : start + PHRASE - 1])


def split_families(members: list[list[int]]) -> dict[str, list[int]]:
    """Whole families, in random order, into test and validation while they fit into a tenth, else into training."""
    size = sum(map(len, members)) // 10
    splits: dict[str, list[int]] = {split: [] for split in SPLITS}
    for family in random.Random(SEED).sample(members, len(members)):
        fitting = (split for split in ("test", "validation") if len(splits[split]) + len(family) <= size)
        splits[next(fitting, "train")] += family
    return {split: sorted(indices) for split, indices in splits.items()}
