"""All scores of music, whatever its vocabulary: of likelihood, of what was generated beside the test set, of copies.

Pieces come as ids, of a vocabulary that says what they mean.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from datasets import Dataset
from symusic import Score

from shared.tables import table
from tasks.midi.codec import TICKS_PER_SECOND, save
from tasks.midi.novelty import PitchesAndTicks, novelty
from tasks.midi.scores import compare, features, unigram_nll, valid_share

Pieces = Sequence[Sequence[int]]
LIKELIHOODS = ("nll_per_token", "nll_per_note", "nll_per_second")  # lower is better


class MusicalVocabulary(PitchesAndTicks, Protocol):
    """A vocabulary whose ids any performance can be made of."""

    @property
    def tokens(self) -> Mapping[str, int]:
        """The id of every token."""

    def decode(self, ids: Sequence[int]) -> Score:
        """The performance that any ids describe."""


def likelihoods(
    nats: float, tokens: int, pieces: Pieces, training: Pieces, vocabulary: MusicalVocabulary
) -> dict[str, float]:
    """Nats per token, note and second of pieces whose tokens have a likelihood of `nats` in all, and a baseline.

    The baseline, `unigram_nll_per_token`, is what the frequencies of tokens in training alone would get.
    """
    performances = [vocabulary.decode(piece) for piece in pieces]
    return {
        "nll_per_token": nats / tokens,
        "nll_per_note": nats / sum(len(piece.tracks[0].notes) for piece in performances),
        "nll_per_second": nats / sum(piece.end() / TICKS_PER_SECOND for piece in performances),
        "unigram_nll_per_token": unigram_nll(training, pieces, len(vocabulary.tokens)),
    }


def score_pieces(
    generated: Pieces,
    real: Pieces,
    training: Dataset,
    vocabulary: MusicalVocabulary,
    melodies: tuple[Pieces, Pieces] | None = None,
) -> dict[str, Any]:
    """Scores of generated pieces beside `real` ones: `valid_midi` in per cent, features, novelty, `passages`.

    `training` has the columns `path` and `events`. `melodies` are those that the generated and the real pieces go with.
    See `scores.features`, `scores.compare` and `novelty.novelty`.
    """
    performances = [vocabulary.decode(piece) for piece in generated]
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.mid" for number in range(len(performances))]
        for piece, file in zip(performances, files, strict=True):
            save(piece, file)
        valid = 100 * valid_share(files)
    theirs = [vocabulary.decode(piece) for piece in real]
    melody = [[vocabulary.decode(piece) for piece in pieces] for pieces in melodies] if melodies else [None, None]
    copied, real_copied, passages = novelty(generated, real, training, vocabulary)
    ours = {**features(performances, melody[0]), **copied}
    real_features = {**features(theirs, melody[1]), **real_copied}
    return {"valid_midi": valid, **compare(ours, real_features), "passages": passages}


LIKELIHOOD_LABELS = {
    "nll_per_token": "nats per event",
    "nll_per_lower_voice": "nats per voice below the soprano",
    "unigram_nll_per_token": "nats per event, by frequencies alone",
    "nll_per_note": "nats per note",
    "nll_per_second": "nats per second",
}
FEATURES = {
    "notes_per_second": "notes per second",
    "polyphony": "notes at once",
    "pitch_class_entropy": "pitch-class entropy, bits",
    "scale_consistency": "share of notes in one scale",
    "pitch_range": "pitch range, semitones",
    "inter_onset": "seconds between notes",
    "duration": "seconds a note lasts",
    "velocity": "velocity",
    "consonance": "consonance with the melody",
    "parallels": "parallel fifths and octaves, of 100 moves",
    "copied_events": "longest exact copy, events",
    "copied_seconds": "longest exact copy, seconds",
    "transposed_notes": "longest copy in any key, notes",
    "transposed_seconds": "longest copy in any key, seconds",
}


SIDES = {"generated": "generated", "real": "test set", "overlap": "overlap", "attainable": "attainable"}
COPIES = {"copied": "exact", "transposed": "in any key"}


def tables(metrics: Mapping[str, Any]) -> str:
    """Two tables of Markdown, from the metrics of `Music`: every score, and the longest copies of each piece.

    A feature's numbers are means over windows of 30 s (or over their notes); see `tasks.midi.scores.compare` for the
    overlap and what is attainable, `tasks.midi.novelty.Passage` for copies.
    """
    scores = [
        {"score": label, SIDES["real"]: f"{metrics[name]:.3f}"}
        for name, label in LIKELIHOOD_LABELS.items()
        if name in metrics
    ]
    for name, label in FEATURES.items():
        if f"real_{name}" in metrics:
            values = {column: metrics.get(f"{side}_{name}") for side, column in SIDES.items()}
            scores.append(
                {"score": label} | {key: f"{value:.2f}" for key, value in values.items() if value is not None}
            )
    copies = [
        {
            "piece": str(number),
            "longest copy": label,
            "events": str(passage["events"]),
            "notes": str(passage["notes"]),
            "seconds": f"{passage['seconds']:.1f}",
            "at": f"{passage['at']:.1f}",
            "from": passage["source"],
            "there at": f"{passage['source_at']:.1f}",
        }
        for number, passages in enumerate(metrics["passages"], 1)
        for passage, label in ((passages[kind], label) for kind, label in COPIES.items())
    ]
    columns = ["piece", "longest copy", "events", "notes", "seconds", "at", "from", "there at"]
    return f"{table(['score', *SIDES.values()], scores, markdown=True)}\n\n{table(columns, copies, markdown=True)}\n"
