"""Four-part chorales: `<|compose|> S A T B S A T B … <|endoftext|>`, the first table of Music Transformer.

Or a given soprano is harmonised (`tasks.chorales.harmony`).

A chorale is music of another notation, with a vocabulary of its own (`tasks.chorales.grid`); scores, pictures and
recordings are those of `tasks.music`.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, DatasetDict

from shared.data.arguments import WritingArguments
from shared.data.sequence import TokenSequence, windows
from shared.data.vocabulary import TextVocabulary, Vocabulary
from shared.errors import UserError
from shared.task import Row
from tasks.chorales.grid import HARMONIZE, STEP, VOICES, ChoraleVocabulary
from tasks.chorales.harmony import SopranoConstraint, harmonize, longest, parallels
from tasks.chorales.reading import grids_to_rows, read_jsb, sample
from tasks.midi.codec import TICKS_PER_SECOND, later, performance
from tasks.midi.evaluation import score_pieces
from tasks.midi.notation import NotationArguments
from tasks.midi.rendering import Piece
from tasks.midi.sample import QUARTER
from tasks.midi.sequencer import arranged
from tasks.midi.task import MidiTask, check_learned
from tasks.midi.vocabulary import COMPOSE

JOBS = ("compose", "harmonize")
LONGEST = 4096  # tokens that harmonise one soprano, at most


@dataclass
class ChoraleArguments(WritingArguments):
    """A JSON file of chorales; without one, those of music21's corpus."""

    jsb_file: str | None = field(
        default=None, metadata={"help": "The chorales of train, valid and test as lists of 16ths (.json, .json.xz, …)."}
    )

    job: list[str] = field(
        default_factory=lambda: ["compose"],
        metadata={"help": "What to learn: compose, harmonize (a soprano), or both; the first one is scored."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.job or {*self.job} - {*JOBS} or len({*self.job}) < len(self.job):
            raise ValueError(f"--job {' '.join(self.job)}: give one or both of {', '.join(JOBS)}")

    @property
    def sample(self) -> bool:
        return self.jsb_file is None


@dataclass
class ChoraleRequestArguments(NotationArguments):
    """What to do with a MIDI file (given by `--prime`)."""

    job: str | None = field(
        default=None,
        metadata={"help": "compose (or go on from a file), or harmonize its highest voice (default: as learned)."},
    )


class Chorales(MidiTask):
    """No source (or a soprano), the voices' pitches as the target."""

    arguments: ChoraleArguments
    request_arguments: ChoraleRequestArguments
    vocabulary: ChoraleVocabulary
    name = "chorales"
    Arguments = ChoraleArguments
    RequestArguments = ChoraleRequestArguments
    generation_defaults: ClassVar = {"do_sample": True, "top_p": 0.95, "max_new_tokens": 1024}

    @property
    def line(self) -> str:
        voices = "soprano alto tenor bass soprano … <|endoftext|>"
        lines = {"compose": f"<|compose|> {voices}", "harmonize": f"soprano … <|harmonize|> {voices}"}
        return "\n    ".join(lines[job] for job in self.arguments.job)

    @property
    def sliding(self) -> bool:
        """A soprano is the first to be lost: what harmonises it ends with the context."""
        return "harmonize" not in self.arguments.job

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

    def sequences(self, row: Row, max_length: int, training: bool) -> list[TokenSequence]:
        """Windows of a chorale. Its end is learned but not scored: papers give the likelihood of voices alone."""
        end = [self.vocabulary.end] if training else []
        line = [self.vocabulary.tokens[COMPOSE], *row["events"], *end]
        lines = {
            "compose": lambda: windows(line, max_length, max_length - VOICES, VOICES, vary_end=training),
            "harmonize": lambda: harmonize(row["events"], self.vocabulary, max_length, training),
        }
        return [found for job in self.arguments.job[: None if training else 1] for found in lines[job]()]

    def prompt(self, row: Row, max_length: int, new_tokens: int) -> TokenSequence:
        """`<|compose|>` and the last 16ths of the primer that fit, or the first of a soprano and `<|harmonize|>`."""
        if "soprano" in row:
            kept = row["soprano"][: min(longest(max_length), min(new_tokens, LONGEST) // VOICES)]
            cut = len(row["soprano"]) - len(kept)
            return TokenSequence([*kept, self.vocabulary.tokens[HARMONIZE]], cut=cut)
        room = max(max_length - new_tokens, max_length // 2) - 1
        cut = max(0, len(row["primer"]) - room // VOICES * VOICES)
        return TokenSequence([self.vocabulary.tokens[COMPOSE], *row["primer"][cut:]], cut=cut)

    def decode(self, ids: list[int]) -> list[int]:
        return ids

    def request(self, given: str) -> Row:
        """Free composition, the continuation of a MIDI file, or the harmony below its highest voice.

        Raises:
            UserError: where the run has not learned what is asked for, or no soprano is given.
        """
        learned = self.arguments.job
        job = self.request_arguments.job or (learned[0] if given or len(learned) == 1 else "compose")
        check_learned(job, learned)
        if job == "harmonize" and not given:
            raise UserError("there is no soprano to harmonise: give a MIDI file")
        events = self.vocabulary.encode(performance(given)) if given else []
        return {"primer": [], "soprano": events[::VOICES]} if job == "harmonize" else {"primer": events}

    def requests(self, rows: Dataset) -> list[Row]:
        if self.arguments.job[0] == "compose":
            return [{"primer": []}] * self.arguments.num_samples
        first = rows.select(range(min(self.arguments.num_samples, len(rows))))
        return [{"primer": [], "soprano": events[::VOICES]} for events in first["events"]]

    def constraint(self) -> SopranoConstraint | None:
        """The soprano is the given one, in a run that has learned to harmonise."""
        if "harmonize" not in self.arguments.job:
            return None
        return SopranoConstraint(self.vocabulary, LONGEST)

    def score_likelihood(self, nats: float, tokens: int, rows: Dataset, training_rows: Dataset) -> dict[str, float]:
        """As for all music; to harmonise, also nats per voice below the soprano, which is given.

        What it takes to repeat the soprano counts as theirs: a decoder that has learned to do so needs next to nothing.
        """
        found = super().score_likelihood(nats, tokens, rows, training_rows)
        if self.arguments.job[0] == "harmonize":
            found["nll_per_lower_voice"] = nats / (tokens - tokens // VOICES)
        return found

    def score(self, outputs: list[list[int]], rows: Dataset, training_rows: Dataset) -> dict[str, Any]:
        """As for all music, and how often two voices move in parallel fifths or octaves (`harmony.parallels`)."""
        scores = score_pieces(outputs, rows["events"], training_rows, self.vocabulary)
        for who, chorales in (("generated", outputs), ("real", rows["events"])):
            scores[f"{who}_parallels"] = float(np.mean([parallels(self.vocabulary.grid(ids)) for ids in chorales]))
        return scores

    def piece(self, row: Row, output: list[int]) -> Piece:
        """The voices on tracks of their own, behind one with the primer; a soprano counts as given."""
        primer, written = row["primer"], self.vocabulary.voices(output)
        begun = self.vocabulary.decode(primer) if primer else None
        start = len(primer) // VOICES * STEP
        tracks = {"Primer": begun} if begun else {}
        tracks |= {name: later(voice, start) for name, voice in written.items()}
        whole = self.vocabulary.decode([*primer, *output])
        given = written["Soprano"] if "soprano" in row else begun
        return Piece(whole, given, arranged(tracks, tempo=60 * TICKS_PER_SECOND / QUARTER))
