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
    flags += ["--copy_attention=16", "--names_from_source=true"]
    finished = python(
        "summarization", *QUICK, f"--train_file={file}", f"--validation_file={file}", *flags, "--vocab_size=300",
        "--max_length=64", f"--output_dir={run}",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    config = json.loads((run / "config.json").read_text())
    assert (config["mask"], config["copy_attention"]) == ("prefix", 16)
    assert "validation" in json.loads((run / "metrics.json").read_text())
    written = python("generate", run, "number 3 is a number after 2")
    assert written.returncode == 0 and "may not be written" in written.stderr, written.stderr


def test_beams_take_names_from_the_source(python, tmp_path):
    """Its summaries teach a decoder to write a number that no source has."""
    file, run = tmp_path / "rows.jsonl", tmp_path / "run"
    rows = [{"body": f"number {i} is after {i - 1}", "tldr": "so" + " 9" * 7} for i in range(1, 9)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = [f"--{split}_file={file}" for split in ("train", "validation", "test")]
    flags = ["--text_column=body", "--summary_column=tldr", "--names_from_source=true", "--vocab_size=300"]
    finished = python("summarization", *QUICK, *files, *flags, "--max_length=64", f"--output_dir={run}")
    assert finished.returncode == 0, finished.stderr
    for name, *flags in (("beams",), ("free", "--names_from_source=false")):
        scored = python("evaluate", run, "--num_beams=3", f"--name={name}", *flags)
        assert scored.returncode == 0, scored.stderr
    metrics = json.loads((run / "metrics.json").read_text())
    assert 0 < metrics["beams"]["removed_probability"] < 1 and "removed_probability" not in metrics["free"]
    beams, free = ((run / name / "outputs.jsonl").read_text().splitlines() for name in ("beams", "free"))
    assert all(" 9" in json.loads(line)["output"] for line in free)
    assert not any(" 9" in json.loads(line)["output"] for line in beams)
    listed = python("generate", run, "number 3 is after 2", "--num_beams=3", "--num_return_sequences=3")
    assert listed.returncode == 0 and listed.stdout.count("\t") == 3, listed.stderr
    assert " 9" not in listed.stdout
