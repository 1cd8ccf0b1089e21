"""The user's music: a folder of MIDI files in, rows of events out.

Reading is not cached: the 1,067 performances of ASAP (93 hours, 3.6 million notes) take four seconds.
"""

import csv
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict
from tqdm import tqdm

from shared.errors import UserError
from shared.rows import SPLITS
from tasks.music.codec import encode, performance


def read_folder(folder: str | Path, seed: int = 17) -> tuple[DatasetDict, list[str]]:
    """Rows {"path": str, "events": list[int]} of `train`, `validation` and `test`, and why files were skipped.

    MIDI files are found in all subfolders. Which split one belongs to is read from

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

    rows: dict[str, dict[str, list]] = {split: {"path": [], "events": []} for split in SPLITS}
    skipped = []
    for path, split in tqdm(files.items(), desc="MIDI files", unit="file", disable=None):
        try:
            events = encode(performance(path))
        except UserError as error:
            skipped.append(str(error))
        else:
            rows[split]["path"].append(str(path))
            rows[split]["events"].append(np.array(events, dtype=np.uint16))
    for split in SPLITS:
        if not rows[split]["path"]:
            reason = f"{len(skipped)} of {len(files)} were skipped, first {skipped[0]}" if skipped else "give more"
            raise UserError(f"{folder}: no MIDI file for the {split} split; {reason}")
    return DatasetDict({split: _dataset(**columns) for split, columns in rows.items()}), skipped


def _dataset(path: list[str], events: list[np.ndarray]) -> Dataset:
    # Handed over as Arrow: datasets' own conversion of lists takes four times as long as reading the files.
    return Dataset.from_dict({"path": path, "events": pa.array(events, type=pa.list_(pa.uint16()))})


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
