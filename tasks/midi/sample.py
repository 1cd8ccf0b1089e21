"""The sample the music recipe runs on when it is given no data: Bach's chorales, from the corpus of music21.

They are the four-part chorales of the Riemenschneider edition as music21 ships them: 350 scores, and not
performances. Every quarter note lasts 0.8 s, fermatas are not held, repeats are not played and each voice has
one velocity. A model that learns them has learned some harmony and voice leading, and nothing of expressive
timing or touch. The splits are this project's own: a likelihood on them cannot be compared with those that
papers give for "JSB Chorales".

Bach set many melodies more than once, some in several keys. Split by number, they would test what was learned
by heart; here a melody is in one split only (`families`).
"""

import json
import os
import random
from collections.abc import Hashable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, Features, List, Value
from tqdm import tqdm

from shared.data.loading import SPLITS
from shared.errors import UserError
from shared.files import atomic_directory
from tasks.midi.codec import VERSION, decode, encode, one_piano

CACHE = Path(__file__).parents[2] / ".cache"  # of what took long to read, in the checkout
QUARTER = 80  # ticks of 10 ms: 75 quarter notes a minute, and a 16th is a whole number of ticks
VELOCITIES = {"Soprano": 79, "Alto": 67, "Tenor": 67, "Bass": 71}  # the melody a little above the others
PHRASE = 11  # so many quarter beats in a row, the same in any key, are the same melody
SEED = 17

EVENTS = List(Value("uint16"))
FEATURES = Features({"path": Value("string"), "title": Value("string"), "events": EVENTS, "melody": EVENTS})

Voices = dict[str, list[tuple[float, float, int]]]  # by name: onset and offset in quarter notes, MIDI pitch


def read_chorales(cache: Path) -> DatasetDict:
    """Rows {"path", "title": str, "events", "melody": list[int]} of `train`, `validation` and `test` (80:10:10).

    `melody` is the soprano alone, in the same time as `events`. Reading the scores takes about a minute on two
    cores; what was read is kept in the folder `cache`.

    Raises:
        UserError: music21 is not installed, or `cache` cannot be written.
    """
    try:
        import music21  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise UserError("music21 is not installed: pip install -e .[music21]") from error
    name = f"chorales-{VERSION}-music21-{music21.__version__}.json"
    if not (cache / name).exists():
        edition = music21.corpus.chorales.ChoraleListRKBWV().byRiemenschneider
        rows = _read_edition({f"bach/bwv{entry['bwv']}": entry["title"] for entry in edition.values()})
        with atomic_directory(cache) as staging:
            (staging / name).write_text(json.dumps(rows), encoding="utf-8")
    rows = json.loads((cache / name).read_text(encoding="utf-8"))
    return DatasetDict(
        {
            split: Dataset.from_list([rows[index] for index in indices], features=FEATURES)
            for split, indices in split_families(families(rows)).items()
        }
    )


def _read_edition(titles: dict[str, str]) -> list[dict[str, Any]]:
    # Spawned: to fork a process with threads, as torch and tokenizers start them, may hang.
    with ProcessPoolExecutor(min(8, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        performed = pool.map(read_chorale, titles, chunksize=8)
        progress = tqdm(performed, desc="chorales", total=len(titles), unit="score", disable=None)
        return [
            {"path": path, "title": title, **row} for (path, title), row in zip(titles.items(), progress, strict=True)
        ]


def read_chorale(name: str) -> dict[str, list[int]]:
    """{"events", "melody"} of a work in music21's corpus."""
    from music21 import converter, corpus  # noqa: PLC0415 (an extra)

    found = corpus.getWork(name, fileExtensions=("mxl", "xml"))
    if isinstance(found, list):  # the work and versions of it, whose names are longer
        found = min(found, key=lambda path: len(path.name))
    score = converter.parse(found, storePickle=False)
    voices: Voices = {voice: [] for voice in VELOCITIES}
    for part in score.parts:
        voice = (part.partName or "").split(maxsplit=1)[:1]  # "Soprano", "Soprano 1", "Soprano\rOboe 1"
        notes = voices.get("".join(voice))
        if notes is None:
            continue  # an instrument: it doubles a voice, or plays in between
        for note in part.flatten().notes:
            onset, offset, pitch = float(note.offset), float(note.offset + note.quarterLength), note.pitches[-1].midi
            if note.tie and note.tie.type != "start" and notes and notes[-1][1:] == (onset, pitch):
                notes[-1] = (notes[-1][0], offset, pitch)
            elif offset > onset:  # a grace note has no length
                notes.append((onset, offset, pitch))
    return {"events": perform(voices, VELOCITIES), "melody": perform(voices, ["Soprano"])}


def perform(voices: Voices, names: Iterable[str]) -> list[int]:
    """The events of some of the voices, played in time on one piano."""
    notes = np.array([(*note, VELOCITIES[name]) for name in names for note in voices[name]])
    onset, offset = np.rint(notes[:, :2].T * QUARTER).astype(int)
    return encode(one_piano(onset, offset, *notes[:, 2:].T.astype(int)))


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
