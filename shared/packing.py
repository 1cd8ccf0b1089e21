"""Many sequences in one row, each blind to its neighbours.

Padding wastes most of a batch of short lines; packing fills rows of fixed length instead. A row restarts its positions
with every sequence, and the decoder's mask follows those restarts, so that a packed row gives the same logits as each
of its sequences alone (Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination").
"""

from collections.abc import Callable

import numpy as np
import torch
from datasets import Dataset as ArrowDataset
from torch.utils.data import Dataset

from shared.sequence import IGNORED, labels

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # other ids [T] for the ids [T] of a line


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
        table = sequences.data  # its columns lie flat in memory: rows are cut out of them without any conversion
        self.ids = table.column("input_ids").combine_chunks().flatten().to_numpy()
        self.context = table.column("context").to_numpy()
        lengths = table.column("length").to_numpy()
        self.starts = np.cumsum(lengths) - lengths
        self.lengths = lengths
        self.row_length, self.padding, self.learn = row_length, padding, learn
        self.rows = pack(lengths, row_length)
        self.augment: Augment | None = None
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()  # so that workers that go on see it change

    def augment_with(self, augment: Augment | None, seed: int) -> None:
        """From now on every line comes as `augment` changes it, which is for training only.

        Its random numbers are those of (`seed`, epoch, line): the same in any batch, process or worker, and after a
        training is resumed; others in every epoch.
        """
        self.augment, self.seed = augment, seed

    def set_epoch(self, epoch: int) -> None:
        self.epoch.fill_(epoch)

    @property
    def tokens(self) -> int:
        """All tokens but padding."""
        return len(self.ids)

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
        for sequence in self.rows[index]:
            length, context = self.lengths[sequence], self.context[sequence]
            ids = self.ids[self.starts[sequence] : self.starts[sequence] + length]
            if self.augment:
                ids = self.augment(ids, np.random.default_rng([self.seed, int(self.epoch), sequence]))
            stop = start + length
            row["input_ids"][start:stop] = ids
            row["position_ids"][start:stop] = np.arange(length)
            row["labels"][start:stop] = np.where(labels(length, context, self.learn), ids, IGNORED)
            row["prefix"][start : start + context] = True
            start = stop
        return row


def collate(rows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Stack rows into a batch of tensors [B, T].

    `learned` [N] lists the places of the labels in the flattened batch. Where every row is one sequence, `position_ids`
    are left out: the decoder then needs no mask but the causal one.
    """
    batch = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    # Where the loss falls is known here: asking a GPU for it would stop it in its tracks.
    batch["learned"] = (batch["labels"].flatten() != IGNORED).nonzero()[:, 0]
    if (batch["position_ids"] == torch.arange(batch["position_ids"].shape[1])).all():
        del batch["position_ids"]
    return batch
