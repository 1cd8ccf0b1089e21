"""A decoder that is loaded once and writes for one line after the other."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from onedecoder.core import UserError
from onedecoder.decoder import LoadedDecoder
from onedecoder.piece import Piece


def converse(
    decoder: LoadedDecoder,
    settings: dict[str, Any],
    folder: Path,
    seed: int = 0,
    lines: Iterable[str] | None = None,
    out: TextIO | None = None,
) -> None:
    """Write for each of `lines` (by default of standard input) as it comes, until they end.

    A line is a text or, for music, a MIDI file's name or nothing; pieces go to `folder`. What is wrong with a line is
    said, and the next one is read. Every line draws other random numbers.
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
            written = decoder(line.rstrip("\n"), seed=seed + number, **settings)
            if isinstance(written, Piece):
                written = f"{written.save(_free(folder))} ({written.seconds:.1f} s)"
            print(written, file=out, flush=True)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)


def _free(folder: Path) -> Path:
    """The name of the next piece; none is written over."""
    number = 1
    while (path := folder / f"piece-{number}.mid").exists():
        number += 1
    return path
