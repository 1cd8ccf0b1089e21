"""Music that a decoder wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onedecoder.core import UserError

if TYPE_CHECKING:
    from mido import MidiFile
    from symusic import Score

# What writes a file of each name: functions of `core_music`, whose libraries a text's decoder does without.
WRITERS = {".musicxml": "write_musicxml", ".png": "draw_piano_roll", **dict.fromkeys((".wav", ".ogg"), "record")}
MIDI = (".mid", ".midi")
PACKAGES = {".ogg": "soundfile", ".musicxml": "music21"}  # that write a format


class Piece:
    """A piece of music: its `events` (ids of the run's vocabulary) and its `score`, in ticks of 10 ms.

    `file` is the same as a sequencer has it, by mido: in tracks with names, with its tempo and resolution.
    """

    def __init__(self, events: list[int], score: Score, file: MidiFile):
        self.events, self.score, self.file = events, score, file

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
        suffix = path.suffix.lower()
        if suffix not in {*MIDI, *WRITERS}:
            raise UserError(f"{path}: a piece is saved as {', '.join((*MIDI, *WRITERS))}; give a name that ends so")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if suffix in MIDI:
                self.file.save(path)
            else:
                getattr(core_music, WRITERS[suffix])(self.file if suffix == ".musicxml" else self.score, path)
        except ImportError as error:
            package = PACKAGES.get(suffix, "")
            raise UserError(f"{path}: a package is missing: pip install {package}, or give a name in .mid") from error
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from error
        return path

    def __repr__(self) -> str:
        return f"Piece({len(self.score.tracks[0].notes)} notes, {self.seconds:.1f} s)"
