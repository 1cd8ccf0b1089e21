"""Two processes with a batch each learn what one with both of them learns."""

import os
import re
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

ROWS = re.compile(r"train: .* in (\d+) packed rows")
REPOSITORY = Path(__file__).parents[3]
SETTINGS = {
    "size": "tiny",
    "config_overrides": "n_layer=2,n_embd=32",
    "vocab_size": 300,
    "max_train_samples": 56,
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


def trained(folder, processes, batch_size, **changes):
    """The weights after a training by `processes` processes."""
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    settings = SETTINGS | changes | {"output_dir": folder, "per_device_train_batch_size": batch_size}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        [*launch, "recipes/translation.py", *flags],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("tokenising train:   0%") == 1  # the first process does it for the other
    assert int(ROWS.search(done.stderr)[1]) == 27, "the last step of an epoch of 27 rows leaves a process without any"
    assert not list(folder.glob(".*"))
    return load_file(folder / "model.safetensors")


def test_two_processes_train_as_one_with_twice_the_batch(tmp_path):
    together = trained(tmp_path / "one", 1, 8)
    divided = trained(tmp_path / "two", 2, 4)
    assert together.keys() == divided.keys()
    assert max((together[name] - divided[name]).abs().max() for name in together) < 1e-4
    # GPT-2 starts with norms of one: by so much they have moved.
    assert (
        max((weight - 1).abs().max() for name, weight in together.items() if "ln_" in name and "weight" in name) > 1e-2
    )
