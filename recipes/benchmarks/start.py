"""Starting: from the launch of a recipe to its first step's loss, with nothing cached and once more."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import torch

from recipes.benchmarks.measuring import OURS, Result
from shared.errors import UserError
from tasks import TASKS

RECIPES = Path(__file__).parents[1]
CACHES = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "HF_DATASETS_CACHE", "XDG_CACHE_HOME")
LAUNCHERS = {
    "python": [],
    "accelerate": ["-m", "accelerate.commands.launch", f"--config_file={RECIPES / 'accelerate' / 'one_process.yaml'}"],
}
ONE_STEP = ["--max_steps=1", "--logging_steps=1", "--eval_strategy=no", "--save_strategy=no"]
ONE_STEP += ["--do_eval=false", "--do_predict=false"]


@dataclass
class StartCases:
    """What to start."""

    start_recipe: str = field(default="translation", metadata={"help": "Start this recipe, on its sample."})
    start_by: str = field(
        default="python",
        metadata={"help": "Launch it by python, or by accelerate (python -m accelerate.commands.launch)."},
    )

    def check(self) -> None:
        """Refuse a recipe that there is not.

        Raises:
            UserError: that names the flag.
        """
        if self.start_recipe not in TASKS:
            raise UserError(f"--start_recipe {self.start_recipe}: choose one of {', '.join(TASKS)}")
        if self.start_by not in LAUNCHERS:
            raise UserError(f"--start_by {self.start_by}: choose one of {', '.join(LAUNCHERS)}")


def start_results(cases: StartCases, device: torch.device) -> Iterator[Result]:
    """The lines of the table: as in a new home folder, then with the caches that the first one has filled."""
    with tempfile.TemporaryDirectory() as folder:
        for note in ("nothing cached", "the second time"):
            yield {
                "case": f"start {cases.start_recipe} by {cases.start_by}, launch to the end of the first step",
                "system": OURS,
                "first_call_s": one_step(cases, Path(folder), device),
                "note": note,
            }


def one_step(cases: StartCases, folder: Path, device: torch.device) -> float:
    """Launch the recipe for one step, with all its caches in `folder`: seconds until it prints the step's loss.

    What comes after the step (the run is saved, and the program ends) does not count.

    Raises:
        UserError: with the last line of what it says, if it fails.
    """
    environment = {**os.environ, **{name: str(folder / name.lower()) for name in CACHES}, "PYTHONUNBUFFERED": "1"}
    recipe = cases.start_recipe
    command = [sys.executable, *LAUNCHERS[cases.start_by], str(RECIPES / f"{recipe}.py"), *ONE_STEP]
    command += [f"--output_dir={folder / 'run'}"]
    command += ["--overwrite_output_dir=true", *(["--use_cpu=true"] if device.type == "cpu" else [])]
    said, seconds, start = [], 0.0, perf_counter()
    with subprocess.Popen(
        command, env=environment, cwd=RECIPES.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as launched:
        for line in launched.stdout or ():
            said.append(line.strip())
            seconds = seconds or ("{'loss'" in line) * (perf_counter() - start)
    if launched.returncode or not seconds:
        raise UserError(f"{recipe}.py did not start: {(said or ['it said nothing'])[-1]}")
    return seconds
