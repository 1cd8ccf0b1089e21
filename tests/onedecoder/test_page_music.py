"""The page's music beside Python's: events, MIDI files, chorales."""

import base64
import io
import json
import random
from tempfile import NamedTemporaryFile

import mido
import numpy as np
import pytest
from symusic import Score

from onedecoder.about import data
from onedecoder.engine import Engine
from onedecoder.export import exported
from tasks.chorales.grid import ChoraleVocabulary
from tasks.midi.codec import TICKS_PER_SECOND, performance, save
from tasks.midi.vocabulary import ACCOMPANY
from tasks.music.melody import from_its_first_note, melody_and_performance
from tasks.music.pieces import without

IMPORTS = """
import { codecOf, midiOf, notesOf } from "onedecoder/engine/music.js";
import { clock, readMidi, writeMidi } from "onedecoder/engine/midi.js";
import { fromItsFirstNote, melodyOf, performanceOf } from "onedecoder/engine/performance.js";
const codec = data.music && codecOf(data.music);
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));
"""


def midi_file(seed):
    """A MIDI file with several tracks, channels and tempi, pedal, drums, overlaps and notes that never end."""
    rng = random.Random(seed)
    file = mido.MidiFile(ticks_per_beat=rng.choice([96, 480, 500]), type=1)
    for _ in range(rng.randrange(1, 4)):
        track = mido.MidiTrack()
        file.tracks.append(track)
        if rng.random() < 0.5:
            track.append(mido.MetaMessage("track_name", name=rng.choice(["Melody", " MELODY", "Piano"]), time=0))
        for _ in range(rng.randrange(5, 60)):
            time, channel = rng.choice([0, 0, 7, 48, 120, 700]), rng.choice([0, 0, 1, 9])
            kind, key = rng.random(), rng.randrange(55, 70)
            if kind < 0.45:
                track.append(mido.Message("note_on", note=key, velocity=rng.randrange(128), channel=channel, time=time))
            elif kind < 0.8:
                track.append(mido.Message("note_off", note=key, velocity=9, channel=channel, time=time))
            elif kind < 0.9:
                down = rng.choice([0, 63, 64, 127])
                track.append(mido.Message("control_change", control=64, value=down, channel=channel, time=time))
            elif kind < 0.94:
                track.append(mido.Message("program_change", program=rng.randrange(8), channel=channel, time=time))
            elif kind < 0.97:
                track.append(mido.Message("sysex", data=[1, 2, 3], time=time))
            else:  # in any track: it counts for all
                track.append(mido.MetaMessage("set_tempo", tempo=rng.randrange(300_000, 900_000), time=time))
        track.append(mido.Message("note_on", note=60, velocity=50, time=10))  # so that something sounds in any case
        track.append(mido.Message("note_off", note=60, velocity=0, time=300))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def triples(score):
    notes = score.tracks[0].notes.numpy()
    columns = notes["time"], notes["time"] + notes["duration"], notes["pitch"], notes["velocity"]
    return [tuple(map(int, note)) for note in zip(*columns, strict=True)]


def of_javascript(notes):
    return [(note["onset"], note["offset"], note["pitch"], note["velocity"]) for note in notes]


def test_midi_files_are_read_as_python_reads_them(tmp_path, music, vocabulary, javascript):
    files = [midi_file(seed) for seed in range(60)]
    code = (
        IMPORTS
        + """
    result = data.files.map((file) => ({
      whole: performanceOf(bytes(file)),
      events: codec.encode(performanceOf(bytes(file))),
      melody: fromItsFirstNote(melodyOf(bytes(file)), 300),
    }));
    """
    )
    encoded = [base64.b64encode(file).decode() for file in files]
    for number, found in enumerate(javascript(code, {"music": music, "files": encoded})):
        path = tmp_path / f"{number}.mid"
        path.write_bytes(files[number])
        score = performance(path)
        assert of_javascript(found["whole"]) == triples(score)
        assert found["events"] == vocabulary.encode(score)
        assert of_javascript(found["melody"]) == triples(from_its_first_note(melody_and_performance(path)[0], 300))


