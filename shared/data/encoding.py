"""Rows to packed batches: every row becomes sequences of token ids, which share rows of a fixed length."""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from datasets import Dataset, Features, List, Value

from shared.data.packing import PackedDataset
from shared.data.sequence import TokenSequence
from shared.errors import UserError

COLUMNS = Features(
    {
        "input_ids": List(Value("int32")),
        **{name: Value("int32") for name in ("context", "length", "dropped", "cut")},
    }
)

# The sequences of some rows, in their order; None: one does not fit.
Sequences = Callable[[list[Mapping[str, Any]]], Iterable[TokenSequence | None]]


def encode(
    rows: Dataset, sequences: Sequences, split: str, processes: int | None = None
) -> tuple[Dataset, dict[str, int]]:
    """All sequences of `rows` as an Arrow table, and how many were dropped or had their source cut.

    Columns: `input_ids`, `context` (tokens before the target) and `length`.
    """

    def encode_batch(batch: dict[str, list]) -> dict[str, list]:
        columns: dict[str, list] = {name: [] for name in COLUMNS}
        for found in sequences([dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]):
            sequence = found or TokenSequence([])  # an empty one stands for one that did not fit
            columns["input_ids"].append([*sequence.context, *sequence.target])
            columns["context"].append(len(sequence.context))
            columns["length"].append(len(sequence))
            columns["dropped"].append(int(found is None))
            columns["cut"].append(int(sequence.cut > 0))
        return columns

    table = rows.map(
        encode_batch,
        batched=True,
        batch_size=100,
        remove_columns=rows.column_names,
        features=COLUMNS,
        load_from_cache_file=False,  # the cache's key names imported functions, but does not hash their code
        num_proc=processes,
        desc=f"tokenising {split}",
    )
    counts = {name: int(table.data.column(name).to_numpy().sum()) for name in ("dropped", "cut")}
    if counts["dropped"]:
        table = table.select(np.flatnonzero(table.data.column("length").to_numpy())).flatten_indices()
    return table.remove_columns(["dropped", "cut"]), counts


def pack_split(
    rows: Dataset,
    sequences: Sequences,
    split: str,
    *,
    max_length: int,
    pack_length: int | None,
    padding: int,
    loss_on: str = "target",
    processes: int | None = None,
    shared: Path | None = None,
) -> PackedDataset:
    """A split as packed rows of `pack_length` tokens, at least `max_length`; prints what was dropped or cut.

    Where processes have a `shared` folder, the first tokenises, and the others load what it left there.

    Raises:
        UserError: if no row fits into `max_length`.
    """
    row_length = max(pack_length or max_length, max_length)
    if shared and (shared / split).is_dir():
        return PackedDataset(Dataset.load_from_disk(str(shared / split)), row_length, padding, loss_on)
    table, counts = encode(rows, sequences, split, processes)
    if shared:
        table.save_to_disk(str(shared / split))
    if not len(table):
        raise UserError(f"none of the {len(rows)} rows of {split} fits into --max_length {max_length}: raise it")
    packed = PackedDataset(table, row_length, padding, loss_on)
    PartialState().print(
        f"{split}: {len(rows):,} rows as {len(table):,} sequences, {packed.tokens:,} tokens in {len(packed):,} packed "
        f"rows; {counts['dropped']:,} dropped (target longer than --max_length {max_length}), {counts['cut']:,} "
        "sources cut",
        file=sys.stderr,
    )
    return packed


def share_of(rows: Dataset, share: float, seed: int) -> Dataset:
    """A random share of the rows, at least one; a smaller share is part of a larger one of the same seed."""
    if share == 1:
        return rows
    count = max(1, round(share * len(rows)))
    return rows.select(np.random.default_rng(seed).permutation(len(rows))[:count])


def first_rows(rows: Dataset, limit: int | None) -> Dataset:
    """The first `limit` rows, or all where there is no limit or there are fewer.

    Raises:
        UserError: if the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise UserError(f"the first {limit} rows are none: give --max_…_samples 1 or more")
    return rows.select(range(min(limit or len(rows), len(rows))))
