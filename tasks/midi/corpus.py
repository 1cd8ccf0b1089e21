"""How `chorales.json.xz` was made: the four-part chorales of music21's corpus, read once and written as notes.

    python -m tasks.midi.corpus        # about a minute and a half on two cores; needs music21

music21 (Cuthbert and Ariza 2010) takes so long because it parses whole scores. What the sample needs of them is which
voice sings which key from when to when.
"""

import json
import lzma
from argparse import ArgumentParser
from typing import Any

from tqdm import tqdm

from shared.files import atomic_directory
from shared.threads import spawned_pool
from tasks.midi.sample import QUARTER, SCORES, VELOCITIES, Voices


def titles() -> dict[str, str]:
    """The title of each chorale of the Riemenschneider edition, by the name of its score in the corpus."""
    from music21 import corpus  # noqa: PLC0415 (an extra)

    edition = corpus.chorales.ChoraleListRKBWV().byRiemenschneider
    return {f"bach/bwv{entry['bwv']}": entry["title"] for entry in edition.values()}


def read_score(name: str) -> Voices:
    """The notes of each voice of a work in music21's corpus: onset, offset (in ticks) and key, in their order."""
    from music21 import converter, corpus  # noqa: PLC0415 (an extra)

    found = corpus.getWork(name, fileExtensions=("mxl", "xml"))
    if isinstance(found, list):  # the work and versions of it, whose names are longer
        found = min(found, key=lambda path: len(path.name))
    score = converter.parse(found, storePickle=False)
    voices: dict[str, list[tuple[float, float, int]]] = {voice: [] for voice in VELOCITIES}
    for part in score.parts:
        voice = (part.partName or "").split(maxsplit=1)[:1]  # "Soprano", "Soprano 1", "Soprano\rOboe 1"
        notes = voices.get("".join(voice))
        if notes is None:
            continue  # an instrument: it doubles a voice, or plays in between
        for note in part.flatten().notes:
            onset, offset, pitch = float(note.offset), float(note.offset + note.quarterLength), note.pitches[-1].midi
            if note.tie and note.tie.type != "start" and notes and notes[-1][1:] == (onset, pitch):
                notes[-1] = (notes[-1][0], offset, pitch)
            elif offset > onset:  # a grace note has no length
                notes.append((onset, offset, pitch))
    return {
        voice: [(round(onset * QUARTER), round(offset * QUARTER), pitch) for onset, offset, pitch in notes]
        for voice, notes in voices.items()
    }


def read_edition() -> list[dict[str, Any]]:
    """{"path", "title": str, "voices"} of each chorale, in the edition's order."""
    with spawned_pool() as pool:
        read = tqdm(pool.map(read_score, titles(), chunksize=8), desc="chorales", total=len(titles()), unit="score")
        return [
            {"path": path, "title": title, "voices": voices}
            for (path, title), voices in zip(titles().items(), read, strict=True)
        ]


def main() -> None:
    """Write the chorales; the file that is there stays until all are read."""
    ArgumentParser(description=__doc__).parse_args()
    edition = json.dumps(read_edition(), ensure_ascii=False, separators=(",", ":"))
    with (
        atomic_directory(SCORES.parent) as staging,
        lzma.open(staging / SCORES.name, "wt", encoding="utf-8", preset=9) as file,
    ):
        file.write(edition)


if __name__ == "__main__":
    main()
