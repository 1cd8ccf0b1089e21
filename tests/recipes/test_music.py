"""The music recipe, launched on a folder of MIDI files."""

import json

import pretty_midi
import pytest
from miditok import MIDILike
from transformers import AutoModelForCausalLM

from recipes.generate import removed_share
from tasks.midi.recording import best_suffix
from tests.recipes.conftest import QUICK


@pytest.fixture(scope="module")
def trained(start, midi_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "music"
    flags = [f"--midi_dir={midi_dir}", "--max_length=128", "--num_samples=2", f"--output_dir={folder}"]
    return folder, start("music", *QUICK, *flags, "--job", "compose", "continue", "accompany", "--velocity_shift=1")


def test_broken_files_are_named_and_counted(trained):
    _, finished = trained
    assert "broken.mid" in finished.stderr
    assert "10 MIDI files read, 1 skipped" in finished.stderr


def test_a_run_loads_in_transformers_and_miditok(trained):
    folder, _ = trained
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), MIDILike.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer)
    metrics = json.loads((folder / "metrics.json").read_text())["test"]
    assert {"nll_per_token", "nll_per_note", "nll_per_second", "unigram_nll_per_token", "valid_midi"} <= set(metrics)
    assert {f"{who}_polyphony" for who in ("generated", "real", "overlap")} <= set(metrics)
    assert len(metrics["passages"]) == 2
    assert "| notes at once " in (folder / "samples" / "scores.md").read_text()


def test_pieces_are_written_as_midi_picture_and_sound(trained, python, midi_dir, tmp_path):
    folder, _ = trained
    out = tmp_path / "pieces"
    finished = python("generate", folder, "--prime", midi_dir / "0.mid", "--num_samples=2", "--output_dir", out)
    assert finished.returncode == 0, finished.stderr
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"piece-{number}{suffix}" for number in (1, 2) for suffix in (".mid", ".png", best_suffix())
    )
    assert pretty_midi.PrettyMIDI(str(out / "piece-1.mid")).instruments[0].notes
    assert (out / "piece-1.png").read_bytes().startswith(b"\x89PNG")
    assert (out / f"piece-1{best_suffix()}").stat().st_size > 5_000


def test_much_that_the_grammar_removed_is_explained():
    assert removed_share(0.021) == "the decoder gave 2.10% of the probability to what may not be written"
    assert "train it longer" in removed_share(0.35)


def test_a_file_is_continued_or_accompanied_as_asked(trained, python, midi_dir, tmp_path):
    folder, _ = trained
    prime = ["--prime", midi_dir / "0.mid", "--prime_seconds=3"]

    def length(out, *flags):
        finished = python("generate", folder, *prime, "--seconds=2", *flags, "--output_dir", tmp_path / out)
        assert finished.returncode == 0, finished.stderr
        return pretty_midi.PrettyMIDI(str(tmp_path / out / "piece-1.mid")).get_end_time()

    whole, rest = length("whole"), length("rest", "--write_prime=false")
    assert whole > rest + 2.5  # the primer's last notes begin before 3 s
    assert length("accompanied", "--job=accompany") < whole
    assert "--prime_seconds" in python("generate", folder, "--help").stdout
