"""The user's rows: files or a hub data set in, `datasets.DatasetDict` out; each fault is a UserError."""

import csv
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, DatasetDict, Features, Value
from datasets.exceptions import DatasetGenerationCastError
from datasets.table import CastError

from shared.data.arguments import TextDataArguments
from shared.data.validation import check_columns, check_contents, check_file, csv_columns
from shared.errors import UserError

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
# Suffix -> datasets' builder.
FORMATS = {
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".txt": "text",
    ".raw": "text",
}
DIALECTS: dict[str, dict[str, Any]] = {
    ".csv": {"delimiter": ","},
    ".tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE},
}
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")

Paths = list[str] | str | None


def load_text_rows(
    arguments: TextDataArguments,
    sample: Callable[[], Mapping[str, list[dict[str, Any]]]],
    convert: Callable[[Dataset], Dataset],
    read: Callable[[list[str], str], Dataset] | None = None,
) -> DatasetDict:
    """A task's rows: those that the `arguments` name, see `load_rows`, or else its `sample`; each split by `convert`.

    Where there is no validation split, training rows are held out for it.

    Raises:
        UserError: if they cannot be read, or not be converted.
    """
    if arguments.sample:
        splits = DatasetDict({split: Dataset.from_list(rows) for split, rows in sample().items()})
    else:
        splits = load_rows(**arguments.sources, read=read)
    converted = DatasetDict({split: convert(rows) for split, rows in splits.items()})
    return hold_out_validation(converted, arguments.validation_split_percentage)


def load_rows(
    *,
    train_file: Paths = None,
    validation_file: Paths = None,
    test_file: Paths = None,
    dataset_name: str | None = None,
    dataset_config_name: str | None = None,
    read: Callable[[list[str], str], Dataset] | None = None,
) -> DatasetDict:
    """The given splits, as they stand in the files or on the hub.

    `dataset_name` is a name on the hub or a local folder in the hub's layout. `read(paths, split)` reads the
    files of one split (default: `load_files`).

    Raises:
        UserError: if there is no data, two sources, or one that cannot be read.
    """
    files = {"train": train_file, "validation": validation_file, "test": test_file}
    given = {split: [p] if isinstance(p, str) else p for split, p in files.items() if p}
    if dataset_name and given:
        raise UserError(f"--dataset_name {dataset_name} and --{next(iter(given))}_file: give only one of them")
    if dataset_name:
        return _read_hub(dataset_name, dataset_config_name)
    if not given:
        raise UserError("no data: give --train_file, --validation_file or --test_file, or --dataset_name")
    read = read or load_files
    return DatasetDict({split: read(paths, split) for split, paths in given.items()})


def load_files(paths: list[str], split: str, sample_by: str = "line", suffix: str | None = None) -> Dataset:
    """The rows of files of one format, in the order given; compressed ones (.gz, .bz2, .xz, .zst) too.

    The suffix says the format: JSON (lines, or one array), CSV with a header, TSV with a header and no
    quoting, Parquet, plain text (column `text`: each line a row, or with `sample_by="document"` each file).
    `suffix` overrides it where the files' own says something else (`train.de`). CSV and TSV columns are text.

    Raises:
        UserError: if a file is missing, empty, of an unknown format or broken, if their formats differ, or if one has
            a column that the first has not (of CSV and TSV, or lacks one).
    """
    suffixes = sorted({suffix or format_suffix(path).lower() for path in paths})
    for path in paths:
        check_file(path)
    if unknown := [s for s in suffixes if s not in FORMATS]:
        raise UserError(
            f"{', '.join(paths)}: unknown suffix '{unknown[0]}'; known: {' '.join(FORMATS)}, "
            f"each also compressed ({' '.join(COMPRESSIONS)})"
        )
    if len(suffixes) > 1:
        raise UserError(f"{', '.join(paths)}: several formats for one split; give files of one format")
    builder = FORMATS[suffixes[0]]
    try:
        options: dict[str, Any] = {}
        if builder == "text":
            options = {"sample_by": sample_by, "encoding": "utf-8-sig"}
        elif builder == "csv":
            options = _csv_options(paths, DIALECTS[suffixes[0]])
        with quiet():
            # Paths are patterns to datasets: a bracket in a file's name must stand for itself.
            data_files = {split: [escape(str(Path(path).resolve())) for path in paths]}
            rows = datasets.load_dataset(builder, data_files=data_files, split=split, **options)
        # The JSON builder checks the encoding of its first 10 MB only; later bytes would fail when used.
        rows.data.table.validate(full=True)
    except UserError:
        raise
    except Exception as error:  # many types by builder and fault; each one comes from the files' contents
        for path in paths:
            check_contents(path, builder)
            if builder == "csv":
                csv_columns(path, DIALECTS[suffixes[0]], records=None)
        if builder == "json" and isinstance(error.__cause__ or error, CastError | DatasetGenerationCastError):
            check_columns(paths)
        raise UserError(f"{', '.join(paths)}: cannot be read as {builder}: {_reason(error)}") from error
    return _named(rows, ", ".join(paths))


