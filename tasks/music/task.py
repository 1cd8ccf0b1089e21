"""Piano performances: `<|compose|> events … <|endoftext|>`, as in Music Transformer (Huang et al. 2018)."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from datasets import Dataset, DatasetDict

from shared.errors import UserError
from shared.sequence import Sequence, windows
from shared.task import DataArguments, Row, Task
from shared.vocabulary import TextVocabulary, Vocabulary
from tasks.music.chorales import read_chorales
from tasks.music.codec import decode, encode, performance
from tasks.music.evaluation import likelihoods, score_pieces, table
from tasks.music.reading import read_folder
from tasks.music.rendering import write_pieces
from tasks.music.vocabulary import COMPOSE, FILE, MusicVocabulary

CACHE = Path(__file__).parent.parent.parent / ".cache"


@dataclass
class MusicArguments(DataArguments):
    """A folder of MIDI files, split by MAESTRO's CSV, a splits.csv (`path,split`), or at random by file."""

    midi_dir: str | None = field(default=None, metadata={"help": "A folder of MIDI files, with or without a table."})
    split_seed: int = field(default=17, metadata={"help": "The seed of a random split."})
    stride: int | None = field(
        default=None,
        metadata={"help": "Events learned or scored per window of a long piece (default: max_length - 1)."},
    )
    num_samples: int = field(default=4, metadata={"help": "Pieces to compose at the end, at least one."})

    def __post_init__(self):
        if self.num_samples < 1:
            raise ValueError(f"--num_samples is {self.num_samples}: give 1 or more")

    @property
    def sample(self) -> bool:
        return self.midi_dir is None


class Music(Task):
    """No source, events of a performance as the target; long pieces become windows."""

    name = "music"
    Arguments = MusicArguments
    generation_defaults: ClassVar = {"do_sample": True, "top_p": 0.98, "max_new_tokens": 1024}
    needs_input = False
    input_is_file = True
    line = "<|compose|> events … <|endoftext|>"

    def read_rows(self) -> DatasetDict:
        if self.arguments.sample:
            splits = read_chorales(CACHE)
        else:
            splits, skipped = read_folder(self.arguments.midi_dir, self.arguments.split_seed)
            for reason in skipped:
                print(f"skipped: {reason}", file=sys.stderr)
            read = sum(map(len, splits.values()))
            print(f"{read:,} MIDI files read, {len(skipped):,} skipped", file=sys.stderr)
        self.training_pieces = splits["train"]
        return splits

    def load_vocabulary(self, name: str) -> Vocabulary:
        file = Path(name) / FILE
        is_music = file.is_file() and "tokenization" in json.loads(file.read_text(encoding="utf-8"))
        return MusicVocabulary() if is_music else TextVocabulary.load(name)

    def make_vocabulary(self, old: Vocabulary | None, rows: Dataset | None, size: int) -> MusicVocabulary:
        return MusicVocabulary()

    def sequences(self, row: Row, max_length: int, training: bool) -> list[Sequence]:
        stride = self.arguments.stride or max_length - 1
        if not 0 < stride < max_length:
            raise UserError(f"--stride {stride}: give 1 to {max_length - 1}, less than --max_length")
        return windows([self._compose, *row["events"], self.vocabulary.end], max_length, stride)

    def prompt(self, row: Row, max_length: int, new_tokens: int) -> Sequence:
        """`<|compose|>` and the primer's events, of which the last are kept if there are too many."""
        room = max(max_length - new_tokens, max_length // 2) - 1
        primer = row["primer"][-room:]
        return Sequence([self._compose, *primer], cut=len(row["primer"]) - len(primer))

    @property
    def _compose(self) -> int:
        return self.vocabulary.tokens[COMPOSE]

    def read(self, ids: list[int]) -> list[int]:
        return ids

    def request(self, given: str) -> Row:
        """Free composition, or the continuation of a MIDI file."""
        return {"primer": encode(performance(given)) if given else []}

    def requests(self, rows: Dataset) -> list[Row]:
        return [self.request("")] * self.arguments.num_samples

    def score_likelihood(self, nats: float, tokens: int, rows: Dataset) -> dict[str, float]:
        """Nats per event, note and second, and what a model of event frequencies alone would get."""
        return likelihoods(nats, tokens, rows["events"], self.training_pieces["events"], self.vocabulary)

    def score(self, outputs: list[list[int]], rows: Dataset) -> dict[str, Any]:
        """The share of playable files in per cent, features beside those of the split's pieces, and what is copied."""
        return score_pieces(outputs, rows["events"], self.training_pieces, self.vocabulary)

    def report(self, metrics: dict[str, Any]) -> str:
        return table(metrics)

    def write_outputs(self, outputs: list[list[int]], rows: Dataset | list[Row], folder: Path) -> None:
        """A MIDI file, a piano roll and a recording of each piece, primer and continuation."""
        pieces = [decode([*row["primer"], *output]) for row, output in zip(rows, outputs, strict=True)]
        write_pieces(pieces, [decode(row["primer"]) if row["primer"] else None for row in rows], folder)

    def output_folder(self, run: Path) -> Path:
        return run / "generated"
