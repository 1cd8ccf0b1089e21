"""Packed rows as transformers' own Trainer takes them: item i holds the tokens of the packed row i."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerBase

from shared.data.packing import PackedDataset
from shared.data.sequence import IGNORED, loss_mask


class PlainRows(Dataset):
    """Rows of one sequence each, for transformers' default collator; an item is what the collator takes."""

    def __init__(self, packed: PackedDataset):
        self.packed = packed

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, index: int) -> Any:
        row = self.packed[index]
        return {name: row[name] for name in ("input_ids", "labels")}


class UnpackedRows(PlainRows):
    """The sequences of a row one by one, so that a batch of as many items holds the same sequences."""

    def __getitem__(self, index: int) -> list[dict[str, list[int]]]:
        packed, sequences = self.packed, []
        for sequence in packed.rows[index]:
            length, start = packed.lengths[sequence], packed.starts[sequence]
            ids = packed.ids[start : start + length]
            learned = loss_mask(length, packed.context[sequence], packed.loss_on)
            sequences.append({"input_ids": ids.tolist(), "labels": np.where(learned, ids, IGNORED).tolist()})
        return sequences


class PaddingCollator:
    """The sequences of `UnpackedRows`, padded to the longest of the batch by transformers' collator of translations."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self.pad = DataCollatorForSeq2Seq(tokenizer)

    def __call__(self, items: list[list[dict[str, list[int]]]]) -> dict[str, torch.Tensor]:
        return dict(self.pad([sequence for item in items for sequence in item]))
