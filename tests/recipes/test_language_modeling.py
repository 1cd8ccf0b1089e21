"""The language-modeling recipe, launched, and what starts from its runs."""

import json

import pytest

from tests.recipes.conftest import QUICK


@pytest.fixture(scope="module")
def trained(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "language_modeling"
    start("language_modeling", *QUICK, f"--output_dir={folder}")
    return folder


def test_perplexity_is_reported_per_token_per_word_and_in_bits(trained):
    metrics = json.loads((trained / "metrics.json").read_text())["test"]
    assert {"loss", "perplexity", "word_perplexity", "bits_per_byte"} <= set(metrics)


def test_text_is_written_freely_and_after_a_prompt(trained, python):
    free = python("generate", trained, "--num_samples=2")
    assert free.returncode == 0 and free.stdout.strip()
    assert python("generate", trained, "The river").stdout.startswith("The river")


def test_it_is_asked_for_summaries_that_it_never_learned(trained, python, tmp_path):
    run = tmp_path / "tldr"
    flags = ["--do_train=false", "--separator_text=TL;DR:", "--max_sentences=1", "--do_sample", "--top_k=2"]
    finished = python("summarization", *QUICK[1:], *flags, f"--model_name_or_path={trained}", f"--output_dir={run}")
    assert finished.returncode == 0, finished.stderr
    old = json.loads((trained / "config.json").read_text())
    assert f"{old['vocab_size']:,} tokens" in finished.stderr  # no separator is added
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"rouge1", "lead_rouge1", "openings_rouge1"} <= set(metrics["test"]) and "train" not in metrics
    outputs = [json.loads(line)["output"] for line in (run / "samples" / "outputs.jsonl").read_text().splitlines()]
    assert len(outputs) == 4 and any(outputs)


def test_another_recipe_starts_from_its_run(trained, python, tmp_path):
    run = tmp_path / "translation"
    finished = python("translation", *QUICK[1:], f"--model_name_or_path={trained}", f"--output_dir={run}")
    assert finished.returncode == 0, finished.stderr
    assert str(trained) in finished.stderr
    config, old = (json.loads((folder / "config.json").read_text()) for folder in (run, trained))
    assert config["vocab_size"] == old["vocab_size"] + 1  # <|to-de|>
    assert config["n_positions"] == old["n_positions"]
