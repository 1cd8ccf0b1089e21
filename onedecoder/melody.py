"""A melody that a page offers to harmonise, so that a visitor needs no file."""

import base64
from functools import cache
from pathlib import Path
from typing import Any

from symusic import Score

from onedecoder.core import TextTask, UserError
from onedecoder.core_music import decode as score_of
from onedecoder.core_music import melody_and_performance, read_chorales, to_midi
from onedecoder.decoder import LoadedDecoder


def offered(decoder: LoadedDecoder) -> dict[str, str] | None:
    """{name, midi}, the file in base64: of the first piece that the run was scored on, or else the sample's test split.

    None where the decoder accompanies nothing, or there is none of these.
    """
    arguments: Any = decoder.task.arguments
    if isinstance(decoder.task, TextTask) or "accompany" not in arguments.job:
        return None
    scored = Path(decoder.name) / "samples" / "piece-1.mid"
    if arguments.job[0] == "accompany" and scored.is_file():
        try:
            return {"name": "of the first piece that was scored", "midi": _file(melody_and_performance(scored)[0])}
        except UserError:
            pass  # whoever put another file there gets the sample's
    return _of_the_sample() if arguments.sample else None


@cache
def _of_the_sample() -> dict[str, str]:
    row = read_chorales()["test"][0]
    return {"name": row["title"], "midi": _file(score_of(row["melody"]))}


def _file(melody: Score) -> str:
    return base64.b64encode(to_midi(melody)).decode("ascii")
