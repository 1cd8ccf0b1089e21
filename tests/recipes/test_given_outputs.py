"""Outputs from elsewhere, two runs compared, several runs as one, a forced beginning, a list of the best."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from onedecoder import load
from recipes import evaluate as evaluate_module
from recipes.back_translate import main as back_translate
from shared.errors import UserError
from tasks.translation.scores import score
from tests.onedecoder.conftest import TEXTS, new_run
from tests.recipes.conftest import REPOSITORY

PAIRS = [("A dog.", "Ein Hund."), ("The dog sleeps.", "Der Hund schläft."), ("I drink coffee.", "Ich trinke Kaffee.")]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    rows = [json.dumps({"en": en, "de": de}) for en, de in PAIRS]
    (folder / "test.jsonl").write_text("\n".join(rows), encoding="utf-8")
    new_run(folder / "run", "translation")
    new_run(folder / "other", "translation")
    new_run(folder / "prefix", "translation", mask="prefix")
    new_run(folder / "summaries", "summarization")
    return folder


@pytest.fixture
def evaluate(place, python):
    return lambda name, *flags: python("evaluate", place / name, f"--test_file={place / 'test.jsonl'}", *flags)


def test_outputs_from_elsewhere_are_scored_without_the_decoder(place, evaluate):
    (place / "theirs.txt").write_text("Ein Hund.\nEin Hund schläft.\n\n", encoding="utf-8")
    weights = place / "run" / "model.safetensors"
    kept = weights.read_bytes()
    weights.write_bytes(b"")  # nothing reads it
    finished = evaluate("run", f"--outputs={place / 'theirs.txt'}", "--name=theirs")
    weights.write_bytes(kept)
    assert finished.returncode == 0, finished.stderr
    expected = score(["Ein Hund.", "Ein Hund schläft.", ""], [de for _, de in PAIRS])
    assert json.loads((place / "run" / "metrics.json").read_text())["theirs"] == expected
    saved = [json.loads(line) for line in (place / "run" / "theirs" / "outputs.jsonl").read_text().splitlines()]
    assert [row["output"] for row in saved] == ["Ein Hund.", "Ein Hund schläft.", ""]


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("short.txt", "Ein Hund.", "1 outputs for 3 rows; give one for each, in order"),
        ("bad.jsonl", '{"output": 3}\n' * 3, "each line needs a text 'output'"),
        ("torn.jsonl", '{"output"\n', "each line needs a text 'output'"),
        ("missing.txt", None, "give a text file in UTF-8"),
    ],
)
def test_outputs_that_cannot_be_scored_are_named(place, evaluate, name, contents, message):
    if contents is not None:
        (place / name).write_text(contents)
    finished = evaluate("run", f"--outputs={place / name}")
    assert finished.returncode == 2 and finished.stderr.splitlines()[-1].startswith("error: ")
    assert name in finished.stderr.splitlines()[-1] and message in finished.stderr.splitlines()[-1]


def test_two_runs_are_compared_by_what_they_have_saved(place, evaluate):
    for name, outputs in {"run": [de for _, de in PAIRS], "other": ["x", "Der Hund schläft.", "y"]}.items():
        (place / f"{name}.txt").write_text("\n".join(outputs), encoding="utf-8")
        assert evaluate(name, f"--outputs={place / f'{name}.txt'}", "--name=same").returncode == 0
    finished = evaluate("run", f"--compare_to={place / 'other'}", "--name=same")
    assert finished.returncode == 0, finished.stderr
    head, bleu, chrf = finished.stdout.splitlines()
    assert head.split() == ["score", str(place / "run"), str(place / "other"), "difference", "p"]
    assert bleu.split()[:2] == ["bleu", "100.00"] and bleu.split()[3].startswith("+")
    assert chrf.split()[:2] == ["chrf", "100.00"] and 0 < float(chrf.split()[-1]) <= 1
    assert "is the run itself" in evaluate("other", f"--compare_to={place / 'other'}", "--name=same").stderr
    refused = evaluate("run", f"--compare_to={place / 'prefix'}", "--name=same")
    assert refused.returncode == 2 and "prefix/same/outputs.jsonl: score that run with the same" in refused.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--per_device_eval_batch_size=0"], "--per_device_eval_batch_size is 0: give 1 or more"),
        (["--name=" + "x" * 201], "201 letters: give a shorter --name"),
        (["--outputs=o.txt", "--num_beams=7"], "--outputs o.txt: nothing is written then: leave out --num_beams"),
        (["--outputs=o.txt", "--ensemble", "gone"], "nothing is written then: leave out --ensemble"),
        (["--outputs=o.txt", "--compare_to=gone"], "nothing is written then: leave out --compare_to"),
        (["--target_lang=fr", "--source_lang=de"], "with --source_lang de --target_lang fr its tokens would mean"),
    ],
)
def test_scores_that_cannot_be_measured_are_refused(place, evaluate, flags, said):
    before = {path: path.read_bytes() for path in (place / "run").rglob("*") if path.is_file()}
    refused = evaluate("run", *flags)
    assert refused.returncode == 2 and said in refused.stderr.splitlines()[-1]
    assert {path: path.read_bytes() for path in (place / "run").rglob("*") if path.is_file()} == before


def test_rows_are_read_in_the_batches_of_the_training_unless_told_otherwise(place, monkeypatch):
    run, sizes = shutil.copytree(place / "run", place / "batches"), []
    settings = yaml.safe_load((run / "run.yaml").read_text(encoding="utf-8"))
    monkeypatch.setattr(evaluate_module, "evaluate", lambda *_, batch_size, **__: sizes.append(batch_size) or {})
    flags = [str(run), f"--test_file={place / 'test.jsonl'}", "--name=batches"]
    evaluate_module.main(flags)
    settings["training"] = {"per_device_eval_batch_size": 5}
    (run / "run.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    evaluate_module.main(flags)
    evaluate_module.main([*flags, "--per_device_eval_batch_size=2"])
    assert sizes == [16, 5, 2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, -1.0),
        ("data/test_2016.en-de.jsonl", "data/test_2016.en-fr.jsonl"),
        ("en-de/test.tsv", "en-fr/test.tsv"),
        ("/data/fr/2017/test.tsv", "/data/de/2017/test.tsv"),
        (["x/seed_2", "x/seed_3"], ["y/seed_2", "x/seed_3"]),
    ],
)
def test_other_values_have_other_names(one, other):
    assert evaluate_module.word_of(one) != evaluate_module.word_of(other)
    assert all(re.fullmatch(r"\w+", evaluate_module.word_of(each)) for each in (one, other))


@pytest.mark.parametrize("by", ["flag", "dashes", "config"])
def test_data_named_anywhere_replace_those_of_the_training(place, python, tmp_path, by):
    rows = tmp_path / "elsewhere.jsonl"
    rows.write_text("".join(json.dumps({"en": text, "de": text}) + "\n" for text in TEXTS), encoding="utf-8")
    (tmp_path / "data.yaml").write_text(f"test_file: [{rows}]\n")
    flags = {"flag": f"--test_file={rows}", "dashes": f"--test-file={rows}", "config": f"--config={tmp_path}/data.yaml"}
    finished = python("evaluate", place / "run", flags[by], f"--name={by}", "--max_new_tokens=2")
    assert finished.returncode == 0, finished.stderr
    saved = (place / "run" / by / "outputs.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["source"] for line in saved] == TEXTS


def test_the_processes_of_torchrun_score_as_one(place, evaluate):
    assert evaluate("run", "--name=one", "--max_new_tokens=4").returncode == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    flags = [f"--test_file={place / 'test.jsonl'}", "--name=two", "--max_new_tokens=4"]
    done = subprocess.run(
        [*command, "recipes/evaluate.py", str(place / "run"), *flags],
        cwd=REPOSITORY, env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("two      loss") == 1
    scores = json.loads((place / "run" / "metrics.json").read_text())
    assert scores["two"] == pytest.approx(scores["one"])
    assert not list((place / "run").glob(".*"))


def test_an_ensemble_is_scored_and_writes(place, evaluate, python):
    finished = evaluate("run", f"--ensemble={place / 'prefix'}", "--max_new_tokens=6")
    assert finished.returncode == 0, finished.stderr
    assert any(
        re.search("ensemble_.*prefix", name) for name in json.loads((place / "run" / "metrics.json").read_text())
    )
    several = load(place / "run", device="cpu", ensemble=str(place / "prefix"))  # one name is a run
    alone = load(place / "run", device="cpu")
    texts = TEXTS[:2]
    assert several(texts) != alone(texts)
    printed = python("generate", place / "run", *texts, "--ensemble", place / "prefix")
    assert printed.stdout == "".join(f"{text}\n" for text in several(texts))
    twins = load(place / "run", device="cpu", ensemble=[place / "other"])  # of the same weights
    assert twins(texts, num_beams=3) == alone(texts, num_beams=3)


def test_a_decoder_in_8_bits_is_scored_apart_and_writes(place, evaluate, python):
    for flags in ([], ["--load_in_8bit=true"]):
        finished = evaluate("run", "--max_new_tokens=6", *flags)
        assert finished.returncode == 0, finished.stderr
    scores = json.loads((place / "run" / "metrics.json").read_text())
    apart = next(found for name, found in scores.items() if name.endswith("load_in_8bit_True"))
    usual = next(found for name, found in scores.items() if name.endswith("max_new_tokens_6"))
    assert apart["loss"] != usual["loss"] and apart["loss"] == pytest.approx(usual["loss"], rel=0.01)
    rounded = load(place / "run", device="cpu", ensemble=[place / "prefix"], load_in_8bit=True)
    assert all(decoder.rounded for decoder in rounded.writer.decoders)
    printed = python("generate", place / "run", TEXTS[0], "--ensemble", place / "prefix", "--load_in_8bit")
    assert printed.stdout == f"{rounded(TEXTS[0])}\n"


def test_compiled_decoders_write_the_same(cpp_compiler, place, python):
    several = load(place / "run", device="cpu", ensemble=[place / "prefix"])
    compiled = load(place / "run", device="cpu", ensemble=[place / "prefix"], compile=True)
    assert compiled(TEXTS[0]) == several(TEXTS[0])
    printed = python("generate", place / "run", TEXTS[0], "--ensemble", place / "prefix", "--compile")
    assert printed.stdout == f"{several(TEXTS[0])}\n" and "compiled" not in printed.stderr


def test_an_ensemble_translates_texts_into_pairs(place, monkeypatch):
    monkeypatch.setattr("recipes.back_translate.usable", lambda text, translation: True)  # random weights say too much
    (place / "texts.en.txt").write_text("\n".join(TEXTS[:2]), encoding="utf-8")
    pairs = place / "made" / "pairs.jsonl"
    told = [str(place / "run"), str(place / "texts.en.txt"), "--language=en", f"--output_file={pairs}"]
    back_translate([*told, f"--ensemble={place / 'prefix'}", "--max_new_tokens=6"])
    found = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    several = load(place / "run", ensemble=[place / "prefix"])
    written = {text: several(text, max_new_tokens=6) for text in TEXTS[:2]}
    assert found and all(pair["de"] == written[pair["en"]] for pair in found)
    assert written != {text: load(place / "run")(text, max_new_tokens=6) for text in TEXTS[:2]}

    (place / "long.en.txt").write_text(f"{' '.join([TEXTS[0]] * 40)}\n{TEXTS[0]}", encoding="utf-8")
    pairs.unlink()
    back_translate([told[0], str(place / "long.en.txt"), *told[2:], "--max_new_tokens=6"])
    assert [json.loads(line)["en"] for line in pairs.read_text(encoding="utf-8").splitlines()] == [TEXTS[0]]

    (place / "rows.jsonl").write_text("".join(json.dumps({"en": text, "id": 1}) + "\n" for text in TEXTS[:2]))
    pairs.unlink()
    back_translate([told[0], str(place / "rows.jsonl"), *told[2:], "--tag=<bt>", "--max_new_tokens=6"])
    tagged = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    alone = load(place / "run")
    assert tagged and all(pair["de"] == f"<bt> {alone(pair['en'], max_new_tokens=6)}".strip() for pair in tagged)


def test_runs_that_are_no_ensemble_are_named(place):
    with pytest.raises(UserError, match="a run of summarization, not of translation"):
        load(place / "run", ensemble=[place / "summaries"])
    changed = shutil.copytree(place / "other", place / "changed")
    path = changed / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"<|to-de|>"', '"<|to-xx|>"'), encoding="utf-8")
    with pytest.raises(UserError, match="has another vocabulary"):
        load(place / "run", ensemble=[changed])
    short = new_run(place / "short", "translation", context=40)
    with pytest.raises(UserError, match="has positions for 40 tokens"):
        load(place / "run", ensemble=[short])
    assert load(short, ensemble=[place / "run"]).writer.context == 40


def test_an_output_begins_as_it_is_told(place, python):
    decoder = load(place / "run", device="cpu")
    free, forced = decoder("I drink coffee."), decoder("I drink coffee.", target_prefix="Der kleine ")
    assert forced.startswith("Der kleine") and not free.startswith("Der kleine")
    assert len(forced) > len("Der kleine")
    printed = python("generate", place / "run", "I drink coffee.", "--target_prefix=Der kleine")
    assert printed.stdout.strip() == forced
    refused = python("generate", place / "run", "I drink coffee.", f"--target_prefix={'Der Hund ' * 20}")
    assert refused.returncode == 2 and "--target_prefix has" in refused.stderr.splitlines()[-1]


def test_the_best_are_listed_with_their_scores(place, python):
    decoder = load(place / "run", device="cpu")
    best = decoder.n_best("I drink coffee.", 3, max_new_tokens=8)
    assert len(best) == 3 and best[0].output == decoder("I drink coffee.", num_beams=3, max_new_tokens=8)
    assert [each.score for each in best] == sorted((each.score for each in best), reverse=True)
    flags = ["--num_beams=3", "--num_return_sequences=3", "--max_new_tokens=8"]
    printed = python("generate", place / "run", "I drink coffee.", *flags)
    lines = [line.split("\t", 1) for line in printed.stdout.split("\n")[:-1]]
    assert [output for _, output in lines] == [output for _, output in best]
    assert [float(score) for score, _ in lines] == pytest.approx([score for score, _ in best], abs=1e-3)
    assert "do not fit" not in printed.stderr
    assert "input 1: " in python("generate", place / "run", "I drink " * 200, *flags).stderr
    refused = python("generate", place / "run", "Tee.", "--num_return_sequences=2")
    assert (
        refused.stderr.splitlines()[-1]
        == "error: the 2 best of 1 hypotheses: ask for 1 or more, and for at least as many num_beams"
    )
