"""Show your own decoder in the pictures of The Illustrated GPT-2: as a local page, or as one HTML file.

    python recipes/explore.py outputs/translation                                  # a page on 127.0.0.1, any size
    python recipes/explore.py gpt2                                                 # from the hub
    python recipes/explore.py outputs/music --beside outputs/music_absolute        # two runs, side by side
    python recipes/explore.py outputs/translation --export page.html "The dog sleeps."
    python recipes/explore.py gpt2 --export page.html --recorded "The robot must obey"

An exported page holds the weights in 8 bits (at most 12.5 M parameters), computes in the browser, and fetches nothing.
For a larger decoder, --recorded keeps what it writes for the given inputs.
"""

import argparse
from typing import NoReturn

from onedecoder.decoder import LoadedDecoder, load
from onedecoder.export import export, export_recorded
from shared.data.vocabulary import same_tokens
from shared.errors import UserError
from shared.runs.cli import run
from shared.text_task import TextTask


def main(arguments: list[str]) -> None:
    given = parse(arguments)
    decoders = [load(name) for name in (given.run, given.beside) if name]
    if given.beside:
        check_beside(*decoders)
    if not given.export:
        from onedecoder.server import serve  # noqa: PLC0415 (needs the extra)

        serve(decoders, given.inputs, given.port)
        return
    write = export_recorded if given.recorded else export
    path = write(decoders, given.export, given.inputs)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, open it in any browser")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The flags of this recipe.

    Raises:
        UserError: if they cannot be meant.
    """
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("run", help="A run's folder, a folder in transformers' format, or a name on the hub.")
    parser.add_argument("inputs", nargs="*", help="Texts that the page offers as examples, or inputs to record.")
    parser.add_argument(
        "--beside",
        metavar="RUN",
        help="Of music, a second run of the same task and vocabulary: the Music view shows its attention beside the "
        "first's.",
    )
    parser.add_argument("--export", metavar="PAGE.html", help="Write one HTML file instead of opening a local page.")
    parser.add_argument(
        "--recorded", action="store_true", help="With --export: record the inputs and leave out the weights."
    )
    parser.add_argument("--port", type=int, default=8000, help="The port of the local page (0: any free port).")
    given = parser.parse_intermixed_args(arguments)
    for text in given.inputs:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{text[:40]!a} holds what is no Unicode: give text in UTF-8") from error
    if given.recorded and not given.export:
        raise UserError("--recorded is for a file: give --export PAGE.html as well")
    return given


def check_beside(decoder: LoadedDecoder, other: LoadedDecoder) -> None:
    """Whether a page can show two decoders side by side.

    Raises:
        UserError: if it cannot.
    """
    if isinstance(decoder.task, TextTask):
        raise UserError(f"--beside {other.name}: the page shows runs of music side by side, not of {decoder.task.name}")
    for what, differs in {
        "task": decoder.task.name != other.task.name,
        "vocabulary": not same_tokens(decoder.task.vocabulary, other.task.vocabulary),
    }.items():
        if differs:
            raise UserError(f"--beside {other.name}: it has another {what} than {decoder.name}")


class Parser(argparse.ArgumentParser):
    """Mistakes in one line."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the flags)")


if __name__ == "__main__":
    run(main)
