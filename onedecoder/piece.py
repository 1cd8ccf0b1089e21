"""Music that a decoder wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onedecoder.core import UserError

if TYPE_CHECKING:
    from symusic import Score

# What writes a file of each name: a function of `core_music`, whose libraries a text's decoder does without.
WRITERS = {
    **dict.fromkeys((".mid", ".midi"), "save"),
    ".png": "draw_piano_roll",
    **dict.fromkeys((".wav", ".ogg"), "record"),
    ".musicxml": "write_musicxml",
}
PACKAGES = {".ogg": "soundfile", ".musicxml": "music21"}  # that write a format


class Piece:
    """A piece of music: its `events` (ids of the run's vocabulary) and its `score`, in ticks of 10 ms."""

    def __init__(self, events: list[int], score: Score):
        self.events, self.score = events, score

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        from onedecoder.core_music import TICKS_PER_SECOND  # noqa: PLC0415 (a text's decoder needs none of it)

        notes = self.score.tracks[0].notes
        return max((note.time + note.duration for note in notes), default=0) / TICKS_PER_SECOND

    def save(self, path: str | Path) -> Path:
        """Write it as MIDI (`.mid`), piano roll (`.png`), recording (`.ogg`, `.wav`) or score (`.musicxml`).

        Raises:
            UserError: if the name ends otherwise, or the file cannot be written.
        """
        from onedecoder import core_music  # noqa: PLC0415 (as above)

        path = Path(path)
        if path.suffix.lower() not in WRITERS:
            raise UserError(f"{path}: a piece is saved as {', '.join(WRITERS)}; give a name that ends so")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            getattr(core_music, WRITERS[path.suffix.lower()])(self.score, path)
        except ImportError as error:
            package = PACKAGES.get(path.suffix.lower(), "")
            raise UserError(f"{path}: a package is missing: pip install {package}, or give a name in .mid") from error
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from error
        return path

    def __repr__(self) -> str:
        return f"Piece({len(self.score.tracks[0].notes)} notes, {self.seconds:.1f} s)"
