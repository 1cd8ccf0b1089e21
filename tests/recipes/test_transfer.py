"""The transfer curve and the comparison of settings, from flags to tables."""

import json
import re

import pytest

from recipes import compare, transfer
from shared.errors import UserError
from shared.model.arguments import ModelArguments
from shared.runs.cli import Parser
from tests.recipes.conftest import QUICK, REPOSITORY

MASKS = REPOSITORY / "recipes" / "configs" / "comparisons" / "masks.yaml"


@pytest.fixture
def scored(monkeypatch):
    """Instead of launching them: cells whose score is 10 times their seed, and the list of them."""

    def score(module):
        launched = []

        def run_cells(recipe, cells, folder, processes, scores):
            launched.extend(cells)
            assert recipe.is_file() and scores
            seeds = {cell.name: int(cell.flags[-1].removeprefix("--seed=")) for cell in cells}
            return {name: {"train": {"rows": 4}, "test": {"bleu": 10.0 * seed}} for name, seed in seeds.items()}

        monkeypatch.setattr(module, "run_cells", run_cells)
        monkeypatch.setattr(transfer, "load_config", lambda name: None)
        return launched

    return score


def test_a_curve_from_launched_runs(python, tmp_path):
    rows = [{"en": f"the dog {i}", "de": f"der Hund {i}"} for i in range(20)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = [f"--{split}_file={file}" for split in ("train", "validation", "test")]
    data += ["--source_lang=en", "--target_lang=de", "--max_length=64", "--vocab_size=300"]
    pretrained, folder = tmp_path / "pretrained", tmp_path / "transfer"
    assert python("translation", *QUICK, *data, f"--output_dir={pretrained}").returncode == 0
    command = [
        "--task=translation", f"--pretrained={pretrained}", "--shares", "10", "--seeds", "1", "--scores", "bleu",
        "loss", "--processes=2", f"--output_dir={folder}", *QUICK[1:], *data,
    ]  # fmt: skip
    finished = python("transfer", *command)
    assert finished.returncode == 0, finished.stderr
    table = (folder / "transfer.md").read_text()
    assert table in finished.stdout
    assert re.search(
        r"\| pre-trained +\| +10 % \| +2 \| +[\d.]+ \| +[\d.]+ \|\n\| from scratch +\| +10 % \| +2 \|", table
    )
    assert (folder / "transfer.png").read_bytes().startswith(b"\x89PNG")
    before = (folder / "results.json").stat().st_mtime_ns
    again = python("transfer", *command)
    assert again.stdout == finished.stdout and "2 of 2 runs are finished already" in again.stderr
    assert (folder / "results.json").stat().st_mtime_ns == before


def test_the_cells_of_a_curve(scored, tmp_path, capsys):
    cells = scored(transfer)
    transfer.main([
        "--task=translation", "--pretrained=run", "--shares", "50", "1", "--seeds", "1", "2", "--scores", "bleu",
        f"--output_dir={tmp_path}", "--max_steps=3",
    ])  # fmt: skip
    assert len({cell.name for cell in cells}) == len(cells) == 2 * 2 * 2
    assert cells[0].flags == [
        "--max_steps=3", "--model_name_or_path=run", "--from_scratch=false", "--train_share=0.5", "--seed=1"
    ]  # fmt: skip
    assert re.search(r"\| from scratch +\| +1 % \| +4 \| +15.00 ± 7.07 \|", capsys.readouterr().out)


def test_a_curve_needs_a_decoder_and_flags_that_exist(scored, tmp_path):
    cells = scored(transfer)
    with pytest.raises(UserError, match="--pretrained is missing"):
        transfer.main([])
    with pytest.raises(UserError, match="--task dance: choose one of translation, summarization"):
        transfer.main(["--pretrained=run", "--task=dance"])
    with pytest.raises(UserError, match="did you mean 'max_steps'"):
        transfer.main(["--pretrained=run", f"--output_dir={tmp_path}", "--max_step=3"])
    for shares in (["200"], ["0", "5"], ["50", "50"]):
        with pytest.raises(UserError, match=f"--shares {' '.join(shares)}: give per cent"):
            transfer.main(["--pretrained=run", f"--output_dir={tmp_path}", "--shares", *shares])
    assert not cells


def test_a_decoder_that_there_is_not_ends_before_any_run(tmp_path):
    with pytest.raises(UserError, match="no GPT-2 could be loaded"):
        transfer.main([f"--pretrained={tmp_path / 'none'}", f"--output_dir={tmp_path}", "--scores", "rouge1"])
    assert not list(tmp_path.glob("*.log"))


def test_a_variant_has_no_setting_of_each_run(tmp_path):
    (tmp_path / "v.yaml").write_text("b: {seed: 9, max_steps: 2}")
    with pytest.raises(UserError, match="'b': --seed is set for each run"):
        compare.main([f"--variants={tmp_path / 'v.yaml'}", f"--output_dir={tmp_path}"])


def test_every_variant_of_a_comparison_stands_in_its_table(scored, tmp_path, capsys):
    cells = scored(compare)
    compare.main([
        "--task=translation", f"--variants={MASKS}", "--scores", "bleu", "--seeds", "1", "3",
        f"--output_dir={tmp_path}", "--max_steps=3",
    ])  # fmt: skip
    printed = capsys.readouterr().out
    assert printed.splitlines()[2:] == [
        "| causal-target | 20.00 ± 14.14 |",
        "| causal-all    | 20.00 ± 14.14 |",
        "| prefix-target | 20.00 ± 14.14 |",
        "| prefix-all    |   not defined |",
        "",
        "Mean ± standard deviation of 2 seeds.",
        "prefix-all is not defined: --mask prefix shows the source what --loss_on all asks of it: give --loss_on "
        "target.",
    ]
    assert (tmp_path / "comparison.md").read_text() == printed
    assert cells[2].flags == ["--max_steps=3", "--mask=causal", "--loss_on=all", "--seed=1"]
    models = [Parser(ModelArguments).parse(cell.flags[1:3])[0] for cell in cells]
    assert [(model.mask, model.loss_on) for model in models[::2]] == [
        ("causal", "target"), ("causal", "all"), ("prefix", "target")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ("a: {msk: causal}", "variants.yaml, 'a': unknown flag '--msk': did you mean 'mask'"),
        ("a: causal", r"'a' needs settings of the form \{flag: value\}"),
        ("a: {mask: null}", r"variants.yaml: 'a' has no value for mask"),
        ("a/b: {mask: causal}", "'a/b' names a folder, too"),
        ("- a", r"--variants .*expected lines of the form 'name: value'"),
    ],
)
def test_variants_that_cannot_be_meant(scored, write, contents, message):
    cells = scored(compare)
    with pytest.raises(UserError, match=message):
        compare.main(["--task=translation", f"--variants={write('variants.yaml', contents)}"])
    assert not cells


def test_variants_may_be_numbers_and_settings_lists(scored, write, tmp_path, capsys):
    cells = scored(compare)
    variants = write("variants.yaml", "1024: {max_length: 1024}\nboth: {job: [compose, continue]}\n")
    compare.main(["--task=music", f"--variants={variants}", "--scores=bleu", "--seeds=1", f"--output_dir={tmp_path}"])
    assert [cell.name for cell in cells] == ["1024-1", "both-1"]
    assert cells[1].flags == ["--job", "compose", "continue", "--seed=1"]
    assert "| 1024      | " in capsys.readouterr().out


def test_a_comparison_needs_variants():
    with pytest.raises(UserError, match="--variants is missing"):
        compare.main([])
    with pytest.raises(UserError, match=r"^--variants nowhere\.yaml: there is no such file; check the path$"):
        compare.main(["--variants=nowhere.yaml"])
