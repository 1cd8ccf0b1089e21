"""Piano performances as events, as in Music Transformer (Huang et al. 2018): composed, continued, made of a melody."""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, DatasetDict

from shared.data.sequence import TokenSequence
from shared.data.vocabulary import TextVocabulary, Vocabulary
from shared.errors import UserError
from shared.files import user_cache
from shared.task import Judge, Row
from shared.writing import Window, everything, latter_half
from tasks.midi.codec import TICKS_PER_SECOND, excerpt
from tasks.midi.evaluation import score_pieces
from tasks.midi.rendering import Piece
from tasks.midi.sample import read_chorales
from tasks.midi.scores import consonance_at_equal_length
from tasks.midi.task import MidiTask
from tasks.midi.vocabulary import MusicVocabulary, saved_vocabulary, vocabulary_of
from tasks.music import asking, jobs, windows
from tasks.music.arguments import MusicArguments, MusicRequestArguments
from tasks.music.augmentation import Augmentation, Table
from tasks.music.grammar import NEVER, Grammar
from tasks.music.infilling import FOREVER, Hole, infill
from tasks.music.jobs import JOBS
from tasks.music.lengths import LengthsConstraint
from tasks.music.on_change import OnChangeConstraint
from tasks.music.pieces import piece
from tasks.music.reading import read_folder, rewritten, shuffled
from tasks.music.single_row import SingleRowConstraint

PRIMER_SECONDS = 10  # of the pieces that are continued when a split is scored


