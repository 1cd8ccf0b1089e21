"""Music that a decoder wrote."""

from collections.abc import Callable
from pathlib import Path

from symusic import Score

from onedecoder.core import TICKS_PER_SECOND, UserError, draw_piano_roll, save, write_wav

WRITERS: dict[str, Callable[[Score, Path], object]] = {
    ".mid": save,
    ".midi": save,
    ".png": draw_piano_roll,
    ".wav": write_wav,
}


class Piece:
    """A piece of music: its `events` (ids of the run's vocabulary) and its `score`, in ticks of 10 ms."""

    def __init__(self, events: list[int], score: Score):
        self.events, self.score = events, score

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        notes = self.score.tracks[0].notes
        return max((note.time + note.duration for note in notes), default=0) / TICKS_PER_SECOND

    def save(self, path: str | Path) -> Path:
        """Write it as a MIDI file (`.mid`), a piano roll (`.png`) or a recording (`.wav`), as the name says."""
        path = Path(path)
        if path.suffix.lower() not in WRITERS:
            raise UserError(f"{path}: a piece is saved as {', '.join(WRITERS)}; give a name that ends so")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            WRITERS[path.suffix.lower()](self.score, path)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from error
        return path

    def __repr__(self) -> str:
        return f"Piece({len(self.score.tracks[0].notes)} notes, {self.seconds:.1f} s)"
