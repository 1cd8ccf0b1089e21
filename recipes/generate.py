"""Generate with a trained decoder.

    python recipes/generate.py outputs/translation "The small dog sleeps." "I drink coffee."
    python recipes/generate.py outputs/summarization --input_file article.txt
    python recipes/generate.py outputs/language_modeling "Once upon a time" --num_samples 3 --temperature 0.8
    python recipes/generate.py gpt2 "A robot must obey" --max_new_tokens 40
    python recipes/generate.py outputs/music --prime beginning.mid --num_samples 4 --output_dir pieces
    python recipes/generate.py outputs/music --prime beginning.mid --prime_seconds 10 --seconds 30
    python recipes/generate.py outputs/pop909 --prime song.mid
    python recipes/generate.py outputs/translation --interactive
    python recipes/generate.py outputs/translation "The small dog sleeps." --target_prefix "Der kleine"
    python recipes/generate.py outputs/translation "The small dog sleeps." --num_beams 5 --num_return_sequences 5
    python recipes/generate.py outputs/translation "I drink coffee." --ensemble outputs/seed_2 outputs/seed_3
    python recipes/generate.py outputs/music --seconds 60 --load_in_8bit true --compile true

Inputs are arguments, a file, or standard input (also named -). What is no run of this program, such as gpt2, goes on
from them as text. By default, the generation settings are those of the training. The same seed gives the same output.
With --interactive, the program loads the decoder once and then reads standard input line by line.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from shared.data.arguments import RequestArguments
from shared.errors import UserError
from shared.files import check_writable
from shared.generation.arguments import DecoderArguments, GenerationArguments
from shared.runs.cli import Parser, names_of, run
from shared.task import Row, Task

MOST_SAMPLES = 10_000  # of one input

MUCH = 0.1  # of the probability; decoders that are trained to the end stay at a few per cent


@dataclass
class OutputArguments(DecoderArguments):
    """What to write for, how often, and where to."""

    input_file: str | None = field(
        default=None,
        metadata={
            "aliases": ["--prime"],
            "help": "Read the inputs from this file; for music, a MIDI file to go on from, to accompany or to fill.",
        },
    )
    num_samples: int = field(default=1, metadata={"help": "How many outputs for each input."})
    num_return_sequences: int = field(
        default=1,
        metadata={"help": "Print the N best of the --num_beams hypotheses for each input, with their scores."},
    )
    output_dir: str | None = field(
        default=None,
        metadata={"help": "Write the outputs here (default: text is printed, music goes to RUN/generated)."},
    )
    interactive: bool = field(
        default=False, metadata={"help": "Read inputs (for music, names of MIDI files or nothing) line by line."}
    )
    compile: bool = field(
        default=False,
        metadata={"help": "Compile the decoding step by the machine's C++ compiler: a CPU writes one output faster."},
    )
    seed: int = field(default=0, metadata={"help": "Where the random numbers start."})

    def check(self, inputs: list[str], generation: GenerationArguments, kind: "type[Task]") -> None:
        """Refuse what would be passed over.

        Raises:
            UserError: if a setting leaves another without effect.
        """
        many, hypotheses = self.num_samples != 1, self.num_return_sequences != 1
        idle, why = {}, ""
        if self.interactive:
            why = "--interactive writes one output for each line of standard input"
            idle = {
                "the inputs": bool(inputs),
                "--input_file": bool(self.input_file),
                "--num_samples": many,
                "--num_return_sequences": hypotheses,
                "--output_dir": bool(self.output_dir) and kind.input_kind != "file",  # a text is printed
            }
        elif hypotheses:
            why = "--num_return_sequences prints the hypotheses of each input, by their own scores"
            idle = {
                "--output_dir": bool(self.output_dir),
                "--num_samples": many,
                "--rerank_reverse": bool(generation.rerank_reverse),
            }
        for name, given in idle.items():
            if given:
                raise UserError(f"{why}: leave out {name}")


def main(arguments: list[str]) -> None:
    first = new_parser(RequestArguments, add_help=len(arguments) == 1)  # with a run, its task's flags are listed
    first.epilog = "More flags, those of a run's task: generate.py RUN --help"
    run_name = first.run_of(arguments)
    # Imported once the flags are read: --help does without PyTorch, which takes seconds.
    from onedecoder.decoder import load  # noqa: PLC0415
    from onedecoder.interactive import converse  # noqa: PLC0415
    from onedecoder.source import Source  # noqa: PLC0415
    from shared.generation.candidates import judges_of  # noqa: PLC0415

    source = Source.open(run_name)
    parser = new_parser(source.kind.RequestArguments)
    request_arguments, generation, output, given = parser.parse(arguments, asdict(source.generation))
    generation.check(names_of(arguments))
    task = source.task(request_arguments)
    folder = Path(output.output_dir or Path(run_name) / "generated")
    asked = {"ensemble": output.ensemble or (), "load_in_8bit": output.load_in_8bit, "compile": output.compile}
    loaded = partial(load, given.run, **asked)
    output.check(given.inputs, generation, source.kind)
    if output.interactive:
        converse(loaded(), task, generation, folder, output.seed)
        return
    rows = requests(task, given.inputs, output)
    judges_of(task, rows, generation)  # refused, if at all, before a decoder is loaded
    if output.output_dir or task.show(rows[0], task.decode([])) is None:
        check_writable(folder)
    decoder = loaded()
    if output.num_return_sequences != 1:
        say_cut(task.prompt(row, decoder.max_length, generation.max_new_tokens).cut for row in rows)
        for best in decoder.write_n_best(task, rows, generation, output.num_return_sequences):
            print("\n".join(f"{score:.4f}\t{text}" for score, text in best))
        return
    progress = "generating" if sys.stderr.isatty() else None
    written = decoder.write(task, rows, generation, seed=output.seed, progress=progress)
    say_cut(written.cut[:: output.num_samples])
    if written.removed is not None:
        print(removed_share(written.removed), file=sys.stderr)
    shown = [task.show(row, text) for row, text in zip(rows, written.outputs, strict=True)]
    printed = [text for text in shown if text is not None]
    if output.output_dir or len(printed) < len(shown):
        files = task.write_outputs(written.outputs, rows, folder, keep=True)
        names = f"{files[0].name} … {files[-1].name}" if len(files) > 1 else files[0].name
        print(f"{len(rows)} written to {folder}: {names}")
    else:
        print("\n".join(printed))


def say_cut(tokens: Iterable[int]) -> None:
    """How many tokens of each input the decoder does not read."""
    for number, cut in enumerate(tokens, 1):
        if cut:
            print(f"input {number}: {cut} tokens do not fit: the decoder does not see them", file=sys.stderr)


def removed_share(removed: float) -> str:
    """How much of the probability was of what may not come, and what to do where that is much."""
    advice = ": train it longer, lower --temperature or --top_p, or give what is more like its training"
    return f"the decoder gave {removed:.2%} of the probability to what may not be written" + advice * (removed > MUCH)


def new_parser(request: type[RequestArguments], **options: Any) -> Parser:
    """The flags of every task, and those of one task's requests."""
    parser = Parser(request, GenerationArguments, OutputArguments, **options)
    parser.add_argument("run", help="A run's folder, a folder in transformers' format, or a name on the hub.")
    parser.add_argument(
        "inputs", nargs="*", default=[], help="Texts (or MIDI files) to write for; - is standard input."
    )
    return parser


