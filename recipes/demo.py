"""Train a decoder for each of three tasks on its embedded sample, and show what they write.

    python recipes/demo.py
    python recipes/demo.py --output_dir somewhere --tasks translation

A line for each phase and a bar while it runs, a few outputs beside their references, the main scores in one table, and
how to go on. All scores are in each run's metrics.json.
"""

import json
import multiprocessing
import os
import re
import runpy
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from recipes.report import score_rows
from shared.errors import UserError
from shared.runs.cli import Parser, run
from shared.runs.folder import SAMPLES, read_metrics
from shared.tables import table
from tasks import TASKS

REPOSITORY = Path(__file__).parents[1]
WIDTH = 100
BAR = re.compile(r"\d+%\|")  # tqdm's
# What the recipes load, in seconds: forked processes find it there. CUDA outlives no fork, so a GPU's begin anew.
PRELOADED = () if torch.cuda.is_available() else ("shared.runs.pipeline", "onedecoder.decoder", "onedecoder.export")
PROCESSES: Any = multiprocessing.get_context("fork" if PRELOADED else "spawn")
EXAMPLES = 3  # outputs shown of each task
SCORES = (
    "bleu",
    "chrf",
    "rouge1",
    "rouge2",
    "rougeL",
    "subject_named",
    "names_in_source",
    "coverage",
    "density",
    "nll_per_note",
    "valid_midi",
    "polyphony",
    "duration",
    "perplexity",
)
# In short, for `WIDTH`: what the test's own texts and pieces have, and what needs no decoder.
BESIDE = {"reference": "reference", "real": "reference", "lead": "beginning", "openings": "openings"}


@dataclass
class DemoArguments:
    """Which tasks, and where their runs go."""

    tasks: list[str] = field(
        default_factory=lambda: ["translation", "summarization", "music"],
        metadata={"help": f"Some of {', '.join(TASKS)}."},
    )
    output_dir: str = field(
        default="outputs/demo", metadata={"help": "A folder for a run of each task; those in it are replaced."}
    )


def main(arguments: list[str]) -> None:
    demo, _ = Parser(DemoArguments).parse(arguments)
    if unknown := [name for name in demo.tasks if name not in TASKS]:
        raise UserError(f"--tasks {unknown[0]}: give some of {', '.join(TASKS)}")
    folders = {name: Path(demo.output_dir) / name for name in demo.tasks}
    for name in PRELOADED:
        import_module(name)
    for number, (name, folder) in enumerate(folders.items(), 1):
        say(f"[{number} of {len(folders)}] {name}: a decoder is trained, and writes for the test split")
        place = os.path.relpath(folder, REPOSITORY)  # where recipes run
        command(f"recipes/{name}.py", f"--output_dir={place}", "--overwrite_output_dir")
        say(f"    {trained(folder)}")
        command("recipes/explore.py", place, "--export", f"{place}/page.html")
        say(f"    {folder / 'page.html'}: the decoder at work, for any browser", *examples(folder / SAMPLES))
    lines = [
        row
        for folder in folders.values()
        for row in score_rows({"run": str(folder)}, read_metrics(folder), SCORES, BESIDE)
    ]
    say(table(["run", "score", "test", *dict.fromkeys(BESIDE.values())], lines))
    say(f"all scores: {demo.output_dir}/*/metrics.json", "", *next_steps(folders))


def say(*lines: str) -> None:
    """Print at once, whoever reads."""
    print(*lines, sep="\n", flush=True)


def command(*words: str) -> None:
    """Run a recipe; of what it says, only its bars are shown, one at a time in one place.

    Raises:
        UserError: it fails; what it said on standard error is printed first.
    """
    reading, writing = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=recipe, args=(words, writing))
    process.start()
    writing.close()
    try:
        # A carriage return is not the end of a line here, as it would be by default.
        with reading, open(reading.fileno(), encoding="utf-8", errors="replace", newline="", closefd=False) as text:
            said = list(watch(iter(lambda: text.read(1), "")))
        process.join()
    finally:
        process.terminate()  # where it has not ended: this one was interrupted
    if process.exitcode:
        say(*said)
        raise UserError(f"python {' '.join(words)} ended with exit code {process.exitcode}")


def recipe(words: tuple[str, ...], writing: Connection) -> None:
    """A process that is the command `python WORDS`, and writes what it says on standard error to the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(writing.fileno(), 2)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", encoding="utf-8", buffering=1)  # noqa: SIM115 (until its end)
    os.chdir(REPOSITORY)
    sys.argv = [*words]
    runpy.run_path(words[0], run_name="__main__")


def watch(characters: Iterator[str]) -> Iterator[str]:
    """The lines among what a process writes; its bars are drawn over each other where a person looks on."""
    for ended, part in parts(characters):
        bar = BAR.search(part)
        if bar and sys.stderr.isatty():
            print(f"\r{part[: WIDTH - 1]:<{WIDTH - 1}}", end="", file=sys.stderr, flush=True)
        elif not bar and ended and part.strip():
            yield part
    if sys.stderr.isatty():
        print("\r" + " " * (WIDTH - 1) + "\r", end="", file=sys.stderr, flush=True)


def parts(characters: Iterator[str]) -> Iterator[tuple[bool, str]]:
    """What stands between carriage returns and line ends, and whether a line ends there."""
    part = ""
    for character in characters:
        if character in "\r\n":
            yield character == "\n", part
            part = ""
        else:
            part += character
    yield True, part


def trained(folder: Path) -> str:
    """What a training has come to, in one line."""
    metrics = read_metrics(folder)
    minutes = metrics["train"]["train_runtime"] / 60
    return (
        f"{metrics['parameters']:,} parameters have learned {metrics['train']['rows']:,} rows in {minutes:.1f} minutes"
    )


def examples(samples: Path) -> Iterator[str]:
    """The first outputs of a run: texts beside their references, or where the recordings are."""
    file = samples / "outputs.jsonl"
    if not file.is_file():
        for piece in recordings(samples)[:EXAMPLES]:
            yield f"    {piece}  (a recording of {piece.stem}.mid)"
        yield ""
        return
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, EXAMPLES)]
    for row in rows:
        for name, text in row.items():
            first, _, more = text.strip().partition("\n")  # of an article, its title
            shown = f"{name + ':':<10} {first}{' …' if more else ''}"
            yield textwrap.fill(shown, WIDTH, initial_indent="    ", subsequent_indent=" " * 15, max_lines=4)
        yield ""


def recordings(samples: Path) -> list[Path]:
    """The pieces to listen to, in the one format or the other."""
    return sorted(path for path in samples.iterdir() if path.suffix in {".ogg", ".wav"})


def next_steps(folders: dict[str, Path]) -> Iterator[str]:
    """Three commands, and three files."""
    (name, first), *_, (_, last) = [*folders.items()] * 2  # of one task, the same
    inputs = {"translation": '"The small dog sleeps."', "music": "--seconds 20"}
    yield "go on with (source .venv/bin/activate first):"
    yield f"    python recipes/generate.py {first} {inputs.get(name, '--interactive')}"
    yield f"    python recipes/explore.py {first}"
    yield f"    python recipes/{name}.py --help"
    yield "look at:"
    yield f"    {first / 'page.html'}  (the decoder at work, in any browser)"
    yield f"    {[*recordings(last / SAMPLES), last / SAMPLES / 'outputs.jsonl'][0]}"
    yield f"    {first / 'README.md'}  (the model card, with settings and scores)"


if __name__ == "__main__":
    run(main)