def test_what_is_written_as_midi_is_read_back(tmp_path, music, vocabulary, javascript):
    rng, names = random.Random(1), {index: token for token, index in vocabulary.tokens.items()}
    lines = [[rng.randrange(len(names)) for _ in range(rng.randrange(400))] for _ in range(30)]
    whole = [vocabulary.encode(performance(_saved(tmp_path, seed))) for seed in range(10)]
    lines += [*whole, *([event for event in line if rng.random() < 0.8] for line in whole)]
    code = (
        IMPORTS
        + """
    result = data.lines.map((ids) => {
      const file = midiOf(data.music, codec, ids);
      const { notes, cursor } = notesOf(data.music, codec, ids);
      const again = readMidi(file), at = clock(again);
      const span = ({ time, duration }) => [at(time), at(time + duration)];
      const times = again.tracks.flatMap(({ notes }) => notes.map(span));
      return { file: Buffer.from(file).toString("base64"), notes, cursor, times };
    });
    """
    )
    for ids, found in zip(lines, javascript(code, {"music": music, "lines": lines}), strict=True):
        if vocabulary.tokens[ACCOMPANY] in ids:  # some of the random ids
            continue
        expected = vocabulary.decode(ids)
        path = tmp_path / "again.mid"
        path.write_bytes(base64.b64decode(found["file"]))
        notes = Score.from_midi(path.read_bytes()).resample(50).tracks
        read = [(n.time, n.time + n.duration, n.pitch, n.velocity) for track in notes for n in track.notes]
        assert sorted(read) == sorted(triples(expected))
        spans = [(start / 100, end / 100) for start, end, *_ in triples(expected)]
        np.testing.assert_allclose(_pairs(found["times"]), _pairs(spans))
        np.testing.assert_allclose(found["cursor"], vocabulary.times(ids) / TICKS_PER_SECOND, atol=1e-9)
        np.testing.assert_allclose(_pairs([(note["start"], note["end"]) for note in found["notes"]]), _pairs(spans))
        for note in found["notes"]:
            struck, *others = (names[ids[place]] for place in note["tokens"])
            assert note["on"] == note["tokens"][0] and struck in (f"NoteOn_{note['pitch']}", f"Pitch_{note['pitch']}")
            said = [velocity for velocity in others if velocity.startswith("Velocity")]
            assert said == [f"Velocity_{note['velocity']}"] or (not said and music["notation"] == "on_change")
            assert [other.partition("_")[0] for other in others if other not in said] in (
                [["Duration"]] if music["notation"] == "with_note" else [[], ["NoteOff"]]
            )


def test_an_accompaniment_is_saved_with_its_melody(tmp_path, music, vocabulary, javascript):
    """On tracks of their own, and what is doubled in the melody's alone, as files and the page have it."""
    lines = []
    for seed in range(6):
        path = tmp_path / "song.mid"
        path.write_bytes(midi_file(seed))
        lines.append(melody_and_performance(path))
    encode = vocabulary.encode
    lines = [[vocabulary.decode(encode(part)) for part in line] for line in lines]
    ids = [[*encode(melody), vocabulary.tokens[ACCOMPANY], *encode(whole)] for melody, whole in lines]
    code = """result = data.lines.map((ids) => ({
      file: Buffer.from(midiOf(data.music, codec, ids)).toString("base64"),
      notes: notesOf(data.music, codec, ids).notes,
    }));"""
    files = javascript(IMPORTS + code, {"music": music, "lines": ids})
    doubled = 0
    for (melody, whole), found in zip(lines, files, strict=True):
        score = Score.from_midi(base64.b64decode(found["file"])).resample(50)
        expected = {"Melody": melody, "Accompaniment": without(whole, melody)}
        doubled += len(whole.tracks[0].notes) - len(expected["Accompaniment"].tracks[0].notes)
        assert [track.name for track in score.tracks] == [name for name, part in expected.items() if triples(part)]
        for track in score.tracks:
            read = [(n.time, n.time + n.duration, n.pitch, n.velocity) for n in track.notes]
            assert sorted(read) == sorted(triples(expected[track.name]))
        shown = [(note["start"], note["end"]) for note in found["notes"]]  # and heard: the same notes, each once
        spans = [(start / 100, end / 100) for part in expected.values() for start, end, *_ in triples(part)]
        np.testing.assert_allclose(_pairs(shown), _pairs(spans))
    assert doubled


def _pairs(spans):
    return np.array(sorted(map(tuple, spans))).reshape(-1, 2)


def _saved(tmp_path, seed):
    path = tmp_path / f"source-{seed}.mid"
    path.write_bytes(midi_file(seed))
    save(performance(path), path)
    return path