class Music(MidiTask):
    """Events of a performance as the target; no source, a primer or a melody (see `tasks.music.jobs`)."""

    arguments: MusicArguments
    vocabulary: MusicVocabulary
    request_arguments: MusicRequestArguments
    name = "music"
    Arguments = MusicArguments
    RequestArguments = MusicRequestArguments
    generation_defaults: ClassVar = {"do_sample": True, "top_p": 0.98, "max_new_tokens": 1024}
    fixed = ("velocity", "lengths")
    beams = False

    @property
    def line(self) -> str:
        lines = {
            "compose": "<|compose|> events … <|endoftext|>",
            "continue": "primer … <|continue|> continuation …",
            "accompany": "<|compose|> melody … <|accompany|> performance … <|endoftext|>",
            "infill": "past … <|gap|> future … <|infill|> middle … <|endoftext|>",
        }
        return "\n    ".join(lines[job] for job in self.arguments.job)

    @property
    def sliding(self) -> bool:
        """A melody, or what is around a hole, is the first to be lost in a line alone; see `window`."""
        return not {"accompany", "infill"} & {*self.arguments.job}

    @property
    def augment(self) -> Augmentation | None:
        most = (self.arguments.transpose, self.arguments.stretch, self.arguments.velocity_shift)
        return Augmentation(*most, Table(self.vocabulary.meaning)) if any(most) else None

    @classmethod
    def load_rows(cls, arguments: MusicArguments) -> DatasetDict:
        if arguments.midi_dir is None:
            splits = read_chorales()
        else:
            splits, skipped = read_folder(
                arguments.midi_dir, arguments.split_seed, "accompany" in arguments.job, user_cache()
            )
            for reason in skipped:
                print(f"skipped: {reason}", file=sys.stderr)
            read = sum(map(len, splits.values()))
            print(f"{read:,} MIDI files read, {len(skipped):,} skipped", file=sys.stderr)
        splits = rewritten(splits, vocabulary_of(arguments.velocity, arguments.lengths))
        if arguments.shuffle_melodies:
            splits = DatasetDict({name: rows if name == "train" else shuffled(rows) for name, rows in splits.items()})
        return splits

    @classmethod
    def load_vocabulary(cls, name: str) -> Vocabulary:
        return saved_vocabulary(name) or TextVocabulary.load(name)

    @classmethod
    def build_vocabulary(
        cls, arguments: MusicArguments, old: Vocabulary | None, rows: Dataset | None, size: int
    ) -> MusicVocabulary:
        return vocabulary_of(arguments.velocity, arguments.lengths)

    def sequences(self, row: Row, max_length: int, training: bool) -> list[TokenSequence | None]:
        """Lines of every job that is learned. Scored is the first only, so that no event counts twice."""
        arguments, stride = self.arguments, self.arguments.stride
        lines: dict[str, Callable[[], Iterable[TokenSequence | None]]] = {
            "compose": lambda: jobs.compose(row, self.vocabulary, max_length, stride, training),
            "continue": lambda: jobs.continue_(row, self.vocabulary, max_length, stride),
            "accompany": lambda: jobs.accompany(row, self.vocabulary, max_length, arguments.segment_seconds),
            "infill": lambda: infill(
                row, self.vocabulary, max_length, arguments.hole_seconds, None if training else arguments.future
            ),
        }
        return [line for job in arguments.job[: None if training else 1] for line in lines[job]()]

    def prompt(self, row: Row, max_length: int, new_tokens: int) -> TokenSequence:
        """The job's separator, before or after what is given of a piece, which is cut to fit if it is too long.

        Of a primer the last events stay, of a melody the first of its first segment. A decoder that has learned to
        compose only goes on from a primer as from its own beginning: `<|compose|> primer`.
        """
        if row["job"] == "infill":
            hole = Hole.cut(self.vocabulary.decode(row["given"]), self.vocabulary, *row["hole"])
            return hole.line(self.vocabulary, max(max_length - new_tokens, max_length // 2))
        given, separator = row["given"], self.vocabulary.tokens[JOBS[row["job"]]]
        room = max(max_length - new_tokens, max_length // 2) - 1
        if row["job"] == "accompany":
            first = jobs.segment_of(self.vocabulary.decode(given), 0, self.segment, self.vocabulary)
            shown = first[: room - jobs.splits_a_note(first, room, self.vocabulary)]
            return TokenSequence([*shown, separator], cut=len(first) - len(shown))
        kept = self.vocabulary.ending(given, room)
        line = [*kept, separator] if row["job"] == "continue" else [separator, *kept]
        return TokenSequence(line, cut=max(0, len(given) - room))

    def window(self, row: Row, prompt: Sequence[int], written: Sequence[int], context: int) -> Window:
        """What is read of a piece to write on: see `tasks.music.windows`. What fills a hole ends with the context."""
        if row["job"] == "infill":
            return everything(prompt, written)
        if row["job"] == "accompany":
            return windows.accompaniment(row["given"], written, context, self.segment, self.vocabulary)
        if row["job"] == "continue":
            return windows.continuation(prompt, written, context, self.vocabulary)
        if self.arguments.lengths == "with_note":
            return windows.composition(prompt, written, context, self.vocabulary)
        return latter_half(prompt, written, context)

    def new_tokens(self, row: Row, most: int) -> int:
        """`most` for each segment of the time that is asked for, by `--seconds` or a melody."""
        length = self.request_arguments.seconds
        if row["job"] == "accompany":
            song = self.vocabulary.decode(row["given"]).end() / TICKS_PER_SECOND
            length = min(length or song, song)
        return most * max(1, math.ceil((length or 0) / self.arguments.segment_seconds))

    @property
    def segment(self) -> int:
        """The ticks of melody and performance in a line, at most, to accompany."""
        return round(self.arguments.segment_seconds * TICKS_PER_SECOND)

    @property
    def first_hole(self) -> tuple[int, int]:
        """The ticks between which a split's pieces are filled when it is scored."""
        start = PRIMER_SECONDS * TICKS_PER_SECOND
        return start, start + round(self.arguments.hole_seconds * TICKS_PER_SECOND)

    def constraint(self) -> Grammar:
        asked = self.request_arguments
        hole = round((asked.hole[1] - asked.hole[0]) * TICKS_PER_SECOND) if asked.hole else NEVER
        kind: type[Grammar] = LengthsConstraint
        if self.arguments.lengths == "note_off":
            kind = OnChangeConstraint if self.arguments.velocity == "on_change" else SingleRowConstraint
        nucleus = asked.pitch_top_p or self.arguments.pitch_top_p
        return kind(self.vocabulary, asked.seconds, asked.all_keys, hole=hole, pitch_top_p=nucleus)

    @classmethod
    def chooses(cls, arguments: MusicArguments) -> bool:
        return arguments.job[0] == "accompany"

    def judge(self, row: Row) -> Judge:
        """Of several accompaniments the most consonant with their melody, for the length of their notes.

        Raises:
            UserError: for a row of another job.
        """
        if row["job"] != "accompany":
            raise UserError(f"--num_candidates chooses by a melody, for --job accompany: leave it out to {row['job']}")
        melody = self.vocabulary.decode(row["given"])

        def choose(outputs: Sequence[list[int]]) -> int:
            return int(
                np.argmax([consonance_at_equal_length(self.vocabulary.decode(each), melody) for each in outputs])
            )

        return choose

    def decode(self, ids: list[int]) -> list[int]:
        return self.vocabulary.unclocked(ids)

    def request(self, given: str) -> Row:
        """Free composition, or what the run has learned to do with a MIDI file: to go on from it, or accompany it.

        A row has the `job` and the events `given` (see `tasks.music.asking`).

        Raises:
            UserError: if the run has not learned what is asked for, or the file is no MIDI file.
        """
        return asking.request(given, self.arguments.job, self.request_arguments, self.vocabulary)

    def requests(self, rows: Dataset) -> list[Row]:
        """Pieces to write when a split is scored: free ones, or made of the first of its pieces."""
        job = self.arguments.job[0]
        if self.arguments.from_nothing:
            return [self.request("")] * self.arguments.num_samples
        first = rows.select(range(min(self.arguments.num_samples, len(rows))))
        if job == "accompany":
            return self._melodies(first)
        if job == "infill":
            return [{"job": job, "given": events, "hole": [*self.first_hole]} for events in first["events"]]
        beginnings = [asking.beginning(events, PRIMER_SECONDS, self.vocabulary) for events in first["events"]]
        return [{"job": job, "given": events} for events in beginnings]

    def _melodies(self, rows: Dataset) -> list[Row]:
        """What is asked for to accompany pieces: their first segments, or all of them."""
        wanted = self.request_arguments
        return [asking.accompaniment(melody, self._most, wanted, self.vocabulary) for melody in rows["melody"]]

    @property
    def _most(self) -> int:
        """The ticks of a melody that are accompanied when a split is scored, at most."""
        return FOREVER if self.arguments.whole_songs else self.segment

    def score(self, outputs: list[list[int]], rows: Dataset, training_rows: Dataset) -> dict[str, Any]:
        """Features beside those of the split's pieces (and with the melodies accompanied), and what is copied.

        What is composed, or goes on from a primer, stands beside as many events of the pieces, from where it begins
        itself: openings are calmer than whole pieces, and of slow music as many events take longer. What accompanies a
        melody stands beside what was played to it, what fills a hole beside what was there.
        """
        job, longest = self.arguments.job[0], max(map(len, outputs))
        melodies, real = None, rows["events"]
        if job == "accompany":
            asked = self._melodies(rows)
            given = [row["given"] for row in asked]
            melodies = given[: len(outputs)], given
            played = zip(map(self.vocabulary.decode, real), asked, strict=True)
            real = [self.vocabulary.encode(excerpt(each, row["at"], row["at"] + self._most)) for each, row in played]
        elif self.arguments.from_nothing:
            real = [events[:longest] for events in real]
        elif job == "infill":
            real = [Hole.cut(self.vocabulary.decode(each), self.vocabulary, *self.first_hole).middle for each in real]
        else:
            primers = [row["given"] for row in self.requests(rows)]
            outputs = [self.vocabulary.apart(*pair) for pair in zip(outputs, primers, strict=True)]
            wholes = [self.vocabulary.decode(events) for events in real]
            start = PRIMER_SECONDS * TICKS_PER_SECOND
            rests = (excerpt(whole, start, max(start, whole.end())) for whole in wholes)
            real = [self.vocabulary.encode(rest)[:longest] for rest in rests]
        return score_pieces(outputs, real, training_rows, self.vocabulary, melodies)

    def piece(self, row: Row, output: list[int]) -> Piece:
        """A continuation with its primer, an accompaniment with its melody, on tracks of their own.

        `--write_prime false` leaves out what was given.
        """
        return piece(row, output, self.request_arguments, self.vocabulary)
