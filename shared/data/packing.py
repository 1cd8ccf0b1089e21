"""Many sequences in one row, each blind to its neighbours.

Padding wastes most of a batch of short lines; packing fills rows of fixed length instead. A row restarts its positions
with every sequence, and the decoder's mask follows those restarts, so that a packed row gives the same logits as each
of its sequences alone (Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination"). Two sequences, of
which A B and D were context, in a row of 7:

    input_ids      A  B  C  D  E  F  pad
    position_ids   0  1  2  0  1  2  0       restart with every sequence
    prefix         1  1  0  1  0  0  0       context
    labels         .  .  C  .  E  F  .       learned, at their own places; the shift is the decoder's

    token C sees   A B C, F sees D E F, and nothing sees the padding.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from datasets import Dataset as ArrowDataset
from torch.utils.data import Dataset

from shared.data.sequence import IGNORED, first_learned

EMPTY = -1  # the index of a row of which nothing is learned
Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # other ids [T] for the ids [T] of a sequence


def pack(lengths: np.ndarray, pack_length: int) -> list[list[int]]:
    """Assign sequences of the given `lengths` [N] to rows of `pack_length` tokens: best fit, longest first.

    Returns the sequences' indices, row by row. Every sequence must fit into a row.
    """
    rows: list[list[int]] = []
    by_space: list[list[int]] = [[] for _ in range(pack_length + 1)]  # rows that have exactly so much space left
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
            space, row = pack_length, len(rows)
            rows.append([int(index)])
        by_space[space - length].append(row)
        spaces |= 1 << (space - length)
    return rows


class PackedDataset(Dataset):
    """Rows of packed sequences, as the decoder takes them.

    `sequences` has one in each row: `input_ids` and `context` (how many of them come before the target).
    An item is a dict of arrays [pack_length]: `input_ids`, `position_ids` (from 0 in every sequence), `labels`
    (`IGNORED` where nothing is learned) and `prefix` (True on context). Padding fills the end of a row: each padding
    token is a sequence of its own, which no other token sees and no loss falls on. The item `EMPTY` is padding alone,
    at the positions of the first row, so that no other kind of mask is asked for.
    """

    def __init__(self, sequences: ArrowDataset, pack_length: int, padding: int, loss_on: str = "target"):
        table = sequences.data  # its columns lie flat in memory: rows are cut out of them without any conversion
        self.ids = table.column("input_ids").combine_chunks().flatten().to_numpy()
        self.context = table.column("context").to_numpy()
        lengths = table.column("length").to_numpy()
        self.starts = np.cumsum(lengths) - lengths
        self.lengths = lengths
        self.pack_length, self.padding, self.loss_on = pack_length, padding, loss_on
        self.rows = pack(lengths, pack_length)
        self.augment: Augment | None = None
        self.epoch = torch.zeros((), dtype=torch.long).share_memory_()  # so that workers that go on see it change

    def augment_with(self, augment: Augment | None, seed: int) -> None:
        """From now on every sequence comes as `augment` changes it, which is for training only.

        Its random numbers are those of (`seed`, epoch, sequence): the same in any batch, process or worker, and after a
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
        # All sequences at once: a row of short ones would take a GPU's step to make, one by one.
        sequences = np.asarray(self.rows[0 if index == EMPTY else index])
        lengths, context = self.lengths[sequences], self.context[sequences]
        positions = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        if index == EMPTY:
            ids = np.full(len(positions), self.padding)
        elif self.augment:
            ids = np.concatenate([self._augmented(sequence, self.augment) for sequence in self.rows[index]])
        else:
            ids = self.ids[np.repeat(self.starts[sequences], lengths) + positions]
        learned = (positions >= np.repeat(first_learned(context, self.loss_on), lengths)) & (index != EMPTY)
        return {
            "input_ids": self._filled(ids, self.padding),
            "position_ids": self._filled(positions, 0),
            "labels": self._filled(np.where(learned, ids, IGNORED), IGNORED),
            "prefix": self._filled(positions < np.repeat(context, lengths), False),
        }

    def _augmented(self, sequence: int, augment: Augment) -> np.ndarray:
        ids = self.ids[self.starts[sequence] : self.starts[sequence] + self.lengths[sequence]]
        return augment(ids, np.random.default_rng([self.seed, int(self.epoch), sequence]))

    def _filled(self, values: np.ndarray, rest: int | bool) -> np.ndarray:
        """A row that begins with `values`; int64, or bool where these are."""
        row = np.full(self.pack_length, rest, dtype=bool if values.dtype == bool else np.int64)
        row[: len(values)] = values
        return row

    def most_learned(self, rows: int) -> int:
        """The most places that are learned in any batch of so many `rows`."""
        learned = self.lengths - first_learned(self.context, self.loss_on)
        counts = sorted((int(learned[sequences].sum()) for sequences in self.rows), reverse=True)
        return sum(counts[:rows])


def collate(rows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Stack rows into a batch of tensors [B, T].

    `target_positions` [N] lists the places of the labels in the flattened batch. Where every row is one sequence,
    `position_ids` are left out: the decoder then needs no mask but the causal one.
    """
    batch = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    # Where the loss falls is known here: asking a GPU for it would stop it in its tracks.
    batch["target_positions"] = (batch["labels"].flatten() != IGNORED).nonzero()[:, 0]
    if (batch["position_ids"] == torch.arange(batch["position_ids"].shape[1])).all():
        del batch["position_ids"]
    return batch


def collate_counted(
    rows: list[dict[str, np.ndarray]], padding: int, size: int = 0, most_learned: int = 0
) -> dict[str, Any]:
    """As `collate`, with the number of `tokens` that are not `padding`, known here without asking a GPU.

    With less than `size` rows, as at the end of an epoch, rows of padding are added, and with less than `most_learned`
    learned places some that no loss falls on: what is compiled or recorded is so for one shape.
    """
    tokens = int(sum((row["input_ids"] != padding).sum() for row in rows))
    length = len(rows[0]["input_ids"])
    empty = {
        "input_ids": np.full(length, padding),
        "position_ids": rows[0]["position_ids"],  # as there, so that no other kind of mask is asked for
        "labels": np.full(length, IGNORED),
        "prefix": np.zeros(length, dtype=bool),
    }
    batch = collate(rows + [empty] * (size - len(rows)))
    missing = most_learned - len(batch["target_positions"])
    if missing > 0:
        ignored = (batch["labels"].flatten() == IGNORED).nonzero()[:, 0]
        # Not the first, which nothing comes before; and each once, as gradients are written there.
        batch["target_positions"] = torch.cat([batch["target_positions"], ignored[1 : 1 + missing]])
    return {**batch, "tokens": tokens}
