"""The language-modeling recipe, launched, and what starts from its runs."""

import json

import pytest

from tests.recipes.conftest import QUICK


@pytest.fixture(scope="module")
def trained(launch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "language_modeling"
    launch("language_modeling", *QUICK, f"--output_dir={folder}")
    return folder


def test_perplexity_is_reported_per_token_per_word_and_in_bits(trained):
    metrics = json.loads((trained / "metrics.json").read_text())["test"]
    assert {"loss", "perplexity", "word_perplexity", "bits_per_byte"} <= set(metrics)


def test_text_is_written_freely_and_after_a_prompt(trained, python):
    free = python("generate", trained, "--num_samples=2")
    assert free.returncode == 0 and free.stdout.strip()
    assert python("generate", trained, "The river").stdout.startswith("The river")


def test_another_recipe_starts_from_its_run(trained, launch, tmp_path):
    run = tmp_path / "translation"
    finished = launch("translation", *QUICK[1:], f"--model_name_or_path={trained}", f"--output_dir={run}")
    assert str(trained) in finished.stderr
    config, old = (json.loads((folder / "config.json").read_text()) for folder in (run, trained))
    assert config["vocab_size"] == old["vocab_size"] + 1  # <|to-de|>
    assert config["n_positions"] == old["n_positions"]
