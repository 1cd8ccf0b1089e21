"""Runs of an experiment: launched once each, gone on with, tabled. The recipe here is a script of a few lines."""

import json
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from shared.errors import UserError
from shared.runs.experiments import (
    Cell,
    ExperimentArguments,
    environment,
    mean_and_deviation,
    parse_experiment,
    run_cells,
    score_of,
    summaries,
)

# Fails where `--seed` is 13; else writes its metrics, and adds a line to a file that counts the launches.
RECIPE = """
import json, os, sys
from pathlib import Path
flags = dict(flag.lstrip("-").split("=") for flag in sys.argv[1:])
with (Path(__file__).parent / "launches").open("a") as file:
    file.write(flags["output_dir"].rsplit("/")[-1] + "\\n")
if flags["seed"] == "13":
    sys.exit("error: unlucky")
folder = Path(flags["output_dir"])
folder.mkdir(exist_ok=True)
metrics = {"test": {"score": int(flags["seed"]) * 1.5, "threads": int(os.environ["OMP_NUM_THREADS"])}}
(folder / "metrics.json").write_text(json.dumps(metrics))
"""


SLOW = """
import os, sys, time
from pathlib import Path
(Path(__file__).parent / "pid").write_text(str(os.getpid()))
with (Path(__file__).parent / "launches").open("a") as file:
    file.write(sys.argv[-2].rsplit("/")[-1] + "\\n")
time.sleep(60)
"""


def wait_for(condition):
    while not condition():
        time.sleep(0.05)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.py"
    path.write_text(RECIPE)
    return path


def cells(*seeds):
    return [Cell(f"run-{seed}", [f"--seed={seed}"]) for seed in seeds]


def launches(recipe):
    file = recipe.parent / "launches"
    return sorted(file.read_text().split()) if file.is_file() else []


def test_every_cell_is_run_once(recipe, tmp_path):
    folder = tmp_path / "new" / "experiment"
    metrics = run_cells(recipe, cells(1, 2, 3), folder, processes=2)
    assert {name: score_of(values, "score") for name, values in metrics.items()} == {
        "run-1": 1.5, "run-2": 3.0, "run-3": 4.5,
    }  # fmt: skip
    assert run_cells(recipe, cells(3, 1), folder, processes=1) == {name: metrics[name] for name in ("run-3", "run-1")}
    run_cells(recipe, cells(1, 4), folder, processes=1)
    assert launches(recipe) == ["run-1", "run-2", "run-3", "run-4"]
    assert list(json.loads((folder / "results.json").read_text())["run-4"]) == ["recipe", "flags", "configs", "metrics"]


def test_two_programs_of_one_folder_keep_each_others_results(recipe, tmp_path):
    other = f"""
import sys
sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from shared.runs.experiments import Cell, run_cells
run_cells(Path({str(recipe)!r}), [Cell("run-9", ["--seed=9"])], Path({str(tmp_path)!r}), processes=1)
"""
    recipe.write_text(
        RECIPE
        + f"if flags['seed'] == '1':\n    import subprocess\n    subprocess.run([sys.executable, '-c', {other!r}])\n"
    )
    run_cells(recipe, cells(1), tmp_path, processes=1)
    assert json.loads((tmp_path / "results.json").read_text()).keys() == {"run-1", "run-9"}


def test_what_failed_is_run_again_and_nothing_else(recipe, tmp_path):
    with pytest.raises(UserError, match=r"1 of 3 runs failed.*run 'run-13' failed \(error: unlucky\).*run-13\.log"):
        run_cells(recipe, cells(1, 13, 2), tmp_path, processes=1)
    recipe.write_text(RECIPE.replace('"13"', '"none"'))
    assert score_of(run_cells(recipe, cells(1, 13, 2), tmp_path, processes=1)["run-13"], "score") == 19.5
    assert launches(recipe) == ["run-1", "run-13", "run-13", "run-2"]


def test_a_score_that_there_is_not_ends_with_the_first_run(recipe, tmp_path):
    with pytest.raises(UserError, match=r"--scores blue: the runs have .*score"):
        run_cells(recipe, cells(*range(20, 50)), tmp_path, processes=1, scores=["score", "blue"])
    assert len(launches(recipe)) < 30
    assert len(run_cells(recipe, cells(20), tmp_path, processes=1, scores=["score"])) == 1


def test_a_cell_of_other_settings_is_not_mistaken_for_this_one(recipe, tmp_path):
    run_cells(recipe, cells(1), tmp_path, processes=1)
    with pytest.raises(UserError, match=r"results\.json holds 'run-1' with other settings.*--seed=1\)"):
        run_cells(recipe, [Cell("run-1", ["--seed=2"])], tmp_path, processes=1)
    other = recipe.rename(recipe.with_name("other.py"))
    with pytest.raises(UserError, match="with other settings"):
        run_cells(other, cells(1), tmp_path, processes=1)


def test_a_configuration_that_was_changed_is_not_the_same(recipe, tmp_path, write):
    config = write("config.yaml", "max_steps: 3\n")
    cell = Cell("run-1", [f"--config={config}", "--seed=1"])
    run_cells(recipe, [cell], tmp_path, processes=1)
    run_cells(recipe, [cell], tmp_path, processes=1)
    assert launches(recipe) == ["run-1"]
    write("config.yaml", "max_steps: 4\n")
    with pytest.raises(UserError, match="with other settings"):
        run_cells(recipe, [cell], tmp_path, processes=1)


