import json

import pytest
import yaml

from shared.data.vocabulary import vocabulary_folder
from shared.errors import UserError
from shared.runs.folder import Run, add_metrics, check_resumed, clear, find_checkpoint, save_settings


@pytest.fixture
def folder(tmp_path):
    """A run with three checkpoints, the last of which was cut off."""
    folder = tmp_path / "run"
    for step in (5, 20, 100):
        (folder / f"checkpoint-{step}").mkdir(parents=True)
        (folder / f"checkpoint-{step}" / "model.safetensors").write_text("weights")
    for step in (5, 20):
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
        (folder / f"checkpoint-{step}" / "rng_state.pth").write_text("")
    (folder / "run.yaml").write_text("task: copying\n")
    return folder


@pytest.fixture
def finished(task, decoder, tmp_path):
    """A run as training leaves it."""
    folder = tmp_path / "finished"
    save_settings(folder, task, {"model": {"max_length": 32}, "generation": {"num_beams": 2}})
    decoder.save_pretrained(folder)
    return folder


def test_a_new_folder_starts_from_nothing(tmp_path):
    assert find_checkpoint(tmp_path / "new", None, overwrite=False) is None
    assert find_checkpoint(tmp_path / "new", "false", overwrite=False) is None


def test_a_folder_without_a_run_is_used_as_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert find_checkpoint(tmp_path, None, overwrite=True) is None
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("left", ["everything", "run.yaml", "checkpoint"])
@pytest.mark.parametrize("resume", [None, "false"])
def test_a_run_is_not_overwritten_unasked(folder, left, resume):
    if left == "checkpoint":
        (folder / "run.yaml").unlink()
    if left == "run.yaml":
        (folder / "checkpoint-5" / "trainer_state.json").unlink()
        (folder / "checkpoint-20" / "trainer_state.json").unlink()
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match="holds a run already") as caught:
        find_checkpoint(folder, resume, overwrite=False)
    assert "--resume_from_checkpoint true" in str(caught.value)
    assert "--overwrite_output_dir" in str(caught.value)
    assert sorted(folder.rglob("*")) == before


def test_a_run_is_replaced_where_that_is_asked_for(folder):
    (folder / "samples").mkdir()
    (folder / "metrics.json").write_text("{}")
    (folder / "notes.txt").write_text("mine")
    before = sorted(folder.rglob("*"))
    assert find_checkpoint(folder, None, overwrite=True) is None
    assert sorted(folder.rglob("*")) == before  # not before all that is new is known to be good
    clear(folder)
    assert {path.name for path in folder.iterdir()} == {"run.yaml", "notes.txt"}


def test_a_folder_that_holds_no_run_is_not_cleared(tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "metrics.json").write_text("{}")
    clear(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"samples", "metrics.json"}


