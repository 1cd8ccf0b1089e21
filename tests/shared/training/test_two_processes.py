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
    "copy_attention": 8,
    "dropout": 0.0,
    "max_steps": 7,
    "optim": "sgd",  # AdamW would blow up the rounding where a gradient is zero
    "learning_rate": 0.5,
    "warmup_steps": 0,
    "max_eval_samples": 6,
    "do_predict": "false",
    "torch_compile": "false",
    "use_cpu": "true",
    "disable_tqdm": "true",
}

# The recipe, then FSDP 2, which accelerate keeps for GPUs: a training, and one that goes on from its first checkpoint.
LAUNCHED = """
import os, sys
from accelerate import PartialState
from accelerate.state import AcceleratorState, DistributedType
from shared.runs.recipe import recipe
from shared.runs.launch import leave_group
from shared.runs.pipeline import train
from tasks.translation import Translation

sys.argv[0] = "recipes/translation.py"
recipe(Translation, sys.argv[1:])

plain = AcceleratorState.__init__
def as_on_gpus(self, *args, **kwargs):
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    plain(self, *args, **kwargs)
AcceleratorState._reset_state()
AcceleratorState.__init__ = as_on_gpus
os.environ.update(ACCELERATE_USE_FSDP="true", FSDP_VERSION="2", FSDP_STATE_DICT_TYPE="FULL_STATE_DICT")
os.environ.update(FSDP_AUTO_WRAP_POLICY="TRANSFORMER_BASED_WRAP", FSDP_TRANSFORMER_CLS_TO_WRAP="GPT2Block")
flags = dict(flag.split("=", 1) for flag in sys.argv[1:])
folder = flags["--output_dir"]
def sharded(name, **changes):
    changed = flags | {"--output_dir": folder + name} | {f"--{key}": value for key, value in changes.items()}
    train(Translation, [f"{key}={value}" for key, value in changed.items()])
scored = {"do_predict": "true", "test_file": flags["--train_file"], "max_predict_samples": "3", "max_new_tokens": "4"}
sharded("-sharded", **scored)
steps = {"optim": "adamw_torch", "learning_rate": "1e-3", "save_strategy": "steps", "eval_strategy": "steps"}
steps |= {"save_steps": "1", "eval_steps": "1", "save_total_limit": "9", "load_best_model_at_end": "true"}
sharded("-adamw", **steps)
sharded("-resumed", resume_from_checkpoint=folder + "-adamw/checkpoint-4", **steps)
leave_group()
"""


@pytest.fixture
def file(write):
    numbers = [(first, (7 * first) % 90) for first in range(90)]
    rows = [{"en": f"the dog of {a} sees {b}", "de": f"der Hund von {a} sieht {b}"} for a, b in numbers]
    return write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def flags(file, folder, batch_size):
    settings = SETTINGS | {"output_dir": folder, "per_device_train_batch_size": batch_size}
    settings |= {"train_file": file, "validation_file": file}
    return [f"--{name}={value}" for name, value in settings.items()]


def weights(folder, printed, trainings=1):
    """What was learned, once what was printed says that it was all that there is to learn."""
    assert printed.count("tokenising train:   0%") == trainings  # the first process does it for the other
    rows = int(ROWS.search(printed)[1])
    assert 1 <= rows % 8 <= 4, f"the last step of an epoch of {rows} rows leaves a process without any"
    assert 8 < rows < 7 * 8, "an epoch has several steps, and the training more than an epoch"
    assert not list(folder.glob(".*"))
    return load_file(folder / "model.safetensors")


def test_two_processes_train_as_one_with_twice_the_batch(file, tmp_path, capsys):
    train(Translation, flags(file, tmp_path / "one", 8))
    together = weights(tmp_path / "one", capsys.readouterr().err)
    script = tmp_path / "launched.py"
    script.write_text(LAUNCHED)
    done = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
            str(script), *flags(file, tmp_path / "two", 4),
        ],
        cwd=REPOSITORY,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
        | {"CUDA_VISIBLE_DEVICES": ""},  # one GPU would not do for both
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    divided = weights(tmp_path / "two", done.stderr, trainings=4)
    assert _distance(together, divided) < 1e-4
    # GPT-2 starts with norms of one: by so much they have moved.
    assert (
        max((weight - 1).abs().max() for name, weight in together.items() if "ln_" in name and "weight" in name) > 1e-2
    )
    # Nor does it matter that the processes divide the weights.
    assert _distance(together, load_file(tmp_path / "two-sharded" / "model.safetensors")) < 1e-4
    scores = {name: json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two-sharded")}
    assert scores["two-sharded"]["validation"] == pytest.approx(scores["one"]["validation"], rel=1e-4)
    assert "bleu" in scores["two-sharded"]["test"]
    best, resumed, last = (
        load_file(tmp_path / folder / "model.safetensors")
        for folder in ("two-adamw", "two-resumed", "two-resumed/checkpoint-7")
    )
    assert _distance(best, resumed) == _distance(best, last) == 0


def _distance(one, other):
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max() for name in one)
