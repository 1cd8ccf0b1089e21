"""Two processes with a batch each learn what one with both of them learns."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from shared.runs.pipeline import train
from tasks.translation import Translation

ROWS = re.compile(r"train: .* in (\d+) packed rows")
REPOSITORY = Path(__file__).parents[3]
SETTINGS = {
    "size": "tiny",
    "config_overrides": "n_layer=2,n_embd=32",
    "vocab_size": 300,
    "max_train_samples": 56,
    "max_length": 48,
    "pack_length": 64,
    "dropout": 0.0,
    "max_steps": 7,
    "optim": "sgd",  # AdamW would blow up the rounding where a gradient is zero
    "learning_rate": 0.5,
    "warmup_steps": 0,
    "do_eval": "false",
    "do_predict": "false",
    "torch_compile": "false",
    "use_cpu": "true",
    "disable_tqdm": "true",
}


@pytest.fixture
def file(write):
    numbers = [(first, (7 * first) % 90) for first in range(90)]
    rows = [{"en": f"the dog of {a} sees {b}", "de": f"der Hund von {a} sieht {b}"} for a, b in numbers]
    return write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def flags(file, folder, batch_size):
    settings = SETTINGS | {"output_dir": folder, "per_device_train_batch_size": batch_size}
    settings |= {"train_file": file, "validation_file": file}
    return [f"--{name}={value}" for name, value in settings.items()]


def weights(folder, printed):
    """What was learned, once what was printed says that it was all that there is to learn."""
    assert printed.count("tokenising train:   0%") == 1  # the first process does it for the other
    rows = int(ROWS.search(printed)[1])
    assert 1 <= rows % 8 <= 4, f"the last step of an epoch of {rows} rows leaves a process without any"
    assert 8 < rows < 7 * 8, "an epoch has several steps, and the training more than an epoch"
    assert not list(folder.glob(".*"))
    return load_file(folder / "model.safetensors")


def test_two_processes_train_as_one_with_twice_the_batch(file, tmp_path, capsys):
    train(Translation, flags(file, tmp_path / "one", 8))
    together = weights(tmp_path / "one", capsys.readouterr().err)
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
            "recipes/translation.py", *flags(file, tmp_path / "two", 4),
        ],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    divided = weights(tmp_path / "two", done.stderr)
    assert together.keys() == divided.keys()
    assert max((together[name] - divided[name]).abs().max() for name in together) < 1e-4
    # GPT-2 starts with norms of one: by so much they have moved.
    assert (
        max((weight - 1).abs().max() for name, weight in together.items() if "ln_" in name and "weight" in name) > 1e-2
    )
