"""Compare runs by ear: a page of blind pairs of short pieces, and a table of what listeners chose.

    python recipes/listen.py outputs/music                            # a run against the test's own pieces
    python recipes/listen.py outputs/music outputs/music_absolute     # every two of the runs and the test's pieces
    python recipes/listen.py outputs/music --seconds 15 --pairs 10 --output music.html
    python recipes/listen.py --answers answers-*.json                 # the listeners' files: who won how often

The page is one HTML file with the recordings in it; send it to listeners. It hides who made what until all pairs are
answered. Each listener saves the answers as a file. All pieces begin with their first note, and end after --seconds.
"""

import random
import sys
from dataclasses import dataclass, field, fields
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from shared.errors import UserError
from shared.runs.cli import Parser, run
from shared.tables import table

if TYPE_CHECKING:
    from symusic import Score

REAL = "the test's own pieces"
MOST = 60  # seconds of a piece


@dataclass
class ListenArguments:
    """What is heard, and where the page goes; or whose answers are counted."""

    seconds: float = field(default=10, metadata={"help": "How long a piece is, at most."})
    pairs: int = field(default=6, metadata={"help": "How often every two are compared, each time with new pieces."})
    question: str = field(
        default="Which of the two do you like better?", metadata={"help": "What listeners are asked."}
    )
    format: Literal["ogg", "mp3", "wav"] | None = field(
        default=None,
        metadata={"help": "How recordings are kept (default: ogg). Old iPhones need mp3."},
    )
    output: str = field(default="listening.html", metadata={"help": "The page to write."})
    answers: list[str] | None = field(
        default=None, metadata={"help": "Files that listeners saved: print what they chose, and write no page."}
    )
    seed: int = field(default=0, metadata={"help": "Where the random numbers start: of pieces, pairs and orders."})

    def __post_init__(self) -> None:
        if not 1 <= self.seconds <= MOST:
            raise ValueError(f"--seconds is {self.seconds}: give 1 to {MOST}")
        if not 1 <= self.pairs <= 100:
            raise ValueError(f"--pairs is {self.pairs}: give 1 to 100")


def main(arguments: list[str]) -> None:
    parser = Parser(ListenArguments)
    parser.add_argument("runs", nargs="*", default=[], help="Folders of runs that compose music.")
    wanted, given = parser.parse(arguments)
    from onedecoder.listening import check_page, drawn_pairs, read_answers, wins, write_page  # noqa: PLC0415 (--help needs none)

    if wanted.answers:
        rows = wins(read_answers(wanted.answers))
        if not rows:
            raise UserError("--answers: no pair is answered in these files: save them once some are")
        print(table([*max(rows, key=len)], rows))
        return
    if not given.runs:
        raise UserError("nothing to listen to: name one run or more, or give --answers FILE")
    if len({*given.runs}) < len(given.runs):
        raise UserError(f"{' '.join(given.runs)}: name each run once")
    check_page(Path(wanted.output))
    sources = [*given.runs, REAL]
    pairs = drawn_pairs(len(sources), wanted.pairs, wanted.seed)
    with TemporaryDirectory() as folder:
        recordings = record_all(given.runs, (len(sources) - 1) * wanted.pairs, wanted, Path(folder))
        if not wanted.format and recordings[0][0].suffix == ".wav":
            print(
                "note: libsndfile is missing (pip install soundfile), so the page holds WAV and is ten times as large"
            )
        path = write_page(Path(wanted.output), sources, pairs, recordings, wanted.question)
    print(f"{path}: {len(pairs)} pairs, {path.stat().st_size / 1e6:.1f} MB, open it in any browser")


def record_all(runs: list[str], count: int, wanted: ListenArguments, folder: Path) -> list[list[Path]]:
    """So many recordings in `folder` of what each of the runs composes, then of pieces of the first run's test split.

    Raises:
        UserError: if a run composes no music, or there is no encoder for the format.
    """
    from tasks.midi.codec import TICKS_PER_SECOND, excerpt  # noqa: PLC0415 (--help does without)
    from tasks.midi.recording import best_suffix, record  # noqa: PLC0415

    suffix = f".{wanted.format}" if wanted.format else best_suffix()
    if suffix != ".wav" and best_suffix() == ".wav":
        raise UserError(f"--format {wanted.format} takes an encoder: pip install soundfile, or give --format wav")
    ticks = round(wanted.seconds * TICKS_PER_SECOND)
    pieces = [composed(name, count, wanted.seconds, wanted.seed + place) for place, name in enumerate(runs)]
    pieces.append(real(runs[0], count, wanted.seed))
    recordings: list[list[Path]] = []
    for source, scores in enumerate(pieces):
        recordings.append([folder / f"{source}-{number}{suffix}" for number in range(count)])
        for score, path in zip(scores, recordings[-1], strict=True):
            record(excerpt(score, 0, ticks), path)
    return recordings


def composed(name: str, count: int, seconds: float, seed: int) -> "list[Score]":
    """So many pieces that a run composes with the settings of its training, each of `seconds` at most.

    Raises:
        UserError: if it has not learned to compose.
    """
    from onedecoder.decoder import load  # noqa: PLC0415 (--help does without PyTorch)

    decoder = load(name)
    learned = getattr(decoder.task.arguments, "job", [])
    if not {"compose", "continue"} & {*learned}:
        able = f"has learned to {' and '.join(learned)}" if learned else f"is a {decoder.task.name} decoder"
        raise UserError(f"{name} {able}: listen to runs that compose music, or continue it")
    own = {each.name for each in fields(decoder.task.RequestArguments)}
    task, generation = decoder.asked({"seconds": seconds} if "seconds" in own else {})
    progress = name if sys.stderr.isatty() else None
    written = decoder.write(task, [task.request("")] * count, generation, seed=seed, progress=progress)
    vocabulary: Any = task.vocabulary  # of music: its ids are a piece
    return [vocabulary.decode(output) for output in written.outputs]


def real(name: str, count: int, seed: int) -> "list[Score]":
    """So many pieces of a run's test split, at random; all of them before any comes again.

    Raises:
        UserError: if the data are not there, or have no test split.
    """
    from shared.runs.folder import Run  # noqa: PLC0415
    from shared.runs.pipeline import load_splits  # noqa: PLC0415
    from tasks import TASKS  # noqa: PLC0415

    opened = Run.open(name)
    splits = load_splits(opened.kind(TASKS), opened.arguments(TASKS), opened.seed)
    if not len(splits.get("test", [])):
        raise UserError(f"{name}: its data have no test split, from which pieces are heard beside its own")
    rows, order = splits["test"]["events"], random.Random(seed).sample(range(len(splits["test"])), len(splits["test"]))
    vocabulary: Any = opened.task(TASKS).vocabulary
    return [vocabulary.decode(rows[index]) for index in islice(cycle(order), count)]


if __name__ == "__main__":
    run(main)
