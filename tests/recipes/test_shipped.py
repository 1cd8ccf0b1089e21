"""The decoder that the repository ships is opened, scored and used as when it was trained."""

import json
import shutil

import pretty_midi
import pytest
import torch
from transformers import AutoModelForCausalLM

from shared.model.build import load_decoder
from tasks.midi.codec import decode
from tasks.midi.sample import read_chorales
from tests.recipes.conftest import REPOSITORY

SHIPPED = REPOSITORY / "outputs" / "decoders" / "chorales"


@pytest.fixture(scope="module")
def chorale(tmp_path_factory):
    path = tmp_path_factory.mktemp("given") / "chorale.mid"
    decode(read_chorales()["test"][0]["events"]).dump_midi(path)
    return path


def test_its_score_is_that_of_its_training(python, tmp_path):
    run = shutil.copytree(SHIPPED, tmp_path / "chorales")
    finished = python("evaluate", run, "--num_samples=1", "--max_new_tokens=16", "--name=again")
    assert finished.returncode == 0, finished.stderr
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["again"]["nll_per_note"] == pytest.approx(metrics["test"]["nll_per_note"], rel=1e-3)


def test_its_card_has_all_that_it_has_learned_when_one_job_is_scored(python, tmp_path):
    run = shutil.copytree(SHIPPED, tmp_path / "chorales")
    short = ["--max_predict_samples=2", "--num_samples=1", "--max_new_tokens=16"]
    finished = python("evaluate", run, "--job=infill", *short, "--name=hole")
    assert finished.returncode == 0, finished.stderr
    card = (run / "README.md").read_text()
    assert "| hole " in card and all(f"<|{job}|>" in card for job in ("accompany", "compose", "infill"))


@torch.no_grad()
def test_it_loads_in_plain_transformers_and_gives_the_same():
    ids = torch.tensor([read_chorales()["test"][0]["events"][:64]])
    theirs = AutoModelForCausalLM.from_pretrained(SHIPPED, trust_remote_code=True).eval().double()
    ours = load_decoder(str(SHIPPED)).eval().double()
    torch.testing.assert_close(theirs(ids).logits, ours.packed_logits(ids))


@pytest.mark.parametrize(
    ("asked", "tracks"),
    [
        (["--seconds=4"], ["Piano"]),
        (["--job=compose", "--seconds=4", "--prime_seconds=4"], ["Primer", "Written"]),
        (["--num_candidates=2", "--prime_seconds=6"], ["Melody", "Accompaniment"]),
        (["--from=2", "--to=4"], ["Given", "Written"]),
    ],
    ids=["compose", "go on", "accompany", "infill"],
)
def test_it_does_each_of_its_jobs(python, chorale, tmp_path, asked, tracks):
    given = ["--prime", chorale] if tracks != ["Piano"] else []
    finished = python("generate", SHIPPED, *given, *asked, "--output_dir", tmp_path / "pieces")
    assert finished.returncode == 0, finished.stderr
    instruments = pretty_midi.PrettyMIDI(str(tmp_path / "pieces" / "piece-1.mid")).instruments
    assert len(instruments) == len(tracks) and instruments[-1].name == tracks[-1] and instruments[-1].notes