def test_processes_share_gpus_and_cores(monkeypatch):
    cores = len(os.sched_getaffinity(0))
    monkeypatch.setattr("shared.runs.experiments.ENVIRONMENT", {"HOME": "here"})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert environment(0, 1) == {"HOME": "here", "OMP_NUM_THREADS": str(cores)}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [environment(number, 1000)["CUDA_VISIBLE_DEVICES"] for number in range(3)] == ["0", "1", "0"]
    assert environment(0, 1000)["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert [environment(number, 2)["CUDA_VISIBLE_DEVICES"] for number in range(2)] == ["4", "6"]
    monkeypatch.setattr("shared.runs.experiments.ENVIRONMENT", {"OMP_NUM_THREADS": "3"})
    assert environment(0, 2)["OMP_NUM_THREADS"] == "3"


def test_a_place_that_cannot_be_written_is_named_before_anything_runs(recipe, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"could not write to .*file"):
        run_cells(recipe, cells(1), tmp_path / "file", processes=1)
    assert (tmp_path / "file").read_text() == "mine" and not launches(recipe)


@pytest.mark.parametrize("seeds", [[-1], [1, 2, 1]])
def test_a_seed_is_given_once_and_from_0_on(seeds):
    with pytest.raises(ValueError, match=r"--seeds .*: give each seed once, from 0 on"):
        ExperimentArguments(seeds=seeds)


TASKS = ["summarization", "other"]


@dataclass
class Arguments(ExperimentArguments):
    variants: str = field(default="")


def test_flags_that_are_not_the_experiments_are_the_recipes():
    given = "--train_file a b --variants v.yaml --seeds 4 5 --config c.yaml --max_steps 3 --processes 2"
    own, flags = parse_experiment(Arguments, TASKS, given.split())
    assert (own.variants, own.seeds, own.processes, own.task) == ("v.yaml", [4, 5], 2, "summarization")
    assert flags == ["--config=c.yaml", "--train_file", "a", "b", "--max_steps", "3"]
    assert parse_experiment(Arguments, TASKS, [])[1] == []


@pytest.mark.parametrize(("flag", "name"), [("--seed=1", "seed"), ("--train-share=0.1", "train_share")])
def test_what_an_experiment_sets_for_each_run_is_not_given(flag, name):
    with pytest.raises(UserError, match=f"--{name} is set for each run by this program"):
        parse_experiment(Arguments, TASKS, ["--seeds", "1", flag], ["train_share"])


def test_a_run_of_another_program_is_not_replaced(recipe, tmp_path):
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-1" / "run.yaml").touch()
    with pytest.raises(UserError, match="run-1 is a run of another program: move it"):
        run_cells(recipe, cells(1, 2), tmp_path, processes=1)
    assert not launches(recipe)
    (tmp_path / "run-1.log").touch()  # but what it has begun itself is
    assert run_cells(recipe, cells(1), tmp_path, processes=1)


@pytest.mark.parametrize("flags", ["--processes=0", "--processes=x", "--seeds x", "--task=third"])
def test_settings_that_cannot_be_meant(flags):
    with pytest.raises(UserError, match=r"--processes|--seeds|--task third: choose one of summarization, other"):
        parse_experiment(Arguments, TASKS, flags.split())


def test_scores_are_found_or_listed():
    metrics = {"test": {"bleu": 2, "bleu_signature": "text", "chrf": 3.5}}
    assert score_of(metrics, "chrf") == 3.5
    with pytest.raises(UserError, match=r"--scores rouge1: the runs have bleu, chrf$"):
        score_of(metrics, "rouge1")
    with pytest.raises(UserError, match="give a test split"):
        score_of({}, "rouge1")


def test_means_over_seeds():
    # The deviation of a sample: the squares' sum over one less than their number.
    assert mean_and_deviation([1.0, 2.0, 4.5]) == "2.50 ± 1.80"
    assert mean_and_deviation([0.126]) == "0.13"
    runs = [{"test": {"bleu": value, "chrf": 3}} for value in (1.0, 2.0, 4.5)]
    assert summaries(runs, ["bleu", "chrf"]) == {"bleu": "2.50 ± 1.80", "chrf": "3.00 ± 0.00"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_what_runs_and_begins_nothing(tmp_path, number):
    recipe = tmp_path / "recipe.py"
    recipe.write_text(SLOW)
    # SIGINT, too: a shell's background job ignores it, and so would this process.
    former = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGTERM, signal.SIGINT)}
    threading.Thread(target=lambda: (wait_for(lambda: launches(recipe)), os.kill(os.getpid(), number))).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_cells(recipe, cells(1, 2), tmp_path / "experiment", processes=1)
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
    assert launches(recipe) == ["run-1"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize("contents", ["{", "[]", '{"run-1": 3}', '{"run-1": {"flags": []}}'])
def test_results_that_are_damaged_are_named(recipe, tmp_path, contents):
    (tmp_path / "results.json").write_text(contents)
    with pytest.raises(UserError, match=r"results.json is damaged .*: remove it"):
        run_cells(recipe, cells(1), tmp_path, processes=1)
