"""Blind listening: which pieces are heard in pairs, the page that plays them, and what the answers say.

A source is a run, or the test's own pieces. Who made a piece stands in the page and in saved answers as a `key`, bytes
that say nothing to the eye: it keeps a listener from reading it by accident, not from looking for it.
"""

import base64
import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from onedecoder import page
from onedecoder.core import UserError, atomic_directory, check_writable

TYPES = {".ogg": "audio/ogg", ".mp3": "audio/mpeg", ".wav": "audio/wav"}
MARK = "<title>Listening in pairs</title>"  # of a page that was written here
CHOICES = ("first", "second", "neither")
NORMAL = 1.959963984540054  # quantile of the normal distribution that leaves 2.5 % above it

Pair = tuple[int, int]  # the sources of the first piece and of the second
Choice = Literal["first", "second", "neither"]


def drawn_pairs(sources: int, each: int, seed: int) -> list[Pair]:
    """Every two sources `each` times, in random order; either comes first in half of them (within one, if odd)."""
    rng = random.Random(seed)
    pairs = []
    for two in combinations(range(sources), 2):
        flipped = rng.random() < 0.5  # which comes first once more, if `each` is odd
        pairs += [two if (number % 2 == 0) != flipped else two[::-1] for number in range(each)]
    rng.shuffle(pairs)
    return pairs


def check_page(path: Path) -> None:
    """Find out before anything is composed whether the page can be written.

    Raises:
        UserError: if the name is no page's, that of a file of another kind, or the file cannot be written.
    """
    if path.suffix.lower() not in {".html", ".htm"}:
        raise UserError(f"--output {path}: a page's name ends in .html")
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise UserError(f"--output {path}: it is there already, and no page of this recipe; give another name")
    check_writable(path.parent)


def write_page(
    path: Path, sources: Sequence[str], pairs: Sequence[Pair], recordings: Sequence[Sequence[Path]], question: str
) -> Path:
    """Write the page of `pairs`, one HTML file; each source's recordings are heard in their order, one in each pair.

    Raises:
        UserError: if it cannot be written.
    """
    heard: list[list[bytes]] = []
    waiting = [iter(own) for own in recordings]
    for pair in pairs:
        heard.append([next(waiting[source]).read_bytes() for source in pair])
    plain = json.dumps({"sources": list(sources), "pairs": pairs}).encode()
    number = hashlib.sha256(b"".join([plain, *(sound for both in heard for sound in both)])).hexdigest()[:8]
    content = {
        "page": number,  # of these very recordings, so that no answers are taken for those of another page
        "key": base64.b64encode(turned(plain, number)).decode(),
        "question": question,
        "type": TYPES[recordings[0][0].suffix],
        "pairs": [[base64.b64encode(sound).decode() for sound in both] for both in heard],
    }
    with atomic_directory(path.parent) as staging:
        (staging / path.name).write_text(page.listening(json.dumps(content)), encoding="utf-8")
    return path


def turned(plain: bytes, number: str) -> bytes:
    """Each byte turned by a number of Marsaglia's xorshift from the page's own; turned twice, it is what it was."""
    state, found = int(number, 16), bytearray()
    for byte in plain:
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        state ^= state << 5 & 0xFFFFFFFF
        found.append(byte ^ (state & 255))
    return bytes(found)


@dataclass(frozen=True)
class Answers:
    """What one listener has said on one page: for each pair the sources' names, and the choice (None: none yet)."""

    page: str
    listener: str
    saved: str
    pairs: list[tuple[str, str]]
    choices: list[Choice | None]
    sources: list[str]


def read_answers(paths: Iterable[str | Path]) -> list[Answers]:
    """The answers in files that the page has saved; of a listener who saved several times, the last.

    Raises:
        UserError: if a file holds none.
    """
    found: dict[tuple[str, str], Answers] = {}
    for path in paths:
        try:
            answers = _answers(json.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as error:
            raise UserError(f"--answers {path}: cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise UserError(f"--answers {path}: holds no answers of a listening page: save them there anew") from error
        who = answers.page, answers.listener
        found[who] = max(answers, found.get(who, answers), key=lambda each: each.saved)
    return list(found.values())


def _answers(saved: dict[str, Any]) -> Answers:
    key = json.loads(turned(base64.b64decode(saved["key"]), saved["page"]))
    sources = [str(name) for name in key["sources"]]
    pairs = [(sources[first], sources[second]) for first, second in key["pairs"]]
    if len(pairs) != len(saved["answers"]) or {*saved["answers"]} - {*CHOICES, None}:
        raise ValueError("other answers than pairs")
    return Answers(saved["page"], saved["listener"], saved["saved"], pairs, saved["answers"], sources)


def wins(answers: Iterable[Answers]) -> list[dict[str, str]]:
    """A row of a table for every two sources that were compared: wins and losses of one, and its share of both.

    The share has Wilson's interval of 95 %, which takes every answer for one of its own.
    """
    sources: dict[str, None] = {}
    chosen: Counter[tuple[str, str]] = Counter()  # (whose piece was chosen, against whose)
    undecided: Counter[frozenset[str]] = Counter()
    for sheet in answers:
        sources |= dict.fromkeys(sheet.sources)
        for (first, second), choice in zip(sheet.pairs, sheet.choices, strict=True):
            if choice == "neither":
                undecided[frozenset((first, second))] += 1
            elif choice:
                chosen[(first, second) if choice == "first" else (second, first)] += 1
    rows = []
    for one, other in combinations(sources, 2):
        won, lost, neither = chosen[one, other], chosen[other, one], undecided[frozenset((one, other))]
        row = {"piece of": one, "against": other, "wins": str(won), "losses": str(lost), "can't tell": str(neither)}
        if won + lost:
            low, high = wilson(won, won + lost)
            row |= {
                "wins, %": f"{100 * won / (won + lost):.0f}",
                "95 % interval": f"{100 * low:.0f} – {100 * high:.0f}",
            }
        if won + lost + neither:
            rows.append(row)
    return rows


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The interval of 95 % for a share (Wilson 1927), of which `trials` have shown so many `successes`."""
    share, z2 = successes / trials, NORMAL**2 / trials
    middle = (share + z2 / 2) / (1 + z2)
    half = NORMAL * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials)) / (1 + z2)
    return middle - half, middle + half
