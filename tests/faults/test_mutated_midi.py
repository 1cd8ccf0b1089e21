"""MIDI files that nobody would write: each is read or named in one line, and none takes much memory.

`make test-faults` tries 10,000 mutated files and 3,000 of extremes; `make test` a few hundred of each.
"""

import random
import resource
from collections import Counter

import numpy as np
import pytest
from symusic import ControlChange, Note, Score, Tempo, Track

from shared.errors import UserError
from tasks.midi.codec import decode, encode, one_piano, save
from tasks.music.melody import melody_and_performance
from tasks.music.reading import read_folder
from tests.faults.harness import FULL

MUTATED, EXTREME = (10_000, 3_000) if FULL else (400, 400)
MEMORY = 1 << 30  # bytes that a file may take
WAITS = (0, 1, 127, 128, 16_383, 2**20, 2**24 - 1, 2**27, 2**28 - 1)  # ticks; the last is the longest that MIDI has
TEMPOS = (0, 1, 500_000, 16_000_000, 2**24 - 1)  # microseconds in a quarter note
DIVISIONS = (0, 1, 2, 24, 480, 500, 32_767, 0xE728, 0xFFFF)  # the last two count film frames


def read(path):
    """What comes of a file: `read`, or the reason why not in one line."""
    try:
        melody, performance = melody_and_performance(path)
    except UserError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert "\n" not in message
        return message.removeprefix(f"{path}: ")[:20]
    assert decode(encode(performance)) == performance
    assert decode(encode(melody)) == melody
    return "read"


@pytest.fixture
def little_memory():
    """What a file asks for beyond `MEMORY` is a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 (a line of the kernel's)
        pages = int(file.read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def number(value):
    """A variable-length number of MIDI."""
    groups = [value & 127]
    while value := value >> 7:
        groups.insert(0, value & 127 | 128)
    return bytes(groups)


def event(rng):
    channel, key, draw = rng.choice((0, 0, 1, 9)), rng.choice((0, 60, 61, 127)), rng.random()
    if draw < 0.6:
        struck = bytes((0x90 | channel, key, rng.choice((1, 64, 127))))
        return struck + number(rng.choice((*WAITS, 100, 200))) + bytes((0x80 | channel, key, 0))
    if draw < 0.75:
        return b"\xff\x51\x03" + rng.choice(TEMPOS).to_bytes(3, "big")
    if draw < 0.9:
        return bytes((0xB0 | channel, 64, rng.choice((0, 63, 64, 127))))
    return b"\xff\x58\x04" + bytes(rng.choice((0, 1, 4, 255)) for _ in range(4))


def extreme(rng):
    """A file whose form is right and whose numbers are the smallest and the largest there are."""
    chunks = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        waits = WAITS if rng.random() < 0.5 else (0, 10, 480)
        events = b"".join(number(rng.choice(waits)) + event(rng) for _ in range(rng.randrange(1, 12))) + b"\0\xff\x2f\0"
        length = len(events) if rng.random() < 0.98 else rng.choice((0, 2**31, 2**32 - 1))
        chunks.append(b"MTrk" + length.to_bytes(4, "big") + events)
    shape, count = rng.choice((1, 1, 1, 1, 0, 2)), rng.choice((*[len(chunks)] * 8, 0, 65_535))
    header = (6).to_bytes(4, "big") + b"".join(n.to_bytes(2, "big") for n in (shape, count, rng.choice(DIVISIONS)))
    return b"MThd" + header + b"".join(chunks)


def sound_file(path):
    score = Score(480)
    score.tempos.extend([Tempo(0, 90), Tempo(900, 133)])
    for name in ("MELODY", "PIANO"):
        track = Track(name)
        track.notes.extend([Note(240 * i, 200 + 40 * i, 60 + i, 50 + i) for i in range(8)])
        track.controls.extend([ControlChange(100, 64, 127), ControlChange(900, 64, 0)])
        score.tracks.append(track)
    score.dump_midi(path)
    return path.read_bytes()


def mutated(contents, rng):
    changed = bytearray(contents)
    for _ in range(rng.randrange(1, 6)):
        place, kind = rng.randrange(len(changed)), rng.random()
        if kind < 0.6:
            changed[place] = rng.choice((rng.randrange(256), 0, 127, 128, 255))
        elif kind < 0.8:
            del changed[place : place + rng.randrange(1, 5)]
        else:
            changed[place:place] = changed[place : place + rng.randrange(1, 40)]
    return bytes(changed[: rng.randrange(len(changed) // 2, len(changed) + 1)] if rng.random() < 0.2 else changed)


def test_a_mutated_file_is_read_or_named(tmp_path, little_memory):
    rng, path, found = random.Random(0), tmp_path / "odd.mid", Counter()
    contents = sound_file(path)
    for _ in range(MUTATED):
        path.write_bytes(mutated(contents, rng))
        found[read(path)] += 1
    print(found)
    assert found["read"] > MUTATED // 20
    assert MUTATED - found["read"] > MUTATED // 20


@pytest.mark.filterwarnings("error")
def test_a_file_of_extreme_numbers_is_read_or_named(tmp_path, little_memory):
    rng, path, found = random.Random(1), tmp_path / "odd.mid", Counter()
    for _ in range(EXTREME):
        path.write_bytes(extreme(rng))
        found[read(path)] += 1
    print(found)
    assert found["read"] > EXTREME // 20
    assert found["lasts longer than 24"] > EXTREME // 20


@pytest.mark.parametrize("pause", [10**6, 10**7])
def test_a_folder_with_a_file_that_never_ends_goes_on(tmp_path, little_memory, pause):
    """At 16 s and one tick a beat, a pause of a million ticks lasts half a year."""
    for index in range(5):
        save(one_piano(*np.array([[0], [50], [60 + index], [64]])), tmp_path / f"{index}.mid")
    notes = b"".join(number(pause) + bytes((0x90, 60, 64)) + number(5) + bytes((0x80, 60, 0)) for _ in range(3))
    track = b"\0\xff\x51\x03" + (16_000_000).to_bytes(3, "big") + notes + b"\0\xff\x2f\0"
    header = b"MThd" + (6).to_bytes(4, "big") + bytes((0, 0, 0, 1, 0, 1))
    (tmp_path / "odd.mid").write_bytes(header + b"MTrk" + len(track).to_bytes(4, "big") + track)
    of_split = ["test", "validation", "train", "train", "train"]
    lines = ["path,split", "odd.mid,train", *(f"{index}.mid,{split}" for index, split in enumerate(of_split))]
    (tmp_path / "splits.csv").write_text("\n".join(lines))
    splits, skipped = read_folder(tmp_path, with_melody=True)
    assert sum(map(len, splits.values())) == 5
    assert len(skipped) == 1
    assert skipped[0].startswith(f"{tmp_path / 'odd.mid'}: lasts longer than 24 hours")
