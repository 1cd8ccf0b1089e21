"""A Trainer small enough to run in every test that trains, and lines for tests of packed rows."""

import pytest
import torch

from shared.data.encoding import encode
from shared.data.packing import PackedDataset
from shared.generation.arguments import GenerationArguments
from shared.training.arguments import TrainingArguments
from shared.training.trainer import Trainer

LENGTH = 32
LENGTHS = [9, 4, 7, 12, 2, 5, 3, 6]


@pytest.fixture(autouse=True)
def orthogonal_steps_in_float32(monkeypatch):
    """On every CPU: in bfloat16, which some multiply faster, a gradient's last digits would show in the weights."""
    monkeypatch.setattr("shared.training.muon.multiplies_bfloat16", lambda device: device.type != "cpu")


@pytest.fixture
def sequences():
    """(ids, tokens before the target) of lines that fill several rows, with padding left over."""
    torch.manual_seed(1)
    return [(torch.randint(1, 24, (length,)).tolist(), max(1, length // 2)) for length in LENGTHS]


@pytest.fixture
def new_trainer(task, new_decoder, tmp_path):
    """Makes a Trainer of the toy task, a tiny decoder and packed rows; a folder of its own for each `name`."""

    def new(name="run", dropout=0.0, rows=None, copy_attention=0, **settings):
        rows = rows or task.load_rows(task.arguments)
        packed = {}
        for split, part in rows.items():
            training = split == "train"
            lines, _ = encode(part, lambda rows, training=training: task.all_sequences(rows, LENGTH, training), split)
            packed[split] = PackedDataset(lines, LENGTH, task.vocabulary.padding)
        dropouts = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
        shape = {"context": LENGTH, "spread": 0.02, "copy_attention": copy_attention}
        decoder = new_decoder(len(task.vocabulary.tokens), **shape, **dropouts)
        arguments = TrainingArguments(
            **{
                "output_dir": str(tmp_path / name),
                "use_cpu": True,
                "disable_tqdm": True,
                "eval_strategy": "no",
                "save_strategy": "no",
                "per_device_train_batch_size": 8,
                "learning_rate": 1e-2,
                **settings,
            }
        )
        return Trainer(
            decoder,
            task,
            arguments,
            GenerationArguments(max_new_tokens=8),
            LENGTH,
            train_dataset=packed["train"],
            eval_dataset=packed["validation"],
            eval_rows=rows["validation"],
            training_rows=rows["train"],
        )

    return new
