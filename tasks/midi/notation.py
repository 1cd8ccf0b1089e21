"""Pieces as scores to read: MusicXML, by music21 (Cuthbert and Ariza 2010), for notation programs."""

import importlib.util
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import mido

from shared.data.arguments import RequestArguments
from tasks.midi.sequencer import midi_file
from tasks.midi.source import begins, channel_of, events, timing_of

SUFFIX = ".musicxml"
DIVISORS = (4, 3)  # a beat is divided into 16ths or triplets, whichever is nearer
MISSING = "takes music21: pip install -e .[music21]"


@dataclass
class NotationArguments(RequestArguments):
    """Whether what is written comes as a score, too."""

    musicxml: bool = field(
        default=False, metadata={"help": "Write each piece as MusicXML, too, in 16ths or triplets (takes music21)."}
    )

    def __post_init__(self) -> None:
        if self.musicxml and not importlib.util.find_spec("music21"):
            raise ValueError(f"--musicxml: {MISSING}")


def write_musicxml(file: mido.MidiFile, path: str | Path) -> None:
    """Write a MIDI file's tracks as the parts of a score, onsets and lengths moved to the nearest 16ths or triplets.

    The beat is that of the file's tempo: an expressive performance, which has none, reads as its times fall.

    Raises:
        ImportError: without music21.
    """
    from music21 import converter  # noqa: PLC0415 (an extra, and slow to import)

    with tempfile.TemporaryDirectory() as folder:
        midi = Path(folder) / "piece.mid"
        conducted(file).save(midi)
        score = converter.parse(midi, forceSource=True, quantizePost=True, quarterLengthDivisors=DIVISORS)
        score.write("musicxml", fp=Path(path))


def conducted(file: mido.MidiFile) -> mido.MidiFile:
    """The file with its timing on a first track alone, from where music21 takes it for all parts.

    Each channel of a track is a track then: music21 takes one for an instrument.
    """
    tracks = [*map(events, file.tracks)]
    parts = [timing_of(tracks)]
    for track in tracks:
        names = [event for event in track if event[1].type == "track_name"]
        for channel in sorted({message.channel for _, message in track if begins(message)}):
            parts.append([*names, *(event for event in track if channel_of(event[1]) == channel)])
    return midi_file(parts, file.ticks_per_beat)