def requests(task: Task, inputs: list[str], output: OutputArguments) -> list[Row]:
    """The rows to write for: each input `num_samples` times.

    Raises:
        UserError: if there is nothing to write for, or an input cannot be read.
    """
    if not 1 <= output.num_samples <= MOST_SAMPLES:
        raise UserError(f"--num_samples is {output.num_samples}: give 1 to {MOST_SAMPLES:,}")
    given = [text for text in inputs if text != "-"]
    # Path.is_file() raises for a text that is too long for a name.
    files = [text for text in given if os.path.isfile(text)] if task.input_kind != "file" else []  # noqa: PTH113
    if files:
        raise UserError(f"'{files[0]}' is a file, not a text: give it as --input_file {files[0]}")
    if output.input_file and task.input_kind == "file":
        given.append(output.input_file)
    elif output.input_file:
        from shared.data.loading import FORMATS, format_suffix  # noqa: PLC0415 (datasets take seconds to import)

        if FORMATS.get(format_suffix(output.input_file).lower(), "text") != "text":
            raise UserError(f"--input_file {output.input_file}: a table is no text: give a file of the inputs alone")
        try:
            given += split(task, Path(output.input_file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error  # without the name, which is said already
            raise UserError(f"--input_file {output.input_file}: {reason}; give a text file in UTF-8") from error
    if "-" in inputs or (task.needs_input and not given and not output.input_file):
        if sys.stdin.isatty():
            print("reading standard input, to the end of file", file=sys.stderr)
        try:
            given += split(task, sys.stdin.read())
        except UnicodeDecodeError as error:
            raise UserError(f"standard input: {error}; give text in UTF-8") from error
    return [task.row(text) for text in given or [""] for _ in range(output.num_samples)]


def split(task: Task, text: str) -> list[str]:
    """The inputs that a text holds: each of its lines, or all of it; without the mark that some editors begin with."""
    text = text.removeprefix("\ufeff")
    parts = text.removesuffix("\n").split("\n") if task.input_kind == "lines" else [text]
    found = [part for part in parts if part.strip()]
    if found and len(found) < len(parts):
        print(f"{len(parts) - len(found)} empty lines are left out", file=sys.stderr)
    return found


if __name__ == "__main__":
    run(main)