@pytest.mark.parametrize("resume", ["true", "True"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_last_complete_checkpoint_is_resumed(folder, resume, overwrite):
    assert find_checkpoint(folder, resume, overwrite) == folder / "checkpoint-20"
    assert (folder / "checkpoint-5").is_dir()


def test_a_checkpoint_that_is_named_is_resumed(folder):
    assert find_checkpoint(folder, str(folder / "checkpoint-5"), overwrite=False) == folder / "checkpoint-5"


def test_a_checkpoint_of_another_run_does_not_open_the_way_to_this_one(folder, tmp_path):
    other = tmp_path / "other"
    (other).mkdir()
    (other / "run.yaml").write_text("task: copying\n")
    checkpoint = str(folder / "checkpoint-5")
    with pytest.raises(UserError, match="other holds a run already"):
        find_checkpoint(other, checkpoint, overwrite=False)
    assert find_checkpoint(other, checkpoint, overwrite=True) == folder / "checkpoint-5"
    assert find_checkpoint(tmp_path / "new", checkpoint, overwrite=False) == folder / "checkpoint-5"


@pytest.mark.parametrize("resume", ["true", "checkpoint-20"])
def test_weights_alone_are_not_resumed(folder, resume):
    (folder / "checkpoint-20" / "rng_state.pth").unlink()
    with pytest.raises(UserError, match=r"checkpoint-20 holds weights alone .* --model_name_or_path .*checkpoint-20"):
        find_checkpoint(folder, resume if resume == "true" else str(folder / resume), overwrite=False)


@pytest.mark.parametrize("name", ["checkpoint-100", "checkpoint-7"])
def test_a_checkpoint_that_is_cut_off_or_missing_is_refused_by_name(folder, name):
    with pytest.raises(UserError, match=rf"--resume_from_checkpoint .*{name}: no complete checkpoint"):
        find_checkpoint(folder, str(folder / name), overwrite=False)


def test_there_must_be_something_to_resume(folder, tmp_path):
    for step in (5, 20):
        (folder / f"checkpoint-{step}" / "trainer_state.json").unlink()
    for place in (folder, tmp_path / "nothing"):
        with pytest.raises(UserError, match="holds no complete checkpoint"):
            find_checkpoint(place, "true", overwrite=False)


def test_a_folder_of_another_name_is_no_checkpoint_by_number(folder):
    (folder / "checkpoint-best").mkdir()
    (folder / "checkpoint-best" / "trainer_state.json").write_text("{}")
    assert find_checkpoint(folder, "true", overwrite=False) == folder / "checkpoint-20"


def test_a_file_is_no_output_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file: give a folder"):
        find_checkpoint(tmp_path / "file", None, overwrite=True)


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


def test_a_checkpoint_opens_with_the_settings_and_the_tokenizer_of_its_run(finished, task, decoder):
    decoder.save_pretrained(finished / "checkpoint-7")
    run = Run.open(str(finished / "checkpoint-7"))
    assert run.folder == finished / "checkpoint-7"
    assert run.settings["model"] == {"max_length": 32}
    assert run.task({"copying": type(task)}).vocabulary.tokens == task.vocabulary.tokens


def test_the_vocabulary_of_a_checkpoint_is_that_of_its_run(finished, decoder, tmp_path):
    decoder.save_pretrained(finished / "checkpoint-7")
    decoder.save_pretrained(tmp_path / "plain")
    assert vocabulary_folder(str(finished / "checkpoint-7")) == str(finished)
    for name in (str(finished), str(tmp_path / "plain"), "gpt2", "org/model"):
        assert vocabulary_folder(name) == name


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
    ("task_name", "changes", "message"),
    [
        ("copying", {}, None),
        ("copying", {"relative_attention": 0}, None),  # what the weights bring along
        ("singing", {}, "is of a copying run, not of singing"),
        ("copying", {"max_length": 64}, "was trained with --max_length 32, not 64"),
        ("copying", {"mask": "prefix"}, "was trained with --mask causal, not prefix"),
    ],
    ids=str,
)
def test_only_what_a_checkpoint_was_trained_for_is_resumed(tmp_path, task_name, changes, message):
    model = {"size": "tiny", "config_overrides": None, "max_length": 32, "mask": "causal", "relative_attention": 8}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"task": "copying", "model": model}))
    asked = {**model, **changes}
    if message is None:
        check_resumed(tmp_path / "checkpoint-2", task_name, asked)
        return
    with pytest.raises(UserError, match=message) as caught:
        check_resumed(tmp_path / "checkpoint-2", task_name, asked)
    assert "\n" not in str(caught.value)


def test_a_run_of_an_earlier_version_opens_under_todays_names(finished, task):
    settings = yaml.safe_load((finished / "run.yaml").read_text())
    settings["model"] |= {"row_length": 64, "loss_on": "line"}
    settings["training"] = {"compile": False}
    (finished / "run.yaml").write_text(yaml.safe_dump(settings))
    opened = Run.open(str(finished)).settings
    assert opened["model"] == {"max_length": 32, "pack_length": 64, "loss_on": "all"}
    assert opened["training"] == {"torch_compile": False}
