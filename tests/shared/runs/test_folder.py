import json
import re

import pytest
import yaml

from shared.errors import UserError
from shared.runs.folder import Run, add_metrics, read_metrics, save_settings
from shared.runs.resuming import clear


@pytest.fixture
def finished(task, decoder, tmp_path):
    """A run as training leaves it."""
    folder = tmp_path / "finished"
    save_settings(folder, task, {"model": {"max_length": 32}, "generation": {"num_beams": 2}})
    decoder.save_pretrained(folder)
    return folder


def test_the_settings_are_yaml_of_plain_values(task, tmp_path):
    task.arguments.max_train_samples = 5
    save_settings(tmp_path / "run", task, {"model": {"size": "tiny", "where": tmp_path}, "training": {"betas": (1, 2)}})
    settings = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())
    assert settings["task"] == "copying"
    assert settings["task_arguments"]["max_train_samples"] == 5
    assert settings["model"] == {"size": "tiny", "where": str(tmp_path)}
    assert settings["training"] == {"betas": [1, 2]}


def test_a_finished_run_opens_with_its_settings_and_its_task(finished, task):
    run = Run.open(str(finished))
    assert run.folder == finished
    assert run.settings["generation"] == {"num_beams": 2}
    opened = run.task({"copying": type(task)}, task.Arguments(max_eval_samples=3))
    assert type(opened) is type(task)
    assert opened.vocabulary.tokens == task.vocabulary.tokens
    assert (opened.vocabulary.end, opened.vocabulary.padding) == (task.vocabulary.end, task.vocabulary.padding)
    assert opened.arguments.max_eval_samples == 3


def test_a_checkpoint_opens_with_the_settings_of_its_run(finished, task, decoder):
    decoder.save_pretrained(finished / "checkpoint-7")
    task.vocabulary.save(finished / "checkpoint-7")
    run = Run.open(str(finished / "checkpoint-7"))
    assert run.folder == finished / "checkpoint-7"
    assert run.settings["model"] == {"max_length": 32}
    assert run.task({"copying": type(task)}).vocabulary.tokens == task.vocabulary.tokens


def test_a_run_that_is_being_replaced_is_none_until_it_is_done(finished):
    clear(finished)
    assert not (finished / "model.safetensors").exists()
    with pytest.raises(UserError, match="is not a finished run"):
        Run.open(str(finished))


def test_a_missing_folder_is_no_run(tmp_path):
    with pytest.raises(UserError, match=r"there is no run in .*nowhere"):
        Run.open(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("missing", ["run.yaml", "config.json"])
def test_a_folder_that_lacks_something_is_no_finished_run(finished, missing):
    (finished / missing).unlink()
    with pytest.raises(UserError, match=f"is not a finished run: {missing} is missing"):
        Run.open(str(finished))


def test_metrics_are_added_to_those_that_stand_there(tmp_path):
    add_metrics(tmp_path, {"parameters": 7, "test": {"loss": 1.0, "bleu": 2.0}})
    add_metrics(tmp_path, {"test": {"loss": 0.5}, "test_2017": {"loss": 3.0}})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {
        "parameters": 7,
        "test": {"loss": 0.5},
        "test_2017": {"loss": 3.0},
    }
    assert {path.name for path in tmp_path.glob("*")} == {"metrics.json"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the name of the task is missing"),
        ("a: [b", "run.yaml: while parsing"),
        ("- copying", "expected lines of the form 'name: value'"),
        ("just words", "expected lines of the form 'name: value'"),
        ("\x00\x01\x02", "run.yaml: "),
        ("task: 2026-13-45", "run.yaml: month must be in 1..12"),
        ("[" * 5000, "run.yaml: maximum recursion depth"),
        ("task: [copying]", "the name of the task is missing"),
        ("task: copying\nmodel: 3", "'model' holds no settings"),
        ("task: copying\ngeneration: [beams]", "'generation' holds no settings"),
        ("task: copying\nmodel: {max_length: many}", "run.yaml: max_length='many' is of another type: give int"),
        (
            "task: copying\nmodel: {max_lenght: 32}",
            "unknown setting 'max_lenght': did you mean 'max_length'",
        ),
        (
            "task: copying\nmodel: {mask: upside_down}",
            "mask='upside_down' is of another type: give 'causal' or 'prefix'",
        ),
        ("task: copying\ngeneration: {num_beams: 2.5}", "num_beams=2.5 is of another type"),
        ("task: copying\nmodel: {1: 2}", "unknown setting '1'"),
        ("task: singing\nmodel: {max_length: 32}", "names the task 'singing': there are copying"),
        ("task: copying\ntask_arguments: {train_share: all}", "train_share='all' is of another type: give float"),
        ("task: copying\ntask_arguments: {melody: x}", "unknown setting 'melody'"),
        ("task: copying\nmodel: {max_length: 64}", "a max_length of 64, config.json positions for 48"),
    ],
)
def test_settings_that_are_not_a_runs_are_named_in_one_line(finished, task, text, message):
    (finished / "run.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        opened = Run.open(str(finished))
        opened.decoder(opened.task({"copying": type(task)}))
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert str(finished) in str(caught.value)


def test_settings_that_are_cut_off_anywhere_are_named(finished):
    path = finished / "run.yaml"
    text = path.read_text()
    for length in range(4, len(text), 7):  # a part of it may be sound YAML
        path.write_text(text[:length])
        with pytest.raises(UserError, match=re.escape(str(path))):
            Run.open(str(finished))
    path.write_text(text.removeprefix("---\n").removesuffix("...\n"))  # as an earlier version wrote it
    earlier = Run.open(str(finished)).settings
    path.write_text(text)
    assert Run.open(str(finished)).settings == earlier


def test_a_vocabulary_of_another_run_is_told(finished, task, new_vocabulary):
    new_vocabulary(size=400, separators={f"<|{number}|>": "a word" for number in range(60)}).save(finished)
    opened = Run.open(str(finished))
    with pytest.raises(UserError, match=r"its vocabulary has \d+ tokens, its decoder \d+"):
        opened.decoder(opened.task({"copying": type(task)}))


@pytest.mark.parametrize("text", ["", '{"test": ', "[1]", "3", "\x00", "[" * 100_000])
def test_scores_that_are_damaged_are_named_and_kept(finished, text):
    (finished / "metrics.json").write_text(text)
    for call in (lambda: read_metrics(finished), lambda: add_metrics(finished, {"test": {}})):
        with pytest.raises(UserError, match=r"metrics.json is damaged .*: remove it, and score the run again"):
            call()
    assert (finished / "metrics.json").read_text() == text
