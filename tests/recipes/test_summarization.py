"""The summarization recipe, launched on WikiText's raw format and on any two columns."""

import json

from tests.recipes.conftest import QUICK

ARTICLE = """
 = The {name} =

 The {name} is a bird that lives by the sea .

 = = Food = =

 The {name} eats fish and small crabs .

"""


def test_wikitext_files_make_a_run_that_summarises(start, python, tmp_path):
    names = ["gull", "tern", "heron", "auk", "puffin", "gannet", "petrel", "skua"]
    for split in ("train", "validation", "test"):
        text = "".join(ARTICLE.format(name=f"{name} of the {split} coast") for name in names)
        (tmp_path / f"wiki.{split}.raw").write_text(text)
    files = [f"--{split}_file={tmp_path / f'wiki.{split}.raw'}" for split in ("train", "validation", "test")]
    run = tmp_path / "run"
    finished = start("summarization", *QUICK, *files, "--vocab_size=300", "--max_length=250", f"--output_dir={run}")
    assert "rougeLsum" in finished.stdout
    metrics = json.loads((run / "metrics.json").read_text())["test"]
    assert {"rouge1_low", "rouge1_high", "lead_rougeL", "repeated_3grams"} <= set(metrics)
    written = python("generate", run, input="A gull.\nIt eats fish.")
    assert written.returncode == 0, written.stderr


def test_columns_are_named_by_flags_and_what_gpt2_does_not_know_survives_a_run(python, tmp_path):
    rows = [{"body": f"number {i} is a number after {i - 1}", "tldr": f"number {i}"} for i in range(12)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tmp_path / "run"
    flags = ["--text_column=body", "--summary_column=tldr", "--mask=prefix", "--loss_on=target", "--num_beams=2"]
    flags += ["--copy_attention=16"]
    finished = python(
        "summarization", *QUICK, f"--train_file={file}", f"--validation_file={file}", *flags, "--vocab_size=300",
        "--max_length=64", f"--output_dir={run}",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    config = json.loads((run / "config.json").read_text())
    assert (config["mask"], config["copy_attention"]) == ("prefix", 16)
    assert "validation" in json.loads((run / "metrics.json").read_text())
    assert python("generate", run, "number 3 is a number after 2").returncode == 0
