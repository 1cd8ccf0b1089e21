"""Many sequences in one row, each blind to its neighbours.

Padding wastes most of a batch of short lines; packing fills rows of fixed length instead. A row restarts its positions
with every sequence, and the decoder's mask follows those restarts, so that a packed row gives the same logits as each
of its sequences alone (Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination").
"""

import numpy as np
import torch
from datasets import Dataset as ArrowDataset
from torch.utils.data import Dataset

from shared.sequence import IGNORED, labels


def pack(lengths: np.ndarray, row_length: int) -> list[list[int]]:
    """Assign sequences of the given `lengths` [N] to rows of `row_length` tokens: best fit, longest first.

    Returns the sequences' indices, row by row. Every sequence must fit into a row.
    """
    rows: list[list[int]] = []
    by_space: list[list[int]] = [[] for _ in range(row_length + 1)]  # rows that have exactly so much space left
    spaces = 0  # bit s is set where by_space[s] holds a row: the tightest fit is the lowest set bit from `length` up
    for index in np.argsort(-lengths, kind="stable"):
        length = int(lengths[index])
        fitting = spaces >> length
        if fitting:
            space = length + (fitting & -fitting).bit_length() - 1
            row = by_space[space].pop()
            if not by_space[space]:
                spaces ^= 1 << space
            rows[row].append(int(index))
        else:
            space, row = row_length, len(rows)
            rows.append([int(index)])
        by_space[space - length].append(row)
        spaces |= 1 << (space - length)
    return rows


class PackedDataset(Dataset):
    """Rows of packed sequences, as the decoder takes them.

    `sequences` holds a line in each row: `input_ids` and `context` (how many of them come before the target).
    An item is a dict of arrays [row_length]: `input_ids`, `position_ids` (from 0 in every sequence), `labels`
    (`IGNORED` where nothing is learned) and `prefix` (True on context). Padding fills the end of a row: each padding
    token is a sequence of its own, which no other token sees and no loss falls on.
    """

    def __init__(self, sequences: ArrowDataset, row_length: int, padding: int, learn: str = "target"):
        self.sequences = sequences.with_format("numpy")
        self.row_length, self.padding, self.learn = row_length, padding, learn
        lengths = np.asarray(sequences.with_format("arrow")["length"])
        self.rows = pack(lengths, row_length)
        self.tokens = int(lengths.sum())

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        row = {
            "input_ids": np.full(self.row_length, self.padding, dtype=np.int64),
            "position_ids": np.zeros(self.row_length, dtype=np.int64),
            "labels": np.full(self.row_length, IGNORED, dtype=np.int64),
            "prefix": np.zeros(self.row_length, dtype=bool),
        }
        start = 0
        for sequence in self.sequences.select(self.rows[index]):
            ids, context = sequence["input_ids"], int(sequence["context"])
            stop = start + len(ids)
            row["input_ids"][start:stop] = ids
            row["position_ids"][start:stop] = np.arange(len(ids))
            row["labels"][start:stop] = np.where(labels(len(ids), context, self.learn), ids, IGNORED)
            row["prefix"][start : start + context] = True
            start = stop
        return row


def collate(rows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Stack rows into a batch of tensors [B, T]."""
    return {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
