"""The user's music: a folder of MIDI files in, rows of events out.

A file takes a few milliseconds. Large folders are read on all cores, and what was read is kept until a file changes.
"""

import csv
import hashlib
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from pyarrow import parquet
from tqdm import tqdm

from shared.data.loading import SPLITS, quiet
from shared.errors import UserError
from shared.files import atomic_directory
from shared.threads import processors, spawned_pool
from tasks.midi.codec import VERSION, encode, performance
from tasks.midi.vocabulary import MusicVocabulary
from tasks.music.melody import melody_and_performance

KEPT = 100  # fewer files than this are read in no time, and not kept
CHUNK = 16  # files that a process reads at a time
FEW = 2000  # files that one process has read by the time that others have imported what they need

EVENTS = pa.list_(pa.uint16())
SCHEMA = pa.schema({"path": pa.string(), "events": EVENTS, "melody": EVENTS, "fault": pa.string()})


def read_folder(
    folder: str | Path, seed: int = 17, with_melody: bool = False, cache: Path | None = None
) -> tuple[DatasetDict, list[str]]:
    """Rows {"path": str, "events": list[int]} of `train`, `validation` and `test`, and why files were skipped.

    `with_melody`, a row has the events of the `melody`, too. What was read is kept in the folder `cache`, if one is
    given. MIDI files are found in all subfolders. Which split one belongs to is read from

    1. `splits.csv` with the columns `path` (from the folder) and `split`; further columns are ignored;
    2. or `maestro-v*.csv`, the table that comes with the MAESTRO data set (Hawthorne et al. 2019);
    3. and where there is neither, drawn at random: 80, 10 and 10 % of the files, the same for a seed.

    Files that a table does not name are left out. A random split may put one performance of a piece into
    training and another into the test: where pieces come more than once, give a table.

    Raises:
        UserError: no folder, a fault in the table (with its line), or no file left in one of the splits.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give one with MIDI files in it")
    maestro = sorted(folder.glob("maestro-v*.csv"))
    if (folder / "splits.csv").exists():
        files = _read_table(folder / "splits.csv", "path")
    elif maestro:
        files = _read_table(maestro[-1], "midi_filename")
    else:
        files = _draw(folder, seed)

    table = _read_cached(folder, list(files), with_melody, cache)
    skipped = table["fault"].drop_null().to_pylist()
    split_of = np.array(list(files.values()))
    rows = {}
    for split in SPLITS:
        of_split = table.filter(pc.and_(pa.array(split_of == split), pc.is_null(table["fault"])))
        if not len(of_split):
            reason = f"{len(skipped)} of {len(files)} were skipped, first {skipped[0]}" if skipped else "give more"
            raise UserError(f"{folder}: no MIDI file for the {split} split; {reason}")
        rows[split] = Dataset(of_split.select(["path", "events"] + ["melody"] * with_melody))
    return DatasetDict(rows), skipped


def rewritten(splits: DatasetDict, vocabulary: MusicVocabulary) -> DatasetDict:
    """The same music in a vocabulary's own events."""
    if type(vocabulary) is MusicVocabulary:
        return splits
    columns = {"events", "melody"} & {*splits["train"].column_names}
    with quiet():
        return splits.map(
            lambda row: {name: vocabulary.rewritten(row[name]) for name in columns}, load_from_cache_file=False
        )


def shuffled(rows: Dataset) -> Dataset:
    """Each piece with the melody of the one after it."""
    melodies = rows["melody"]
    return rows.remove_columns("melody").add_column("melody", [*melodies[1:], melodies[0]])


def _read_cached(folder: Path, files: list[Path], with_melody: bool, cache: Path | None) -> pa.Table:
    """What `_read_files` gives, from `cache` if no file has changed since it was kept there."""
    if cache is None or len(files) < KEPT:
        return _read_files(files, with_melody)
    state = "\n".join(f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in map(Path.absolute, files))
    key = hashlib.sha256(f"{VERSION} {with_melody}\n{state}".encode()).hexdigest().encode()
    # A folder has one file there, which is replaced when it is read anew.
    name = f"midi-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]}{'-melody' * with_melody}.parquet"
    if (cache / name).exists() and parquet.read_schema(cache / name).metadata.get(b"key") == key:
        return parquet.read_table(cache / name)
    table = _read_files(files, with_melody)
    with suppress(UserError), atomic_directory(cache) as staging:  # where nothing can be kept, it is read again
        parquet.write_table(table.replace_schema_metadata({b"key": key}), staging / name, compression="zstd")
    return table


def _read_files(files: list[Path], with_melody: bool) -> pa.Table:
    """A row of `SCHEMA` for each file, in their order: `fault` says why a file could not be read."""
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    with _processes(len(files)) as map_, tqdm(desc="MIDI files", total=len(files), unit="file", disable=None) as bar:
        parts = []
        for part in map_(_read_chunk, chunks, [with_melody] * len(chunks)):
            parts.append(part)
            bar.update(len(part))
    return pa.concat_tables(parts or [SCHEMA.empty_table()]).combine_chunks()


@contextmanager
def _processes(files: int) -> Iterator:
    """A `map` over as many processes as pay."""
    if files <= FEW or processors() == 1:
        yield map
        return
    with spawned_pool() as pool:
        yield pool.map


def _read_chunk(files: Iterable[Path], with_melody: bool) -> pa.Table:
    columns: dict[str, list] = {name: [] for name in SCHEMA.names}
    for path in files:
        events = melody = fault = None
        try:
            if with_melody:
                melody, events = (np.array(encode(part), dtype=np.uint16) for part in melody_and_performance(path))
            else:
                events = np.array(encode(performance(path)), dtype=np.uint16)
        except UserError as error:
            fault = str(error)
        for name, value in {"path": str(path), "events": events, "melody": melody, "fault": fault}.items():
            columns[name].append(value)
    return pa.table(columns, schema=SCHEMA)


def _read_table(table: Path, column: str) -> dict[Path, str]:
    """The split of each file that a table names in `column`."""
    files: dict[Path, str] = {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            records = csv.DictReader(lines)
            names = records.fieldnames or []
            for name in (column, "split"):
                if name not in names:
                    raise UserError(f"{table}, line 1: no column '{name}'; found: {', '.join(names)}")
            for record in records:
                where = f"{table}, line {records.line_num}"
                path, split = table.parent / (record[column] or ""), record["split"]
                if split not in SPLITS:
                    raise UserError(f"{where}: unknown split '{split}'; give one of {', '.join(SPLITS)}")
                if not path.is_file():
                    raise UserError(f"{where}: no such file: {path}")
                if path in files:
                    raise UserError(f"{where}: names {path} again; give each file one line")
                files[path] = split
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: cannot be read as CSV in UTF-8: {error}") from error
    return files


def _draw(folder: Path, seed: int) -> dict[Path, str]:
    """A random split of all MIDI files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".mid", ".midi"})
    random.Random(seed).shuffle(files)
    tenth = max(1, len(files) // 10)
    parts = {"test": files[:tenth], "validation": files[tenth : 2 * tenth], "train": files[2 * tenth :]}
    return {path: split for split in SPLITS for path in sorted(parts[split])}
