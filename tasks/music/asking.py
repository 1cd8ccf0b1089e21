"""What is asked of a decoder of events, as a row: the `job`, the events `given`, and where they come from."""

from collections.abc import Sequence

from shared.errors import UserError
from shared.task import Row
from tasks.midi.codec import TICKS_PER_SECOND, excerpt, performance
from tasks.midi.source import MidiSource
from tasks.midi.task import check_learned
from tasks.midi.vocabulary import MusicVocabulary
from tasks.music.arguments import MusicRequestArguments
from tasks.music.infilling import FOREVER
from tasks.music.melody import first_onset, melody_and_performance


def request(given: str, learned: Sequence[str], asked: MusicRequestArguments, vocabulary: MusicVocabulary) -> Row:
    """The row for a MIDI file, or for "", of a run that has learned some jobs: the one that is asked for or fits.

    Raises:
        UserError: if the run has not learned what is asked for, or the file is no MIDI file.
    """
    fitting: tuple[str, ...] = ("continue", "accompany", "compose", "infill") if given else ("compose", "continue")
    if asked.hole:
        fitting = ("infill",)
    job = asked.job or next((known for known in fitting if known in learned), learned[0])
    check_learned(job, learned)
    if asked.intro and job != "accompany":
        raise UserError(f"--intro is for --job accompany: leave it out to {job}")
    if asked.hole and job != "infill":
        raise UserError(f"--from and --to are for --job infill: leave them out to {job}, or give a run that infills")
    if asked.prime_seconds and not given:
        raise UserError("--prime_seconds is for a MIDI file: give one, or leave it out")
    source = MidiSource(given) if given else None  # beside it stands in the end what is written: better refused now
    if job == "infill":
        for flag, given_so in {
            "--prime_seconds": asked.prime_seconds,
            "--write_prime false": not asked.write_prime,
        }.items():
            if given_so:
                raise UserError(f"{flag}: a hole is filled in the whole file: leave it out to infill")
        return _with_hole(given, source, asked, vocabulary)
    if job == "accompany" and not given:
        raise UserError("there is no melody to accompany: give a MIDI file")
    path = {"path": given} if given else {}
    if job == "accompany":
        melody, _ = melody_and_performance(given)
        return {**accompaniment(vocabulary.encode(melody), FOREVER, asked, vocabulary), **path}
    events = vocabulary.encode(performance(given)) if given else []
    return {"job": job, "given": beginning(events, asked.prime_seconds, vocabulary), **path}


def _with_hole(given: str, source: MidiSource | None, asked: MusicRequestArguments, vocabulary: MusicVocabulary) -> Row:
    """The row that asks for what fills the hole of a file; its ticks count from the first note, as of all pieces."""
    if not source or not asked.hole:
        raise UserError("there is no hole to fill: give a MIDI file, and --from and --to in seconds of it")
    whole, silent = performance(given), source.clock.silence
    start, stop = (max(0, round(time * TICKS_PER_SECOND - silent)) for time in asked.hole)
    if start >= whole.end():
        ends = (whole.end() + silent) / TICKS_PER_SECOND
        raise UserError(f"--from {asked.hole[0]}: {given} ends after {ends:.1f} s")
    if not stop:
        raise UserError(f"--to {asked.hole[1]}: {given} begins with a silence of {silent / TICKS_PER_SECOND:.1f} s")
    return {"job": "infill", "given": vocabulary.encode(whole), "hole": [start, stop], "path": given}


def accompaniment(melody: Sequence[int], most: int, asked: MusicRequestArguments, vocabulary: MusicVocabulary) -> Row:
    """The row that asks for the accompaniment of a melody, of `most` ticks; `at` is the tick where it begins."""
    if asked.prime_seconds:
        most = min(most, round(asked.prime_seconds * TICKS_PER_SECOND))
    whole = vocabulary.decode(melody)
    start = 0 if asked.intro else first_onset(whole) or 0
    given = vocabulary.encode(excerpt(whole, start, start + most))
    return {"job": "accompany", "given": given, "at": start}


def beginning(events: list[int], seconds: float | None, vocabulary: MusicVocabulary) -> list[int]:
    """The events of the first `seconds` (None: of all), where all notes end."""
    if seconds is None:
        return events
    return vocabulary.encode(excerpt(vocabulary.decode(events), 0, round(seconds * TICKS_PER_SECOND)))
