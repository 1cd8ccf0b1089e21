"""Four-part chorales: `<|compose|> S A T B S A T B … <|endoftext|>`, the first table of Music Transformer.

A chorale is music of another notation, with a vocabulary of its own (`tasks.chorales.grid`); scores, pictures and
recordings are those of `tasks.music`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset, DatasetDict

from shared.data.arguments import WritingArguments
from shared.data.sequence import Sequence, windows
from shared.data.vocabulary import TextVocabulary, Vocabulary
from shared.task import Row, Task
from tasks.chorales.grid import STEP, VOICES, ChoraleVocabulary
from tasks.chorales.reading import grids_to_rows, read_jsb, sample
from tasks.midi.codec import TICKS_PER_SECOND, later, performance
from tasks.midi.evaluation import LIKELIHOODS, likelihoods, score_pieces, tables
from tasks.midi.rendering import Piece, write_pieces
from tasks.midi.sample import QUARTER
from tasks.midi.sequencer import arranged
from tasks.midi.vocabulary import COMPOSE


@dataclass
class ChoraleArguments(WritingArguments):
    """A JSON file of chorales; without one, those of music21's corpus."""

    jsb_file: str | None = field(
        default=None, metadata={"help": "The chorales of train, valid and test as lists of 16ths (.json, .json.xz, …)."}
    )

    @property
    def sample(self) -> bool:
        return self.jsb_file is None


class Chorales(Task):
    """No source, the voices' pitches as the target."""

    arguments: ChoraleArguments
    vocabulary: ChoraleVocabulary
    name = "chorales"
    Arguments = ChoraleArguments
    generation_defaults: ClassVar = {"do_sample": True, "top_p": 0.95, "max_new_tokens": 1024}
    needs_input = False
    sliding = True
    input_kind = "file"
    likelihood_metrics = LIKELIHOODS
    line = "<|compose|> soprano alto tenor bass soprano … <|endoftext|>"

    @classmethod
    def load_rows(cls, arguments: ChoraleArguments) -> DatasetDict:
        return grids_to_rows(sample() if arguments.jsb_file is None else read_jsb(arguments.jsb_file))

    @classmethod
    def load_vocabulary(cls, name: str) -> Vocabulary:
        return TextVocabulary.load(name)  # a run's folder holds a tokenizer of transformers

    @classmethod
    def build_vocabulary(
        cls, arguments: ChoraleArguments, old: Vocabulary | None, rows: Dataset | None, size: int
    ) -> ChoraleVocabulary:
        return ChoraleVocabulary()

    def sequences(self, row: Row, max_length: int, training: bool) -> list[Sequence]:
        """Windows of a chorale. Its end is learned but not scored: papers give the likelihood of voices alone."""
        end = [self.vocabulary.end] if training else []
        line = [self.vocabulary.tokens[COMPOSE], *row["events"], *end]
        return windows(line, max_length, max_length - VOICES, VOICES)

    def prompt(self, row: Row, max_length: int, new_tokens: int) -> Sequence:
        """`<|compose|>` and the last 16ths of the primer that fit."""
        room = max(max_length - new_tokens, max_length // 2) - 1
        cut = max(0, len(row["primer"]) - room // VOICES * VOICES)
        return Sequence([self.vocabulary.tokens[COMPOSE], *row["primer"][cut:]], cut=cut)

    def decode(self, ids: list[int]) -> list[int]:
        return ids

    def request(self, given: str) -> Row:
        """Free composition, or the continuation of a MIDI file."""
        return {"primer": self.vocabulary.encode(performance(given)) if given else []}

    def requests(self, rows: Dataset) -> list[Row]:
        return [self.request("")] * self.arguments.num_samples

    def score_likelihood(self, nats: float, tokens: int, rows: Dataset, training_rows: Dataset) -> dict[str, float]:
        """`nll_per_token` is of each voice in each 16th, in nats, as in papers."""
        return likelihoods(nats, tokens, rows["events"], training_rows["events"], self.vocabulary)

    def score(self, outputs: list[list[int]], rows: Dataset, training_rows: Dataset) -> dict[str, Any]:
        return score_pieces(outputs, rows["events"], training_rows, self.vocabulary)

    def report(self, metrics: Mapping[str, Any]) -> str:
        return tables(metrics)

    def write_outputs(self, outputs: list[list[int]], rows: Dataset | list[Row], folder: Path) -> None:
        """A MIDI file, a piano roll and a recording of each chorale, primer and continuation."""
        write_pieces([self._piece(row["primer"], output) for row, output in zip(rows, outputs, strict=True)], folder)

    def _piece(self, primer: list[int], output: list[int]) -> Piece:
        """The voices on tracks of their own, behind one with the primer."""
        given = self.vocabulary.decode(primer) if primer else None
        written = self.vocabulary.voices(output)
        start = len(primer) // VOICES * STEP
        tracks = {"Primer": given} if given else {}
        tracks |= {name: later(voice, start) for name, voice in written.items()}
        whole = self.vocabulary.decode([*primer, *output])
        return Piece(whole, given, arranged(tracks, tempo=60 * TICKS_PER_SECOND / QUARTER))

    def show(self, row: Row, output: list[int]) -> None:
        """Pieces are files."""
