"""Measure how fast this program and transformers train and generate on this machine, side by side, and how it starts.

    python recipes/benchmark.py
    python recipes/benchmark.py train --size gpt2 --batch_size 16
    python recipes/benchmark.py generate --model outputs/translation --json benchmark.json

By default, a GPU gets GPT-2's size and longer rows, and a CPU gets a tiny decoder. Each line is printed when it is
measured, and the whole table at the end:

    tokens_per_second  useful tokens: trained (without padding), or written
    ratio              how many times this program is as fast as this line
    mfu, bandwidth     shares of the arithmetic and of the memory's speed that were measured on the device in this run
    mfu_data_sheet     share of the arithmetic that the GPU's data sheet names, where this program knows it
    first_token_s      seconds from a prompt to its first token
    first_call_s       seconds of the first step or call, which includes compilation; to start, from launch to loss
    equal_outputs      share of the outputs (without sampling) that equal this program's
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers

from recipes.benchmarks.generation import GenerationCases, generation_results
from recipes.benchmarks.measuring import COMPILED, OURS, THEIRS, Result
from recipes.benchmarks.start import StartCases, start_results
from recipes.benchmarks.training_cases import TrainingCases, training_results
from shared.errors import UserError
from shared.hardware import bandwidth, matmul_peak
from shared.runs.cli import Parser, run
from shared.tables import table

KINDS = ("train", "generate", "start")
GPU_DEFAULTS = {
    "size": "gpt2",
    "steps": 30,
    "warmup_steps": 10,
    "pairs_size": "gpt2",
    "pairs_vocab_size": 8192,
    "pairs_length": 256,
    "pairs_row_length": 1024,
    "pairs_batch_size": 16,
    "generation_size": "gpt2",
    "generation_vocab_size": 50257,
    "prompt_length": 64,
    "single_tokens": 512,
    "batch_tokens": 256,
    "music_size": "medium",
    "small_shape": "n_layer=6,n_embd=320,n_head=5",
    "events_size": "medium",
}
COLUMNS = {
    "case": "{}",
    "system": "{}",
    "tokens_per_second": "{:,.0f}",
    "ratio": "{:.2f}×",
    "mfu": "{:.1%}",
    "mfu_data_sheet": "{:.1%}",
    "bandwidth": "{:.1%}",
    "peak_memory_gb": "{:.2f}",
    "first_token_s": "{:.4f}",
    "first_call_s": "{:.2f}",
    "equal_outputs": "{:.1%}",
    "note": "{}",
}


@dataclass
class BenchmarkArguments:
    """Where to measure, and where to write it."""

    device: str = field(
        default="cuda" if torch.cuda.is_available() else "cpu",
        metadata={"help": "cpu or cuda (default: what there is)."},
    )
    compiled: bool = field(default=True, metadata={"help": "On a GPU, also measure transformers compiled."})
    json: str | None = field(default=None, metadata={"help": "Also write the table to this file."})


def main(arguments: list[str]) -> None:
    parser = Parser(BenchmarkArguments, TrainingCases, GenerationCases, StartCases)
    parser.add_argument("kinds", nargs="*", help="train, generate, start, or all of them (default).")
    wanted = parser.parse(arguments)[0]
    if wanted.device not in ("cpu", "cuda") or (wanted.device == "cuda" and not torch.cuda.is_available()):
        raise UserError(f"--device {wanted.device}: give cpu" + (" or cuda" if torch.cuda.is_available() else ""))
    wanted, training, generation, start, words = parser.parse(
        arguments, GPU_DEFAULTS if wanted.device == "cuda" else None
    )
    kinds = words.kinds or KINDS
    if unknown := set(kinds) - set(KINDS):
        raise UserError(f"'{min(unknown)}' is no benchmark: give {', '.join(KINDS)}, or none for all")
    for cases in (training, generation, start):
        cases.check()
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()

    device = torch.device(wanted.device)
    machine: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "matmul_flops": matmul_peak(device),
        "bandwidth_bytes": bandwidth(device),
    }
    print(
        "{device}: {0:,.2f} TFLOP/s in matrix products, {1:,.1f} GB/s of memory; torch {torch}, transformers "
        "{transformers}".format(machine["matmul_flops"] / 1e12, machine["bandwidth_bytes"] / 1e9, **machine),
        flush=True,
    )
    results: list[Result] = []
    systems = (OURS, THEIRS, COMPILED) if wanted.compiled and device.type == "cuda" else (OURS, THEIRS)
    measured = {
        "train": training_results(training, systems, device),
        "generate": generation_results(generation, systems, device),
        "start": start_results(start, device),
    }
    for kind in KINDS:
        for result in measured[kind] if kind in kinds else ():
            results.append(result)
            print("  ".join(f"{name} {text}" for name, text in cells(result).items()), flush=True)
    print("\n" + table(list(COLUMNS), map(cells, results)))
    if wanted.json:
        write(Path(wanted.json), {**machine, "results": results})


def cells(result: Result) -> dict[str, str]:
    """A line of the table as text."""
    return {name: form.format(result[name]) for name, form in COLUMNS.items() if name in result}


def write(path: Path, measured: dict[str, Any]) -> None:
    """Keep what was measured, as JSON.

    Raises:
        UserError: if the file cannot be written.
    """
    try:
        path.write_text(json.dumps(measured, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"--json {path}: {error.strerror}; the table above is complete") from error


if __name__ == "__main__":
    run(main)