def performance_of(file):
    with NamedTemporaryFile(suffix=".mid") as place:
        place.write(file)
        place.flush()
        return performance(place.name)


def test_chorales_go_onto_the_grid_and_back(decoders, tmp_path, javascript):
    vocabulary, rng = ChoraleVocabulary(), random.Random(2)
    lines = [[rng.choice([*range(50, 60), 128, 131]) for _ in range(rng.randrange(90))] for _ in range(40)]
    files = [midi_file(seed) for seed in range(10)]
    grid = data(decoders["chorales"], "int8")["music"]
    code = (
        IMPORTS
        + """
    result = {
      notes: data.lines.map((ids) => codec.decode(ids)),
      seen: data.lines.map((ids) => notesOf(data.music, codec, ids).notes.map(({ pitch, on }) => [pitch, ids[on]])),
      ids: data.files.map((file) => codec.encode(performanceOf(bytes(file)))),
    };
    """
    )
    encoded = [base64.b64encode(file).decode() for file in files]
    found = javascript(code, {"music": grid, "lines": lines, "files": encoded})
    assert [of_javascript(notes) for notes in found["notes"]] == [triples(vocabulary.decode(ids)) for ids in lines]
    assert found["ids"] == [vocabulary.encode(performance_of(file)) for file in files]
    assert all(pitch == token for notes in found["seen"] for pitch, token in notes)


def test_midi_prompts_are_the_lines_that_python_makes(musician, tmp_path, javascript):
    """And what of a file is read is said in the same numbers."""
    code = """
    import { LocalEngine } from "onedecoder/engine/local.js";
    const engine = new LocalEngine(data.page);
    result = { none: await engine.prompt({}), of: [] };
    for (const file of data.files) {
      const midi = Uint8Array.from(Buffer.from(file, "base64")), found = {};
      for (const job of engine.about.jobs) found[job] = await engine.prompt({ midi, job });
      result.of.push(found);
    }
    """
    files = [midi_file(seed) for seed in range(7, 13)]
    given = {"page": json.loads(exported(musician)), "files": [base64.b64encode(file).decode() for file in files]}
    result, engine = javascript(code, given), Engine(musician)
    for file, found in zip(files, result["of"], strict=True):
        path = tmp_path / "given.mid"
        path.write_bytes(file)
        for job in musician.task.arguments.job:
            assert found[job]["ids"] == list(musician.prompt(str(path), job=job).context)
            assert found[job] == engine.midi_prompt(file, job)
    parts = [found["continue"] for found in result["of"] if found["continue"]["read"]]
    assert parts and all(len(line["ids"]) - 1 == line["read"]["count"] < line["read"]["of"] for line in parts)
    assert result["none"]["ids"] == list(musician.prompt("").context)


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("text", b"This is a text, which somebody has renamed.", "not a MIDI file"),
        ("empty", b"", "not a MIDI file"),
        ("cut", midi_file(1)[:80], "cut off"),
        (
            "drums",
            b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk\0\0\0\x0c\0\x99\x28\x40\x10\x89\x28\0\0\xff\x2f\0",
            "no pitched note",
        ),
        (
            "endless",  # one tick is 16 s, and the note lasts three million
            b"MThd\0\0\0\6\0\0\0\1\0\1MTrk\0\0\0\x16"
            b"\0\xff\x51\3\xf4\x24\0\0\x90\x28\x40\x81\xb7\x9b\x40\x80\x28\0\0\xff\x2f\0",
            "longer than 24 hours",
        ),
        ("no beat", b"MThd\0\0\0\6\0\0\0\1\0\0MTrk\0\0\0\4\0\xff\x2f\0", "how long a beat is"),
        ("frames", b"MThd\0\0\0\6\0\0\0\1\xe7\x28MTrk\0\0\0\4\0\xff\x2f\0", "film frames"),
        ("large", b"MThd" + bytes(2_000_001), "larger than 2 MB"),
    ],
)
def test_a_wrong_file_is_named(name, file, message, composer, javascript):
    code = """
    import { LocalEngine } from "onedecoder/engine/local.js";
    const engine = new LocalEngine(data.page), midi = Uint8Array.from(Buffer.from(data.file, "base64"));
    result = await engine.prompt({ midi }).catch((error) => [error.name, error.message]);
    """
    found = javascript(code, {"page": json.loads(exported(composer)), "file": base64.b64encode(file).decode()})
    assert found[0] == "EngineError" and message in found[1]
