"""A decoder that is loaded once and writes for one line after the other."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from onedecoder.core import GenerationArguments, Task, UserError
from onedecoder.decoder import LoadedDecoder


def converse(
    decoder: LoadedDecoder,
    task: Task,
    generation: GenerationArguments,
    folder: Path,
    seed: int = 0,
    lines: Iterable[str] | None = None,
    out: TextIO | None = None,
) -> None:
    """Write for each of `lines` (by default of standard input) as it comes, until they end.

    A line is a text or, for music, a MIDI file's name or nothing; pieces go to `folder`, beside those that are there.
    What is wrong with a line is said, and the next one is read. Every line draws other random numbers.
    """
    out = out or sys.stdout
    asked = sys.stdin.isatty() if lines is None else False
    if lines is None and hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="surrogateescape")  # a line that is no UTF-8 is refused as other lines are
    lines = iter(sys.stdin if lines is None else lines)
    number = 0
    while True:
        if asked:
            print("> ", end="", file=sys.stderr, flush=True)
        line = next(lines, None)
        if line is None:
            return
        number += 1
        try:
            rows = [task.row(line.rstrip("\n"))]
            written = decoder.write(task, rows, generation, seed=seed + number)
            if written.cut[0]:
                print(f"{written.cut[0]} tokens do not fit: the decoder does not see them", file=sys.stderr, flush=True)
            shown = task.show(rows[0], written.outputs[0])
            if shown is None:
                (shown,) = map(str, task.write_outputs(written.outputs, rows, folder, keep=True))
            print(shown, file=out, flush=True)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
