"""What a decoder has written, beside what it was given: as one performance, and as the tracks of a MIDI file."""

from collections.abc import Sequence

import mido
import numpy as np
from symusic import Score

from shared.task import Row
from tasks.midi.codec import TEMPO, TICKS_PER_SECOND, columns, later, one_piano, together
from tasks.midi.rendering import Piece
from tasks.midi.sequencer import arranged
from tasks.midi.source import Events, MidiSource
from tasks.midi.vocabulary import MusicVocabulary
from tasks.music.arguments import MusicRequestArguments
from tasks.music.infilling import filled
from tasks.music.melody import TRACK

DOUBLED = TICKS_PER_SECOND // 10  # a note struck so near to the melody's own on its key is the melody
Tracks = dict[str, Score]


def piece(row: Row, output: list[int], asked: MusicRequestArguments, vocabulary: MusicVocabulary) -> Piece:
    """The piece of an output, with what was given for it unless `--write_prime false` leaves that out."""
    source = MidiSource(row["path"], asked.tempo) if row.get("path") else None
    whole, written = asked.write_prime, vocabulary.decode(vocabulary.apart(output, row["given"]))
    if row["job"] == "infill":
        return _filled(row, written, asked, vocabulary, source)
    given = vocabulary.decode(row["given"]) if row["given"] else None
    if row["job"] == "accompany":
        melody = vocabulary.decode(row["given"])
        own = without(written, melody)
        at, sung = row.get("at", 0), None
        parts = {"Accompaniment": own} if whole else {"Written": written}
        if whole and source:
            sung = _sung(source, later(melody, at), at, asked.prime_seconds)
        elif whole:
            parts = {"Melody": melody, **parts}
        file = _file({name: later(part, at) for name, part in parts.items()}, asked, source, sung)
        return Piece(together(melody, own) if whole else written, melody, file)
    if not given:
        return Piece(written, None, _file({"Piano": written}, asked))
    end = int(vocabulary.times(row["given"])[-1])
    if not whole:
        tempo = source.written.tempo(end) if source else None
        return Piece(written, None, _file({"Written": written}, asked, tempo=tempo))
    new = later(written, end)
    primer: Tracks = {} if source else {"Primer": given}
    file = _file({**primer, "Written": new}, asked, source, _read(source, asked.prime_seconds) if source else None)
    return Piece(together(given, new), given, file)


def _filled(
    row: Row, written: Score, asked: MusicRequestArguments, vocabulary: MusicVocabulary, source: MidiSource | None
) -> Piece:
    around, (start, stop) = vocabulary.decode(row["given"]), row["hole"]
    kept = filled(around, start, stop, vocabulary.decode([]))
    parts: Tracks = {"Written": later(written, start)}
    if not source:
        parts = {"Given": kept, **parts}
    file = _file(parts, asked, source, source.without(start, stop) if source else None)
    return Piece(filled(around, start, stop, written), kept, file)


def _read(source: MidiSource, seconds: float | None) -> list[Events]:
    """What was read of the file: its first seconds, or all of it as it is."""
    return source.tracks if seconds is None else source.until(round(seconds * TICKS_PER_SECOND))


def _sung(source: MidiSource, melody: Score, start: int, seconds: float | None) -> list[Events]:
    """The notes of a melody as they stand in its file, or those of so many seconds from a tick on."""
    onset, _, pitch, _ = columns(melody).tolist()
    stop = None if seconds is None else start + round(seconds * TICKS_PER_SECOND)
    return source.alone({*zip(onset, pitch, strict=True)}, TRACK, stop)


def _file(
    parts: Tracks,
    asked: MusicRequestArguments,
    source: MidiSource | None = None,
    given: "Sequence[Events] | None" = None,
    tempo: float | None = None,
) -> mido.MidiFile:
    """The tempo is the one asked for, or else the source's; the one of MIDI where there is neither."""
    return arranged(parts, source, given, asked.tempo or tempo or TEMPO, asked.pedal)


def without(performance: Score, melody: Score) -> Score:
    """A performance without the notes that double the melody: on its key, and struck at nearly the same time."""
    notes, sung = columns(performance), columns(melody)
    near = np.abs(np.subtract.outer(notes[0], sung[0])) <= DOUBLED
    return one_piano(*notes[:, ~(near & np.equal.outer(notes[2], sung[2])).any(1)])
