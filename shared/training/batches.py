"""How rows become batches: of one shape where that is wanted, whole in every process, and of the right epoch."""

from collections.abc import Iterator
from typing import Any

import transformers
from torch.utils.data import DataLoader, Sampler

from shared.data.packing import EMPTY, PackedDataset
from shared.training.arguments import TrainingArguments


def batch_shape(arguments: TrainingArguments, rows: PackedDataset | None) -> dict[str, Any]:
    """What batches are filled up to: one shape, where they are compiled or recorded."""
    if not (arguments.torch_compile or arguments.cuda_graph):
        return {"most_learned": 1}  # a batch of empty rows has something to compute, too
    size = arguments.per_device_train_batch_size
    return {"size": size, "most_learned": rows.most_learned(size) if rows else 0}


class FilledSampler(Sampler[int]):
    """As another sampler, and then empty rows, up to a `multiple`: the last batches are whole in every process.

    accelerate begins again with the first rows instead, which would then be learned twice in an epoch.
    """

    def __init__(self, sampler: Any, multiple: int):
        self.sampler, self.multiple = sampler, multiple

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.multiple) * self.multiple

    def __iter__(self) -> Iterator[int]:
        yield from self.sampler
        yield from [EMPTY] * (len(self) - len(self.sampler))

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)


def end_workers(loader: DataLoader) -> None:
    """End the processes that make batches, which stay between epochs.

    At the interpreter's end PyTorch, before 2.13, waits five seconds for each of them, in vain.
    """
    getattr(loader, "base_dataloader", loader)._iterator = None  # accelerate's loader has PyTorch's within


class EpochOfRows(transformers.TrainerCallback):
    """Tells the rows which epoch begins. accelerate does so, too, but not where it skips batches or divides them."""

    def on_epoch_begin(
        self,
        args: transformers.TrainingArguments,
        state: transformers.TrainerState,
        control: transformers.TrainerControl,
        **kwargs: Any,
    ) -> None:
        kwargs["train_dataloader"].dataset.set_epoch(int(state.epoch or 0))
