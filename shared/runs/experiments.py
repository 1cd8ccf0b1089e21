"""Many runs of one recipe that differ in some settings: launched, gone on with after a stop, put into one table."""

import json
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch
from tqdm import tqdm

from shared.errors import UserError, first_line
from shared.files import atomic_directory, check_writable, in_turn
from shared.runs.cli import Parser, names_of
from shared.runs.folder import METRICS, SETTINGS
from shared.threads import processors

RESULTS = "results.json"
OF_EACH_RUN = ("seed", "output_dir", "overwrite_output_dir", "resume_from_checkpoint")
ENVIRONMENT = dict(os.environ)  # before accelerate leaves its own settings in it, which are not the runs'


@dataclass
class ExperimentArguments:
    """Which recipe to run how often. All other flags, --config among them, are the recipe's, the same for each run."""

    task: str = field(default="summarization", metadata={"help": "The recipe to run."})
    scores: list[str] = field(
        default_factory=lambda: ["rouge1", "rouge2", "rougeL", "loss"],
        metadata={"help": "What to show of the scores on the test split."},
    )
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3], metadata={"help": "A run for each of these seeds."})
    processes: int = field(
        default=1, metadata={"help": "Runs at once; they share the GPUs, and small decoders one GPU well."}
    )
    output_dir: str | None = field(default=None, metadata={"help": "Where the runs and their results go."})

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise ValueError(f"--processes is {self.processes}: give 1 or more")
        if not self.seeds or not self.scores:
            raise ValueError("--seeds and --scores need one value or more")
        if min(self.seeds) < 0 or len({*self.seeds}) < len(self.seeds):
            raise ValueError(f"--seeds {' '.join(map(str, self.seeds))}: give each seed once, from 0 on")


@dataclass(frozen=True)
class Cell:
    """One run of an experiment: the name of its folder, and the recipe's flags."""

    name: str
    flags: list[str]


def parse_experiment(
    kind: type[ExperimentArguments], tasks: Iterable[str], arguments: list[str], varied: Collection[str] = ()
) -> tuple[Any, list[str]]:
    """An experiment's own settings, and the flags that are its recipe's; `tasks` are those it may name.

    Raises:
        UserError: if they cannot be meant, the task is none of `tasks`, or a flag is one that the experiment sets for
            each run, as it sets those that are `varied`.
    """
    try:
        own, rest, flags = Parser(kind).parse_args_into_dataclasses(arguments, return_remaining_strings=True)
    except ValueError as error:
        raise UserError(first_line(error)) from error
    if own.task not in tasks:
        raise UserError(f"--task {own.task}: choose one of {', '.join(tasks)}")
    check_varied(names_of(flags), "", varied)
    return own, [f"--config={rest.config}", *flags] if rest.config else flags


def check_varied(names: Iterable[str], where: str, varied: Collection[str] = ()) -> None:
    """Refuse settings that an experiment makes for each run itself.

    Raises:
        UserError: that names one of them, and `where` it stands.
    """
    for name in names:
        if name in {*OF_EACH_RUN, *varied}:
            raise UserError(f"{where}--{name} is set for each run by this program: leave it out")


