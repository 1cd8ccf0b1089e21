"""What tasks have in common whose outputs are music."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset

from shared.errors import UserError
from shared.task import Row, Task
from tasks.midi.evaluation import LIKELIHOODS, likelihoods, tables
from tasks.midi.notation import NotationArguments
from tasks.midi.rendering import Piece, write_pieces


def check_learned(job: str, learned: Sequence[str]) -> None:
    """Refuse a job that a run has not learned.

    Raises:
        UserError: with those that it has.
    """
    if job not in learned:
        # Whoever has learned to compose goes on from a file as from what it has composed.
        near = "compose" if job == "continue" and "compose" in learned else learned[0]
        raise UserError(f"--job {job}: the run has learned to {' and '.join(learned)}; give --job {near}")


class MidiTask(Task):
    """A task that writes pieces, from nothing or for a MIDI file, by one of the jobs that a run has learned."""

    request_arguments: NotationArguments
    vocabulary: Any  # of tokens that are a piece: it says when each sounds
    learned: ClassVar = ("job",)
    needs_input = False
    input_kind = "file"
    likelihood_metrics = LIKELIHOODS

    @classmethod
    def has_source(cls, arguments: Any) -> bool:
        return arguments.job != ["compose"]

    @abstractmethod
    def piece(self, row: Row, output: list[int]) -> Piece:
        """An output with what was given for it: what sounds, and the tracks of its MIDI file."""

    def write_outputs(
        self, outputs: list[list[int]], rows: Dataset | list[Row], folder: Path, keep: bool = False
    ) -> list[Path]:
        """A MIDI file, a piano roll and a recording of each piece; what was given is marked in the picture."""
        pieces = [self.piece(row, output) for row, output in zip(rows, outputs, strict=True)]
        return write_pieces(pieces, folder, self.request_arguments.musicxml, keep)

    def show(self, row: Row, output: list[int]) -> None:
        """Pieces are files."""

    def score_likelihood(self, nats: float, tokens: int, rows: Dataset, training_rows: Dataset) -> dict[str, float]:
        """Nats per event and per note, or per voice in each 16th; and what a model of event frequencies alone has."""
        return likelihoods(nats, tokens, rows["events"], training_rows["events"], self.vocabulary)

    def report(self, metrics: Mapping[str, Any]) -> str:
        return tables(metrics)
