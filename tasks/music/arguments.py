"""The music recipe's own flags."""

from dataclasses import dataclass, field
from typing import Literal

from shared.data.arguments import WritingArguments
from tasks.midi.notation import NotationArguments
from tasks.music.jobs import JOBS

A_DAY = 24 * 60 * 60  # seconds


@dataclass
class MusicArguments(WritingArguments):
    """A folder of MIDI files, split by MAESTRO's CSV, a splits.csv (`path,split`), or at random by file."""

    midi_dir: str | None = field(default=None, metadata={"help": "A folder of MIDI files, with or without a table."})
    split_seed: int = field(default=17, metadata={"help": "The seed of a random split."})
    job: list[str] = field(
        default_factory=lambda: ["compose"],
        metadata={"help": f"What to learn, one or several of {', '.join(JOBS)}; the first one is scored."},
    )
    velocity: Literal["note", "on_change"] = field(
        default="note",
        metadata={"help": "Velocities come with every note, or on_change."},
    )
    lengths: Literal["note_off", "with_note"] = field(
        default="note_off",
        metadata={"help": "Notes have a note_off, or lengths with_note."},
    )
    stride: int | None = field(
        default=None,
        metadata={
            "help": "Events learned or scored per window of a long piece (default: max_length - 1; half of max_length "
            "where pieces are continued)."
        },
    )
    segment_seconds: float = field(default=15, metadata={"help": "Seconds of music in a line, at most, to accompany."})
    hole_seconds: float = field(default=5, metadata={"help": "Seconds of the holes to fill, to infill."})
    future: bool = field(
        default=True,
        metadata={"help": "To compare: whether likelihoods are with what comes behind a hole, to infill."},
    )
    shuffle_melodies: bool = field(
        default=False,
        metadata={"help": "To compare: score each piece after the next one's melody."},
    )
    whole_songs: bool = field(
        default=False,
        metadata={"help": "Score accompaniments of whole songs, not of first segments."},
    )
    primed: bool = field(
        default=False,
        metadata={"help": "Score compositions that go on from the split's pieces."},
    )
    pitch_top_p: float = field(default=1.0, metadata={"help": "Draw pitches from so much of their probability."})
    transpose: int = field(default=3, metadata={"help": "Transpose by up to so many semitones in training."})
    stretch: float = field(default=0.05, metadata={"help": "Change the tempo by up to this share in training."})
    velocity_shift: int = field(
        default=0, metadata={"help": "Move velocities by up to so many of their 32 bins in training."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := [job for job in self.job if job not in JOBS]:
            raise ValueError(f"--job {unknown[0]}: give one or several of {', '.join(JOBS)}")
        if not self.job or len({*self.job}) < len(self.job):
            raise ValueError(f"--job {' '.join(self.job)}: give each job once")
        if self.velocity == "on_change" and not {*self.job} <= {"compose", "continue"}:
            raise ValueError(
                f"--velocity on_change is for --job compose and continue: leave it out with {' '.join(self.job)}"
            )
        if self.lengths == "with_note" and self.velocity == "on_change":
            raise ValueError(
                "--velocity on_change is for --lengths note_off: give that, too (the sample's settings have another), "
                "or leave --velocity out"
            )
        if self.primed and self.job[0] != "compose":
            raise ValueError(f"--primed is for --job compose: leave it out with {' '.join(self.job)}")
        for name in ("shuffle_melodies", "whole_songs"):
            if getattr(self, name) and "accompany" not in self.job:
                raise ValueError(f"--{name} is for --job accompany: leave it out with {' '.join(self.job)}")
        for name in ("segment_seconds", "hole_seconds"):
            if not 1 <= getattr(self, name) <= A_DAY:
                raise ValueError(f"--{name} is {getattr(self, name)}: give 1 to {A_DAY:,}, a day")
        _check_nucleus(self.pitch_top_p)
        for name, most in {"transpose": 12, "stretch": 0.5, "velocity_shift": 31}.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"--{name} is {getattr(self, name)}: give 0 (off) to {most}")

    @property
    def sample(self) -> bool:
        return self.midi_dir is None

    @property
    def from_nothing(self) -> bool:
        """Whether what is written when a split is scored has nothing of its pieces before it."""
        return self.job[0] == "compose" and not self.primed


@dataclass
class MusicRequestArguments(NotationArguments):
    """How much of a MIDI file is given (by `--prime`), what to do with it, and how long to go on."""

    job: str | None = field(
        default=None,
        metadata={
            "help": "compose, continue, accompany or infill (default: with a MIDI file continue or else accompany, if "
            "learned; with --from and --to infill). What composes goes on from a file, too."
        },
    )
    seconds: float | None = field(
        default=None,
        metadata={
            "help": "Write so many seconds, at most, after what is given. (--max_new_tokens counts for each "
            "--segment_seconds of these or of a melody.)"
        },
    )
    prime_seconds: float | None = field(
        default=None,
        metadata={"help": "Read the first seconds of the MIDI file only, from its first note on."},
    )
    intro: bool = field(
        default=False,
        metadata={"help": "Accompany from the beginning of the MIDI file, not from its melody's first note on."},
    )
    write_prime: bool = field(
        default=True,
        metadata={"help": "Whether a continuation is written with its primer, or an accompaniment with its melody."},
    )

    tempo: float | None = field(
        default=None,
        metadata={"help": "Beats a minute of what is written (default: as in the file that is given, or else 120)."},
    )
    pedal: bool = field(default=False, metadata={"help": "Write long notes as short ones that the pedal holds."})
    hole_from: float | None = field(
        default=None,
        metadata={
            "aliases": ["--from"],
            "help": "Fill a hole in the MIDI file that begins at so many seconds of it …",
        },
    )
    hole_to: float | None = field(default=None, metadata={"aliases": ["--to"], "help": "… and ends at so many."})
    all_keys: bool = field(default=False, metadata={"help": "Strike any of MIDI's 128 keys, not a piano's 88 alone."})
    pitch_top_p: float | None = field(
        default=None, metadata={"help": "Draw pitches from so much of their probability (default: the run's setting)."}
    )

    @property
    def hole(self) -> tuple[float, float] | None:
        """Where a hole to fill begins and ends, in seconds."""
        return None if self.hole_from is None or self.hole_to is None else (self.hole_from, self.hole_to)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.hole_from is None) != (self.hole_to is None):
            raise ValueError("--from and --to say together where a hole is: give both")
        if self.hole and not 0 <= self.hole[0] < self.hole[1] <= A_DAY:
            raise ValueError(
                f"--from {self.hole_from:g} --to {self.hole_to:g}: give seconds from 0 to {A_DAY:,}, and --to the later"
            )
        if self.pitch_top_p is not None:
            _check_nucleus(self.pitch_top_p)
        if self.tempo is not None and not 4 <= self.tempo <= 1000:
            raise ValueError(f"--tempo is {self.tempo}: give 4 to 1000 beats a minute")
        for name in ("seconds", "prime_seconds"):
            if getattr(self, name) is not None and not 0 < getattr(self, name) <= A_DAY:
                raise ValueError(f"--{name} is {getattr(self, name)}: give more than 0 and up to {A_DAY:,}, a day")


def _check_nucleus(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"--pitch_top_p is {share}: give a share above 0 and up to 1")
