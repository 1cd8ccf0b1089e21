"""What this package takes from the tasks of music, whose libraries nothing else needs."""

from tasks.chorales.grid import REST, STEP, ChoraleVocabulary
from tasks.midi.codec import TICKS_PER_SECOND, decode, to_midi
from tasks.midi.notation import write_musicxml
from tasks.midi.recording import record
from tasks.midi.rendering import draw_piano_roll
from tasks.midi.sample import VELOCITIES, read_chorales
from tasks.midi.vocabulary import COMPOSE, MusicVocabulary
from tasks.music.jobs import JOBS
from tasks.music.melody import melody_and_performance

__all__ = [
    "COMPOSE",
    "JOBS",
    "REST",
    "STEP",
    "TICKS_PER_SECOND",
    "VELOCITIES",
    "ChoraleVocabulary",
    "MusicVocabulary",
    "decode",
    "draw_piano_roll",
    "melody_and_performance",
    "read_chorales",
    "record",
    "to_midi",
    "write_musicxml",
]
