"""The music recipe, launched with the lengths of notes beside them, and what a person does with its run."""

import json

import pretty_midi
import pytest
from miditok import TSD
from transformers import AutoModelForCausalLM

from tests.recipes.conftest import QUICK

FLAGS = ["--lengths=with_note", "--job", "compose", "continue", "accompany", "infill"]


@pytest.fixture(scope="module")
def trained(start, midi_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "music"
    flags = [f"--midi_dir={midi_dir}", "--max_length=128", "--num_samples=2", f"--output_dir={folder}", *FLAGS]
    return folder, start("music", *QUICK, *flags, "--velocity_shift=1")


def test_a_run_loads_in_transformers_and_miditok_and_is_scored(trained, python):
    folder, _ = trained
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), TSD.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer)
    finished = python("evaluate", folder, "--num_samples=1", "--name=once_more")
    assert finished.returncode == 0, finished.stderr
    metrics = json.loads((folder / "metrics.json").read_text())
    for scores in (metrics["test"], metrics["once_more"]):
        assert {"nll_per_note", "generated_polyphony", "overlap_duration"} <= set(scores)


@pytest.mark.parametrize("job", ["continue", "accompany", "compose"])
def test_a_file_is_gone_on_from_as_asked(trained, python, midi_dir, tmp_path, job):
    folder, _ = trained
    prime = ["--prime", midi_dir / "0.mid", "--prime_seconds=3", "--seconds=2", f"--job={job}"]
    finished = python("generate", folder, *prime, "--output_dir", tmp_path / "pieces")
    assert finished.returncode == 0, finished.stderr
    assert pretty_midi.PrettyMIDI(str(tmp_path / "pieces" / "piece-1.mid")).instruments


def test_a_hole_is_filled_where_asked(trained, python, midi_dir, tmp_path):
    folder, _ = trained
    hole = ["--prime", midi_dir / "0.mid", "--from=1", "--to=2"]
    finished = python("generate", folder, *hole, "--output_dir", tmp_path / "pieces")
    assert finished.returncode == 0, finished.stderr
    *_, written = pretty_midi.PrettyMIDI(str(tmp_path / "pieces" / "piece-1.mid")).instruments
    assert written.name == "Written" and all(0.99 < note.start < 2.01 for note in written.notes)


def test_its_lines_are_shown(python, midi_dir):
    shown = python("inspect_data", "music", f"--midi_dir={midi_dir}", *FLAGS, "--show_rows=1")
    assert shown.returncode == 0, shown.stderr
    assert " length " in shown.stdout and "note-off" not in shown.stdout