def hold_out_validation(rows: DatasetDict, percentage: float = 5, seed: int = 42) -> DatasetDict:
    """Where there is no validation split: a random `percentage` of the training rows, the same for a seed.

    Rows must be whole examples by now: a line of an article, shuffled, would lose its place.

    Raises:
        UserError: if the percentage, or what it is of, leaves one side empty.
    """
    if "validation" in rows or "train" not in rows:
        return rows
    if not 0 < percentage < 100:
        raise UserError(f"--validation_split_percentage {percentage}: give a number between 0 and 100")
    train = rows["train"]
    if len(train) < 2:
        raise UserError(f"{origin(train)}: one row cannot be split; give --validation_file")
    try:
        # As in convert_rows, the cache cannot tell whether the rows came from the same code.
        parts = train.train_test_split(test_size=percentage / 100, seed=seed, load_from_cache_file=False)
    except ValueError as error:
        raise UserError(
            f"--validation_split_percentage {percentage}: of {len(train)} training rows that leaves one side empty; "
            "give another, or --validation_file"
        ) from error
    share = f"{len(parts['test'])} of {len(train)} training rows ({percentage} %, seed {seed})"
    logger.warning("%s: no validation split; %s are held out for it", origin(train), share)
    return DatasetDict({**rows, "train": parts["train"], "validation": parts["test"]})


def convert_rows(
    rows: Dataset, convert: Callable[[dict[str, Any]], dict[str, str] | None], columns: list[str]
) -> Dataset:
    """Each row through `convert`, which gives text `columns`, None to skip the row, or a ValueError.

    Skipped rows are counted in a warning.

    Raises:
        UserError: with the row, where `convert` raises a ValueError; and if no row is left.
    """
    name = origin(rows)  # not in the function, whose hash would take in the rows

    def convert_batch(batch: dict[str, list], indices: list[int]) -> dict[str, list[str]]:
        kept = []
        for index, values in zip(indices, zip(*batch.values(), strict=True), strict=True):
            try:
                row = convert(dict(zip(batch, values, strict=True)))
            except ValueError as error:
                raise UserError(f"{name}, row {index + 1}: {error}") from error
            if row is not None:
                kept.append(row)
        return {column: [row[column] for row in kept] for column in columns}

    with quiet():
        converted = rows.map(
            convert_batch,
            batched=True,
            with_indices=True,
            remove_columns=rows.column_names,
            features=Features({column: Value("string") for column in columns}),
            load_from_cache_file=False,  # the cache's key holds an imported function's name, not its code
        )
    if not len(converted):
        raise UserError(f"{name}: all {len(rows)} rows are empty; check the files and the columns")
    if skipped := len(rows) - len(converted):
        logger.warning("%s: %d of %d rows are empty and are skipped", name, skipped, len(rows))
    return converted


def clean_text(value: Any, column: str) -> str | None:
    """`value` without the white space around it; None where nothing is left; ValueError if it is no text."""
    if value is not None and not isinstance(value, str):
        raise ValueError(f"column '{column}' holds {str(value)[:40]!r} ({type(value).__name__}), not text")
    return (value or "").strip() or None


def format_suffix(path: str) -> str:
    """The last suffix but for a compression's: `.jsonl` of `train.jsonl.xz`, "" where there is none."""
    name = Path(path)
    return (name.with_suffix("") if name.suffix.lower() in COMPRESSIONS else name).suffix


@contextmanager
def quiet() -> Iterator[None]:
    """Without datasets' bars for local files, and without its error logs, which our one line replaces."""
    verbosity, bars = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if not bars:
            datasets.enable_progress_bars()


def origin(rows: Dataset) -> str:
    """Where rows came from, for messages: their files or their hub name."""
    return rows.info.description or "rows"


def _named(rows: Dataset, name: str) -> Dataset:
    if not len(rows):
        raise UserError(f"{name}: no rows; check the file")
    rows.info.description = name
    return rows


def _read_hub(name: str, config: str | None) -> DatasetDict:
    try:
        loaded = datasets.load_dataset(name, config)
    except Exception as error:  # the network, the name, the configuration or the files behind it
        raise UserError(
            f"hub data set '{name}' could not be loaded: {_reason(error)}; give files with --train_file, "
            "or check the name, --dataset_config_name and the connection"
        ) from error
    rows = {split: _named(loaded[split], f"hub data set '{name}', {split}") for split in SPLITS if split in loaded}
    if not rows:
        raise UserError(f"hub data set '{name}': no split train, validation or test; found: {', '.join(loaded)}")
    return DatasetDict(rows)


def _csv_options(paths: list[str], dialect: dict[str, Any]) -> dict[str, Any]:
    """Every column is text (pandas would guess numbers, chunk by chunk), and "NA" and "null" are words."""
    first, *others = [csv_columns(path, dialect) for path in paths]
    for path, columns in zip(paths[1:], others, strict=True):
        if {*columns} != {*first}:
            raise UserError(
                f"{path}, line 1: the columns are {', '.join(columns)}, but those of {paths[0]} are "
                f"{', '.join(first)}; give all files of a split the same columns"
            )
    return {**dialect, "keep_default_na": False, "features": Features(dict.fromkeys(first, Value("string")))}


def _reason(error: BaseException) -> str:
    """The first cause of an error, in one line."""
    while error.__cause__:
        error = error.__cause__
    return " ".join(str(error).split())[:300] or type(error).__name__
