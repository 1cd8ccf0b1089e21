"""Let a trained decoder write.

    python recipes/generate.py outputs/translation "The small dog sleeps." "I drink coffee."
    python recipes/generate.py outputs/summarization --input_file article.txt
    python recipes/generate.py outputs/language_modeling "Once upon a time" --num_samples 3 --temperature 0.8
    python recipes/generate.py outputs/music --prime beginning.mid --num_samples 4 --output_dir pieces
    python recipes/generate.py outputs/music --prime beginning.mid --prime_seconds 10 --seconds 30

Inputs are arguments, a file, or standard input (also named -). How to write is what the run was trained with, unless
flags say otherwise. The same seed writes the same.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch

from shared.cli import Parser, run
from shared.decoder import load_decoder
from shared.errors import UserError
from shared.evaluation import BF16
from shared.generation import GenerationArguments
from shared.reranking import check_candidates, generate_best
from shared.runs import Run
from shared.task import RequestArguments, Row, Task
from tasks import TASKS


@dataclass
class OutputArguments:
    """What to write for, how often, and where to."""

    input_file: str | None = field(
        default=None,
        metadata={
            "aliases": ["--prime"],
            "help": "Read the inputs from this file; for music, a MIDI file to go on from, or to accompany.",
        },
    )
    num_samples: int = field(default=1, metadata={"help": "How many outputs for each input."})
    output_dir: str | None = field(
        default=None,
        metadata={"help": "Write the outputs here (default: text is printed, music goes to RUN/generated)."},
    )
    seed: int = field(default=0, metadata={"help": "Where the random numbers start."})


def main(arguments: list[str]) -> None:
    first = new_parser(RequestArguments, add_help=len(arguments) == 1)  # with a run, its task's flags are listed
    opened = Run.open(first.parse_known_args(arguments)[0].run)
    task = opened.task(TASKS)
    parser = new_parser(task.RequestArguments)
    task.wanted, generation, wanted, given = parser.parse(arguments, opened.settings["generation"])
    generation.check()

    check_candidates(type(task), generation)
    rows = requests(task, given.inputs, wanted)
    decoder = load_decoder(str(opened.folder)).to("cuda" if torch.cuda.is_available() else "cpu")
    max_length = opened.settings["model"]["max_length"]
    lines = [task.prompt(row, max_length, generation.max_new_tokens) for row in rows]
    for number, line in enumerate(lines, 1):
        if line.cut:
            print(f"input {number}: {line.cut} tokens do not fit and were cut", file=sys.stderr)
    progress = "generating" if sys.stderr.isatty() else None
    prompts, constraint = [line.context for line in lines], task.constraint(generation)
    with torch.autocast("cuda", torch.bfloat16, enabled=BF16):
        written = generate_best(
            decoder, task, prompts, generation, seed=wanted.seed, constraint=constraint, progress=progress
        )
    if constraint:
        print(f"the grammar removed {constraint.removed / constraint.tokens:.2%} of the probability", file=sys.stderr)
    outputs = [task.read(ids) for ids in written]
    folder = Path(wanted.output_dir) if wanted.output_dir else task.output_folder(opened.folder)
    if folder:
        task.write_outputs(outputs, rows, folder)
        print(f"{len(outputs)} written to {folder}")
    else:
        print("\n".join(task.show(row, output) for row, output in zip(rows, outputs, strict=True)))


def new_parser(request: type[RequestArguments], **options) -> Parser:
    """The flags of every task, and those of one task's requests."""
    parser = Parser(request, GenerationArguments, OutputArguments, **options)
    parser.add_argument("run", help="A run's folder, such as outputs/translation.")
    parser.add_argument("inputs", nargs="*", help="Texts (or MIDI files) to write for; - is standard input.")
    return parser


def requests(task: Task, inputs: list[str], wanted: OutputArguments) -> list[Row]:
    """The rows to write for: each input `num_samples` times."""
    if wanted.num_samples < 1:
        raise UserError(f"--num_samples is {wanted.num_samples}: give 1 or more")
    texts = [text for text in inputs if text != "-"]
    if wanted.input_file and task.input_is_file:
        texts.append(wanted.input_file)
    elif wanted.input_file:
        try:
            texts += task.inputs(Path(wanted.input_file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"--input_file {wanted.input_file}: {error}; give a text file in UTF-8") from error
    if "-" in inputs or (task.needs_input and not texts and not wanted.input_file):
        if sys.stdin.isatty():
            print("reading standard input, to the end of file", file=sys.stderr)
        texts += task.inputs(sys.stdin.read())
    if not texts and task.needs_input:
        raise UserError(
            f"nothing to write for: give the {task.name} run its input as arguments, --input_file or standard input"
        )
    return [task.request(text) for text in texts or [""] for _ in range(wanted.num_samples)]


if __name__ == "__main__":
    run(main)
