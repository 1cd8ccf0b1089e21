import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from shared.errors import UserError
from shared.training.arguments import TrainingArguments

OFTEN = {"eval_strategy": "steps", "eval_steps": 20, "save_strategy": "steps", "save_steps": 20}
# The learning rate only ever rises: the rows are learned by heart on the way, and lost again.
TOO_FAR = {"max_steps": 140, "learning_rate": 0.3, "warmup_steps": 160, "predict_with_generate": True, **OFTEN}


@pytest.fixture
def few_rows(task):
    rows = task.load_rows(task.arguments)["train"].select(range(8))
    return {"train": rows, "validation": rows}


def scores(trainer, name="eval_exact"):
    return {entry["step"]: entry[name] for entry in trainer.state.log_history if name in entry}


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_checkpoint_that_wrote_best_is_kept_though_it_is_not_the_last(new_trainer, few_rows, decay):
    trainer = new_trainer(
        rows=few_rows, ema_decay=decay, load_best_model_at_end=True, metric_for_best_model="exact", **TOO_FAR
    )
    trainer.train()
    found = scores(trainer)
    best = max(found.values())
    assert trainer.args.greater_is_better is True
    assert found[140] < best
    assert trainer.state.best_metric == best == found[trainer.state.best_global_step]
    assert trainer.evaluate()["eval_exact"] == best


def test_a_finished_run_that_was_moved_goes_on_to_its_best(new_trainer, few_rows, tmp_path):
    best = {"rows": few_rows, "load_best_model_at_end": True, "metric_for_best_model": "exact", **TOO_FAR}
    trainer = new_trainer("first", **best)
    trainer.train()
    expected = trainer.evaluate()["eval_exact"]
    folder = Path(trainer.args.output_dir)
    moved = folder.rename(folder.with_name("moved"))
    again = new_trainer("moved", **best)
    again.train(resume_from_checkpoint=str(moved / "checkpoint-140"))
    assert again.evaluate()["eval_exact"] == expected


def test_a_broken_run_that_was_moved_still_knows_its_best(new_trainer, few_rows, tmp_path):
    """Though the best lies behind the step that it goes on from, and no better one is saved any more."""
    best = {"rows": few_rows, "load_best_model_at_end": True, "metric_for_best_model": "exact", **TOO_FAR}
    whole = new_trainer("whole", **{**best, "save_total_limit": 9})
    whole.train()
    step = whole.state.best_global_step
    folder = Path(whole.args.output_dir)
    for last in range(step + 40, 141, 20):
        shutil.rmtree(folder / f"checkpoint-{last}")
    moved = folder.rename(folder.with_name("moved"))
    again = new_trainer("moved", **{**best, "save_strategy": "best"})
    again.train(resume_from_checkpoint=str(moved / f"checkpoint-{step + 20}"))
    assert again.state.best_global_step == step < again.state.global_step == 140
    assert again.evaluate()["eval_exact"] == whole.evaluate()["eval_exact"]


def test_training_stops_after_evaluations_that_wrote_no_better(new_trainer, few_rows):
    trainer = new_trainer(rows=few_rows, early_stopping_patience=2, metric_for_best_model="eval_exact", **TOO_FAR)
    trainer.train()
    found = list(scores(trainer).values())
    waited = [max(found[: index + 1]) == max(found[:index]) for index in range(1, len(found))]
    assert waited[-2:] == [True, True]
    assert (True, True) not in list(pairwise(waited))[:-1]
    assert trainer.state.global_step == 20 * len(found) < 140


def test_patience_without_a_metric_is_for_the_loss_and_counts_on_when_resumed(new_trainer, tmp_path):
    still = {"max_steps": 8, "learning_rate": 0.0, "weight_decay": 0.0}  # nothing ever gets better
    each = {
        "eval_strategy": "steps",
        "eval_steps": 1,
        "save_strategy": "steps",
        "save_steps": 1,
        "save_total_limit": None,
    }
    whole = new_trainer("whole", early_stopping_patience=3, **still, **each)
    whole.train()
    assert (whole.args.metric_for_best_model, whole.args.greater_is_better) == ("loss", False)
    assert whole.state.global_step == 4
    resumed = new_trainer("resumed", early_stopping_patience=3, **still, **each)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-3"))
    assert resumed.state.global_step == 4


@pytest.mark.parametrize(("name", "greater"), [("loss", False), ("eval_perplexity", False), ("exact", True)])
def test_which_way_is_better_follows_from_what_a_metric_measures(new_trainer, name, greater):
    trainer = new_trainer(metric_for_best_model=name, predict_with_generate=True, load_best_model_at_end=True, **OFTEN)
    assert trainer.args.greater_is_better is greater
    used = {"metric_for_best_model": name, "predict_with_generate": True, "load_best_model_at_end": True}
    said = new_trainer(greater_is_better=not greater, **used, **OFTEN)
    assert said.args.greater_is_better is not greater


@pytest.mark.parametrize(
    ("generates", "names"),
    [(True, "loss, perplexity, exact$"), (False, "loss, perplexity; with --predict_with_generate true also")],
)
def test_a_metric_that_will_not_be_there_is_refused_before_training(new_trainer, generates, names):
    with pytest.raises(UserError, match=f"--metric_for_best_model exakt: choose one of {names}") as caught:
        new_trainer(
            metric_for_best_model="exakt", predict_with_generate=generates, load_best_model_at_end=True, **OFTEN
        )
    assert "\n" not in str(caught.value)


def test_a_metric_that_nothing_uses_is_no_error(new_trainer):
    new_trainer(metric_for_best_model="exakt")


def test_a_metric_that_evaluations_would_not_find_is_an_error(new_trainer):
    with pytest.raises(UserError, match="--metric_for_best_model exakt: choose one of loss, perplexity"):
        new_trainer(metric_for_best_model="exakt", **OFTEN)


def test_a_metric_needs_evaluations(new_trainer):
    with pytest.raises(UserError, match=r"--metric_for_best_model loss needs .* --early_stopping_patience"):
        new_trainer(early_stopping_patience=2)


@pytest.mark.parametrize("patience", [0, -1])
def test_patience_is_at_least_one_evaluation(tmp_path, patience):
    with pytest.raises(UserError, match="--early_stopping_patience"):
        TrainingArguments(output_dir=str(tmp_path), early_stopping_patience=patience)