def run_cells(
    recipe: Path, cells: Sequence[Cell], folder: Path, processes: int, scores: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Each cell's metrics by its name, from `python RECIPE FLAGS`, up to `processes` at once; all have the `scores`.

    A cell's run is the folder of its name, its output the file NAME.log beside it; a run without one is not replaced.
    `results.json` gets its flags and metrics as soon as it is finished; cells that stand there are not run again.

    Raises:
        UserError: if one stands there with other flags, has not the scores or was begun by another program; and, after
            all others, if one failed.
    """
    check_writable(folder)
    results = read_results(folder)
    descriptions = {cell.name: described(recipe, cell) for cell in cells}  # as the files are now, before any run
    waiting = unfinished(cells, descriptions, results, folder)
    for cell in waiting:
        if (folder / cell.name / SETTINGS).exists() and not (folder / f"{cell.name}.log").exists():
            raise UserError(f"{folder / cell.name} is a run of another program: move it, or give another --output_dir")
    devices: SimpleQueue[dict[str, str]] = SimpleQueue()
    for number in range(processes):
        devices.put(environment(number, processes))
    saving = threading.Lock()
    started: list[subprocess.Popen] = []

    def run(cell: Cell) -> dict[str, Any]:
        device, log = devices.get(), folder / f"{cell.name}.log"
        flags = [*cell.flags, f"--output_dir={folder / cell.name}", "--overwrite_output_dir=true"]
        try:
            with log.open("w") as output:
                command = [sys.executable, str(recipe), *flags]
                process = subprocess.Popen(command, env=device, stdout=output, stderr=output)
                started.append(process)
                code = process.wait()
        finally:
            devices.put(device)
        if code:
            lines = log.read_text().strip().splitlines() or ["no output"]
            raise UserError(f"run '{cell.name}' failed ({lines[-1]}); all of its output is in {log}")
        metrics = json.loads((folder / cell.name / METRICS).read_text())
        with saving, in_turn(folder):  # another program may have written there meanwhile
            results[cell.name] = {**descriptions[cell.name], "metrics": metrics}
            write_results(folder, read_results(folder) | {cell.name: results[cell.name]})
        return metrics

    failures = []
    with ThreadPoolExecutor(processes) as pool:
        try:
            running = [pool.submit(run, cell) for cell in waiting]
            for finished in tqdm(as_completed(running), total=len(running), desc="runs", disable=not running):
                if error := finished.exception():
                    failures.append(error)
                    continue
                for name in scores:  # a mistake ends with the first run, not after all of them
                    score_of(finished.result(), name)
        except BaseException:  # an interruption, above all: what has not begun must not, and the rest must end
            pool.shutdown(wait=False, cancel_futures=True)
            for process in started:
                process.terminate()
            raise
    if failures:
        raise UserError(
            f"{len(failures)} of {len(cells)} runs failed, and the same command will run only these: {failures[0]}"
        ) from failures[0]
    return {cell.name: results[cell.name]["metrics"] for cell in cells}


def unfinished(
    cells: Sequence[Cell], descriptions: Mapping[str, Any], results: Mapping[str, Any], folder: Path
) -> list[Cell]:
    """The cells that have no results yet; says how many have some.

    Raises:
        UserError: if one has those of other settings than its `descriptions` say.
    """
    finished = [cell for cell in cells if cell.name in results]
    for cell in finished:
        if not descriptions[cell.name].items() <= results[cell.name].items():
            raise UserError(
                f"{folder / RESULTS} holds '{cell.name}' with other settings: give another --output_dir, or remove it "
                f"(it has {' '.join(results[cell.name]['flags'])})"
            )
    if finished:
        print(f"{len(finished)} of {len(cells)} runs are finished already", file=sys.stderr)
    return [cell for cell in cells if cell.name not in results]


def described(recipe: Path, cell: Cell) -> dict[str, Any]:
    """What a cell's results depend on: the recipe, its flags, and what the configuration said."""
    configs = [Path(flag.removeprefix("--config=")) for flag in cell.flags if flag.startswith("--config=")]
    return {"recipe": recipe.stem, "flags": cell.flags, "configs": [path.read_text() for path in configs]}


def environment(number: int, processes: int) -> dict[str, str]:
    """The environment of the `number`-th of so many processes: one of the GPUs in turn, its share of the cores."""
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    cores = max(1, processors() // processes)
    chosen = {"CUDA_VISIBLE_DEVICES": visible[number % count]} if count else {}
    return {"OMP_NUM_THREADS": str(cores), **ENVIRONMENT, **chosen}


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """What stands in the folder's results.json; nothing where there is none.

    Raises:
        UserError: if it is no JSON, or not what `run_cells` has written.
    """
    path = folder / RESULTS
    try:
        results = json.loads(path.read_text()) if path.is_file() else {}
        if not all({"flags", "metrics"} <= each.keys() for each in results.values()):
            raise ValueError("no flags, or no metrics")
        return results
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({first_line(error)}): remove it, and run all again") from error


def write_results(folder: Path, results: dict[str, dict[str, Any]]) -> None:
    with atomic_directory(folder) as staging:
        (staging / RESULTS).write_text(json.dumps(results, indent=2) + "\n")


def score_of(metrics: dict[str, Any], name: str) -> float:
    """A score on the test split.

    Raises:
        UserError: that lists the scores, if there is none of this name.
    """
    found = {key: value for key, value in metrics.get("test", {}).items() if isinstance(value, int | float)}
    if name not in found:
        raise UserError(f"--scores {name}: the runs have {', '.join(found) or 'no scores: give a test split'}")
    return found[name]


def summaries(runs: Sequence[dict[str, Any]], scores: Sequence[str]) -> dict[str, str]:
    """Each score's `mean ± standard deviation` over the metrics of runs that differ by their seed."""
    return {name: mean_and_deviation([score_of(metrics, name) for metrics in runs]) for name in scores}


def mean_and_deviation(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
