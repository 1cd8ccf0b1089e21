"""A Trainer small enough to run in every test that trains."""

import pytest

from shared.evaluation import encode
from shared.generation import GenerationArguments
from shared.packing import PackedDataset
from shared.training import Trainer, TrainingArguments

LENGTH = 32


@pytest.fixture
def new_trainer(task, new_decoder, tmp_path):
    """Makes a Trainer of the toy task, a tiny decoder and packed rows; a folder of its own for each `name`."""

    def new(name="run", dropout=0.0, rows=None, **settings):
        rows = rows or task.read_rows()
        packed = {}
        for split, part in rows.items():
            lines, _ = encode(task, part, LENGTH, split == "train", split)
            packed[split] = PackedDataset(lines, LENGTH, task.vocabulary.padding)
        dropouts = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout}
        decoder = new_decoder(len(task.vocabulary.tokens), context=LENGTH, spread=0.02, **dropouts)
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
        )

    return new
