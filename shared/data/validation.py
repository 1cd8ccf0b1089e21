"""What is wrong with a file, and where: datasets' own errors name neither the line nor the way out."""

import csv
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import fsspec

from shared.errors import UserError


def check_file(path: str) -> None:
    """Refuse a path that leads to no file with something in it, in a compression that can be undone here.

    Raises:
        UserError: if it does.
    """
    if not Path(path).exists():
        raise UserError(f"{path}: no such file; check the path")
    if Path(path).is_dir():
        raise UserError(f"{path}: is a folder; give its files, or --dataset_name for the hub's layout")
    if not Path(path).stat().st_size:
        raise UserError(f"{path}: is empty; check the file")
    if path.lower().endswith(".zst") and not datasets.config.ZSTANDARD_AVAILABLE:
        raise UserError(f"{path}: needs `pip install zstandard`, or another compression (.xz, .gz, .bz2)")


def csv_columns(path: str, dialect: dict[str, Any], records: int | None = 1) -> list[str]:
    """The names in the first line.

    Raises:
        UserError: if one has no name or two have the same, or one of the first `records` (None: of all) has more
            fields than these.
    """
    csv.field_size_limit(2**31 - 1)  # articles are longer than its 128 KiB
    with _open(path) as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), **dialect)
        columns = next(reader, [])
        for fields in islice(reader, records):
            # Where the first record has more, pandas would take its first column for row labels, and shift the others.
            if len(fields) > len(columns):
                raise UserError(
                    f"{path}, line {reader.line_num}: {len(fields)} fields under {len(columns)} column names; "
                    "quote fields that hold the separator, and name every column in line 1"
                )
    if "" in columns:
        raise UserError(
            f"{path}, line 1: column {columns.index('') + 1} has no name; name it, or write the file without it (in "
            "pandas by index=False)"
        )
    if twice := next((column for column in columns if columns.count(column) > 1), None):
        raise UserError(f"{path}, line 1: two columns are called '{twice}'; give each its own name")
    return columns


def check_contents(path: str, builder: str) -> None:
    """Look for the first bad line of a file that datasets' `builder` (json, csv, text) failed on.

    Raises:
        UserError: that names the line, where one is found.
    """
    try:
        with _open(path) as file:
            contents = file.read()
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}; check the file") from error
    if builder == "parquet":
        return
    for number, line in enumerate(contents.split(b"\n"), start=1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path}, line {number}: is not UTF-8 (byte 0x{line[error.start]:02x}); "
                "convert the file, for instance with iconv"
            ) from error
    if builder == "json":
        for _ in _json_rows(path, contents.decode("utf-8-sig")):
            pass


def check_columns(paths: list[str]) -> None:
    """Look for the first row of JSON files with a column that the very first row has not.

    Raises:
        UserError: that names it, where one is found.
    """
    columns: dict[str, Any] = {}
    for path in paths:
        with _open(path) as file:
            text = file.read().decode("utf-8-sig")
        for number, row in enumerate(_json_rows(path, text), start=1):
            columns = columns or row
            if (new := next((column for column in row if column not in columns), None)) is not None:
                raise UserError(
                    f"{path}, row {number}: has a column '{new}', but the first row has only {', '.join(columns)}; "
                    "give all rows of a split the same columns"
                )


def _json_rows(path: str, text: str) -> Iterator[dict[str, Any]]:
    is_array = text.lstrip().startswith("[")
    for number, part in enumerate([text] if is_array else text.split("\n"), start=1):
        if not part.strip():
            continue
        try:
            rows = json.loads(part) if is_array else [json.loads(part)]
        except json.JSONDecodeError as error:
            raise UserError(
                f"{path}, line {number + error.lineno - 1}: is not JSON: {error.msg} (column {error.colno}); "
                "give one {…} per line, or one array of them"
            ) from error
        if not all(isinstance(row, dict) for row in rows):
            raise UserError(f"{path}, line {number}: is not a JSON object; give one {{…}} per line")
        yield from rows


def _open(path: str) -> Any:
    return fsspec.open(path, "rb", compression="infer").open()
