"""Chorales in, rows of tokens out: the data set "JSB Chorales", or the sample.

A *grid* holds the tokens of one chorale, shape [16ths, voices].
"""

import json
from collections.abc import Iterable, Sequence
from lzma import LZMAError

import fsspec
import numpy as np
from datasets import Dataset, DatasetDict

from shared.data.loading import SPLITS
from shared.errors import UserError
from tasks.chorales.grid import REST, VOICES, ChoraleVocabulary
from tasks.midi.codec import decode
from tasks.midi.sample import read_chorales

Grids = dict[str, Sequence[np.ndarray]]  # by split


def read_jsb(path: str) -> Grids:
    """The grids of `train`, `validation` and `test`, from one JSON file.

    The file (.json, also compressed) holds the chorales of `train`, `valid` and `test`: each a list of 16ths, each of
    these four MIDI pitches from soprano to bass, where -1 is a rest. So the data set of Boulanger-Lewandowski et al.
    2012 (https://arxiv.org/abs/1206.6392) is given on, in its splits.

    Raises:
        UserError: the file cannot be read, or is of another form, with the place.
    """
    try:
        with fsspec.open(path, "rt", encoding="utf-8-sig", compression="infer") as file:
            content = json.load(file)
    except (OSError, EOFError, ValueError, RecursionError, LZMAError) as error:  # no JSON, or no UTF-8, is a ValueError
        raise UserError(f"--jsb_file {path}: cannot be read as JSON: {error}") from error
    names = dict(zip(SPLITS, ("train", "valid", "test"), strict=True))
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in names.values()):
        raise UserError(f"--jsb_file {path}: expected chorales under each of {', '.join(names.values())}")
    grids: Grids = {
        split: [
            _grid(chorale, f"--jsb_file {path}: {name}, chorale {number}")
            for number, chorale in enumerate(content[name], 1)
        ]
        for split, name in names.items()
    }
    for split, name in names.items():
        if not any((grid < REST).any() for grid in grids[split]):
            raise UserError(f"--jsb_file {path}: {name} holds no note; give chorales that sound")
    return grids


def _grid(chorale: object, where: str) -> np.ndarray:
    """Tokens [16ths, voices] of a chorale as the file has it."""
    try:
        grid = np.array(chorale)
    except ValueError:  # lists of several lengths
        grid = np.array([])
    if grid.ndim != 2 or grid.shape[1] != VOICES or grid.dtype.kind != "i" or grid.min() < -1 or grid.max() >= REST:
        raise UserError(f"{where}: expected a list of 16ths, each of {VOICES} pitches from 0 to 127 (or -1, a rest)")
    return np.where(grid < 0, REST, grid)


def sample() -> Grids:
    """The chorales of the music recipe's sample, put on the grid as they sound (see `ChoraleVocabulary.encode`)."""
    vocabulary = ChoraleVocabulary()
    return {
        split: [np.reshape(vocabulary.encode(decode(events)), (-1, VOICES)) for events in rows["events"]]
        for split, rows in read_chorales().items()
    }


def grids_to_rows(grids: Grids) -> DatasetDict:
    """Rows {"path": str, "events": list[int]} of each split, a token for each voice in each 16th.

    In training each chorale comes in every key in which all voices stay within what they sing somewhere in training.
    """
    rows = {
        split: [{"path": f"{split} {number}", "events": grid.ravel()} for number, grid in enumerate(part, 1)]
        for split, part in grids.items()
    }
    ranges = compass(grids["train"])
    rows["train"] = [
        {"path": f"{row['path']} {semitones:+d}".removesuffix(" +0"), "events": moved.ravel()}
        for row, grid in zip(rows["train"], grids["train"], strict=True)
        for semitones, moved in transpositions(grid, *ranges)
    ]
    return DatasetDict({split: Dataset.from_list(part) for split, part in rows.items()})


def compass(grids: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest pitch of each voice, shape [voices], in grids [16ths, voices]."""
    everything = np.concatenate(list(grids))
    rests = everything == REST
    return np.where(rests, REST, everything).min(0), np.where(rests, -1, everything).max(0)


def transpositions(grid: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The grid in every key in which each voice stays between `low` and `high` [voices], by semitones moved."""
    lowest, highest = compass([grid])
    sung = highest >= 0
    down, up = (low - lowest)[sung].max(initial=-128), (high - highest)[sung].min(initial=127)
    return [(semitones, np.where(grid == REST, REST, grid + semitones)) for semitones in range(down, up + 1)]
