"""The translation recipe, launched: train, score, use."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipes.back_translate import usable
from tests.recipes.conftest import QUICK


@pytest.fixture(scope="module")
def trained(launch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "translation"
    finished = launch("translation", *QUICK, "--both_directions", f"--output_dir={folder}")
    return folder, finished


def test_a_run_says_what_it_does(trained):
    folder, finished = trained
    assert "the embedded sample" in finished.stderr
    parameters = sum(weight.numel() for weight in load_file(folder / "model.safetensors").values())
    tokens = len(AutoTokenizer.from_pretrained(folder))
    assert f"tiny: {parameters:,} parameters, {tokens:,} tokens" in finished.stderr
    assert "0 dropped" in finished.stderr
    assert "bleu" in finished.stdout


def test_a_run_holds_all_that_is_needed_to_use_it(trained):
    folder, _ = trained
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "run.yaml", "metrics.json", "README.md"} <= names
    assert not any(path.suffix in {".bin", ".pt", ".pkl"} for path in folder.iterdir())
    assert not any(name.startswith(".writing") for name in names)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert 0 <= metrics["test"]["bleu"] <= 100
    assert metrics["test"]["bleu_signature"].startswith("nrefs:1|")
    rows = [json.loads(line) for line in (folder / "samples" / "outputs.jsonl").read_text().splitlines()]
    assert len(rows) == 4 and set(rows[0]) == {"source", "output", "reference"}


def test_plain_transformers_writes_what_the_recipe_writes(trained, python):
    folder, _ = trained
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    prompt = [*tokenizer("The dog sleeps.")["input_ids"], tokenizer.convert_tokens_to_ids("<|to-de|>")]
    ids = model.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)[0, len(prompt) :]
    ours = python("generate", folder, "The dog sleeps.").stdout
    assert ours.strip() == tokenizer.decode(ids, skip_special_tokens=True).strip()


def test_scoring_again_gives_the_same_scores(trained, python):
    folder, _ = trained
    before = json.loads((folder / "metrics.json").read_text())
    assert python("evaluate", folder).returncode == 0
    after = json.loads((folder / "metrics.json").read_text())
    assert after["test"].keys() == before["test"].keys()
    for name, value in before["test"].items():
        assert after["test"][name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-4))
    assert after["train"] == before["train"]
    refused = python("evaluate", folder, "--name=train")
    assert refused.returncode == 2 and "--name train: metrics.json has" in refused.stderr


def test_what_other_settings_score_has_a_name_of_its_own(trained, python):
    folder, _ = trained
    samples = (folder / "samples" / "outputs.jsonl").read_bytes()
    before = json.loads((folder / "metrics.json").read_text())
    finished = python("evaluate", folder, "--num_beams=2", "--max_predict_samples=3")
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"^test: the first 3 of \d+ rows \(--max_predict_samples\)$", finished.stderr, re.MULTILINE)
    name = "test_max_predict_samples_3_num_beams_2"
    after = json.loads((folder / "metrics.json").read_text())
    assert after.keys() - before.keys() == {name} and after["test"] == before["test"]
    assert (folder / "samples" / "outputs.jsonl").read_bytes() == samples
    assert len((folder / name / "outputs.jsonl").read_text().splitlines()) == 3
    card = (folder / "README.md").read_text()
    for split in ("test", name):
        assert re.search(rf"\| {split} +\| bleu +\| +{after[split]['bleu']:.4f} \|", card)
    for taken in ("test", "validation", "samples", "checkpoint-3", "../other", "config.json"):
        refused = python("evaluate", folder, "--num_beams=2", f"--name={taken}")
        assert refused.returncode == 2 and f"--name {taken}" in refused.stderr.splitlines()[-1]


def test_inputs_are_arguments_a_file_or_standard_input(trained, python, tmp_path):
    folder, _ = trained
    file = tmp_path / "sentences.txt"
    file.write_text("The dog sleeps.\n\nThe cat runs.\n")
    by_argument = python("generate", folder, "The dog sleeps.", "The cat runs.")
    assert by_argument.returncode == 0 and len(by_argument.stdout.splitlines()) == 2
    assert python("generate", folder, "--input_file", file).stdout == by_argument.stdout
    assert python("generate", folder, input=file.read_text()).stdout == by_argument.stdout
    refused = python("generate", folder, "--input_file", tmp_path / "pairs.csv")
    assert refused.returncode == 2 and "a table is no text" in refused.stderr


def test_both_directions_are_written_and_scored(trained, python):
    folder, _ = trained
    assert python("generate", folder, "Tee.", "--target_lang=en").returncode == 0
    finished = python("evaluate", folder, "--source_lang=de", "--target_lang=en", "--name=back")
    assert finished.returncode == 0, finished.stderr
    rows = [json.loads(line) for line in (folder / "back" / "outputs.jsonl").read_text().splitlines()]
    first = [json.loads(line) for line in (folder / "samples" / "outputs.jsonl").read_text().splitlines()]
    assert [row["source"] for row in rows] == [row["reference"] for row in first]
    refused = python("generate", folder, "Tee.", "--target_lang=fr")
    assert (
        refused.stderr.splitlines()[-1] == "error: --target_lang fr: the run has not learned to write it; give de or en"
    )


def test_a_look_inside_is_printed_and_drawn(trained, python, tmp_path):
    folder, _ = trained
    finished = python("look", folder, "Tee.", "--candidates=2", f"--out={tmp_path}", "--format=png")
    assert finished.returncode == 0, finished.stderr
    lines = finished.stdout.splitlines()
    tokens = [line for line in lines[1:] if not line.startswith(str(tmp_path))]
    assert lines[0].split() == ["written", "probability", "likeliest"]
    assert 1 <= len(tokens) <= 8 and lines[-1] == str(tmp_path / "numbers.json")
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "attention.png").stat().st_size > 10_000
    refused = python("look", folder, "Tee.", "--layer=9")
    assert refused.stderr.splitlines()[-1] == "error: --layer 9: the decoder has 4; give 1 to 4"
    assert "nothing to write for" in python("look", folder).stderr


def test_the_same_seed_writes_the_same(trained, python):
    folder, _ = trained

    def sampled(seed):
        return python("generate", folder, "The dog.", "--do_sample", "--num_samples=3", f"--seed={seed}").stdout

    assert sampled(1) == sampled(1) != sampled(2)


def test_a_finished_run_is_not_overwritten_unasked(trained, python):
    folder, _ = trained
    before = (folder / "model.safetensors").read_bytes()
    finished = python("translation", *QUICK, f"--output_dir={folder}")
    assert finished.returncode == 2
    assert finished.stderr.splitlines()[-1].startswith(f"error: --output_dir {folder} holds a run already")
    assert "Traceback" not in finished.stderr
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_full_disk_ends_in_one_line_and_leaves_no_half_written_model(python, tmp_path):
    finished = python("translation", *QUICK, f"--output_dir={tmp_path / 'run'}", limit_kib=1500)
    assert finished.returncode == 2, finished.stderr
    assert finished.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in finished.stderr
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    assert not list((tmp_path / "run").glob("checkpoint-*"))


def test_the_run_is_the_checkpoint_of_the_best_bleu(python, tmp_path):
    best = ["--load_best_model_at_end", "--metric_for_best_model=bleu", "--predict_with_generate"]
    each = ["--eval_strategy=steps", "--eval_steps=1", "--save_strategy=steps", "--save_steps=1"]
    ways = ["--dropout=0.1", "--rdrop_alpha=1", "--ema_decay=0.9", "--early_stopping_patience=1"]
    finished = python("translation", *QUICK, *best, *each, *ways, f"--output_dir={tmp_path / 'run'}")
    assert finished.returncode == 0, finished.stderr
    # Nothing is right after so few steps: the first evaluation is the best, and the second ends the training.
    assert not list(tmp_path.glob("run/checkpoint-3"))
    state = json.loads((tmp_path / "run" / "checkpoint-2" / "trainer_state.json").read_text())
    assert state["best_metric"] == 0.0 and state["best_global_step"] == 1
    kept = load_file(tmp_path / "run" / "model.safetensors")
    best = load_file(tmp_path / "run" / "checkpoint-1" / "model.safetensors")
    assert all(torch.equal(weight, best[name]) for name, weight in kept.items())


def test_texts_of_one_language_become_pairs(trained, python, tmp_path):
    folder, _ = trained
    texts = ["Der Hund.", "Die Katze.", "Der Hund und die Katze sehen an diesem Morgen " * 3]
    (tmp_path / "texts.de.txt").write_text("\n".join([*texts, "", " "]), encoding="utf-8")
    pairs = tmp_path / "pairs.jsonl"
    flags = ["--language=de", "--max_new_tokens=6", "--min_new_tokens=6"]
    made = python("back_translate", folder, tmp_path / "texts.de.txt", *flags, f"--output_file={pairs}")
    assert made.returncode == 0, made.stderr
    rows = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    left_out = int(re.search(r"(\d+) left out", made.stdout)[1])
    assert [row["de"] for row in rows] == texts[:2] and left_out == 1
    asked = python("generate", folder, *texts[:2], "--target_lang=en", *flags[1:])
    assert asked.stdout.splitlines() == [row["en"] for row in rows]
    again = python("back_translate", folder, tmp_path / "texts.de.txt", *flags, f"--output_file={pairs}")
    assert again.returncode == 2 and "is there already: name another" in again.stderr
    pairs.unlink()
    refused = python("back_translate", folder, tmp_path / "texts.de.txt", "--language=fr", f"--output_file={pairs}")
    assert (
        refused.returncode == 2 and "--language fr" in refused.stderr and "translates from en and de" in refused.stderr
    )
    unnamed = python("back_translate", folder, tmp_path / "texts.de.txt", "--language=de")
    assert unnamed.returncode == 2 and "--output_file" in unnamed.stderr


def test_pairs_of_unlike_length_are_left_out():
    assert usable("Ein Hund.", "A dog.")
    assert not usable("Ein Hund.", "") and not usable("", "A dog.")
    assert not usable("Ein Hund.", "A dog that says far more than the other.")
