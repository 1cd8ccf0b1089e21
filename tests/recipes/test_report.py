"""The table of runs, beside references and baselines."""

import json
from pathlib import Path

import pytest

from recipes import report
from shared.errors import UserError
from tasks.summarization.task import Summarization
from tasks.translation.task import Translation


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run.yaml").write_text("task: summarization\n")
    (tmp_path / "config.json").write_text("{}")
    test = {"rouge1": 20.0, "lead_rouge1": 30.0, "openings_rouge1": 32.5, "words": 9.0, "reference_words": 12.0}
    metrics = {"parameters": 1000, "train": {"train_runtime": 90.0}, "test": test}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    return str(tmp_path)


def test_a_score_stands_beside_what_is_measured_with_it(folder):
    assert list(report.rows(folder)) == [
        {
            "run": folder,
            "parameters": "1,000",
            "minutes": "1.5",
            "score": "ROUGE-1",
            "test": "20.00",
            "article's beginning": "30.00",
            "sections' first sentences": "32.50",
        },
        {"score": "words", "test": "9.00", "references": "12.00"},
    ]


@pytest.mark.parametrize("kind", [Translation, Summarization])
def test_what_outputs_are_scored_by_is_shown(kind):
    assert set(kind.output_metrics) <= set(report.SHOWN)


@pytest.mark.parametrize("left", [None, {"test": {"rouge1": 20.0}}])
def test_a_run_without_scores_of_its_training_is_named(folder, left):
    path = Path(folder) / "metrics.json"
    path.unlink()
    if left:
        path.write_text(json.dumps(left))
    with pytest.raises(UserError, match="has no scores of a finished training"):
        list(report.rows(folder))


@pytest.mark.parametrize("scores", [{"parameters": "x"}, {"parameters": 3, "train": 3}, {"parameters": 3, "test": 3}])
def test_scores_of_another_form_are_named(folder, scores):
    (Path(folder) / "metrics.json").write_text(json.dumps(scores))
    with pytest.raises(UserError, match=r"its metrics.json is not what a training writes"):
        list(report.rows(folder))


def test_the_table_is_printed(folder, capsys):
    report.main([folder])
    head, first, second = capsys.readouterr().out.splitlines()
    assert "references" in head and "32.50" in first and second.split() == ["words", "9.00", "12.00"]
