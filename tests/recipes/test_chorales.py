"""The chorales recipe, launched on a small file, and a run that goes on from a MIDI file."""

import json

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks.midi.recording import best_suffix
from tests.recipes.conftest import QUICK


def test_a_run_is_scored_and_goes_on_from_what_it_wrote(start, python, jsb_file, tmp_path):
    folder, out = tmp_path / "run", tmp_path / "pieces"
    flags = [f"--jsb_file={jsb_file}", "--max_length=64", "--num_samples=2", f"--output_dir={folder}"]
    start("chorales", *QUICK, *flags, "--max_new_tokens=16")
    assert AutoModelForCausalLM.from_pretrained(folder).config.vocab_size == len(AutoTokenizer.from_pretrained(folder))
    metrics = json.loads((folder / "metrics.json").read_text())["test"]
    assert metrics["nll_per_token"] == metrics["loss"]
    assert metrics["nll_per_second"] == pytest.approx(20 * metrics["loss"])
    assert "| longest copy " in (folder / "samples" / "scores.md").read_text()
    finished = python("generate", folder, "--prime", folder / "samples" / "piece-1.mid", "--output_dir", out)
    assert finished.returncode == 0, finished.stderr
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"piece-1{suffix}" for suffix in (".mid", ".png", best_suffix())
    )
