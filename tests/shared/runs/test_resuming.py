"""What a training does with the folder that it is given."""

import json
import shutil

import pytest
import torch
import yaml
from safetensors.torch import save_file

from shared.data.arguments import DataArguments
from shared.errors import UserError
from shared.runs.resuming import FIXED, check_resumed, clear, find_checkpoint
from shared.training.checkpoints import publish
from tasks import TASKS
from tests.conftest import Copying


def new_checkpoint(place, state=True):
    """A whole checkpoint, as a training writes it; without a `state`, of weights alone."""
    staging = place.with_name("new")
    staging.mkdir(parents=True)
    save_file({"weight": torch.ones(2)}, staging / "model.safetensors")
    (staging / "trainer_state.json").write_text('{"global_step": 5}')
    if state:
        for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
            torch.save({"name": name}, staging / name)
    publish(staging, place)


@pytest.fixture
def folder(tmp_path):
    """A run with three checkpoints, the last of which was cut off."""
    folder = tmp_path / "run"
    for step in (5, 20):
        new_checkpoint(folder / f"checkpoint-{step}")
    (folder / "checkpoint-100").mkdir()
    (folder / "checkpoint-100" / "model.safetensors").write_text("weights")
    (folder / "run.yaml").write_text("task: copying\n")
    return folder


def test_a_new_folder_starts_from_nothing(tmp_path):
    assert find_checkpoint(tmp_path / "new", None, overwrite=False) is None
    assert find_checkpoint(tmp_path / "new", "false", overwrite=False) is None


def test_a_folder_without_a_run_is_used_as_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert find_checkpoint(tmp_path, None, overwrite=True) is None
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["README.md", "config.json", "metrics.json"])
def test_a_file_of_somebody_elses_is_not_overwritten_unasked(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"holds a {name} of no run, which a run would replace"):
        find_checkpoint(tmp_path, None, overwrite=False)
    assert find_checkpoint(tmp_path, None, overwrite=True) is None


@pytest.mark.parametrize("left", ["everything", "run.yaml", "checkpoint"])
@pytest.mark.parametrize("resume", [None, "false"])
def test_a_run_is_not_overwritten_unasked(folder, left, resume):
    if left == "checkpoint":
        (folder / "run.yaml").unlink()
    if left == "run.yaml":
        for step in (5, 20):
            shutil.rmtree(folder / f"checkpoint-{step}")
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match="holds a run already") as caught:
        find_checkpoint(folder, resume, overwrite=False)
    # There must be something to go on from.
    assert ("--resume_from_checkpoint true" in str(caught.value)) is (left != "run.yaml")
    assert "--overwrite_output_dir" in str(caught.value)
    assert sorted(folder.rglob("*")) == before


def test_a_run_is_replaced_where_that_is_asked_for(folder):
    for name, output in {"samples": "outputs.jsonl", "test_2017": "piece-1.mid"}.items():
        (folder / name).mkdir()
        (folder / name / output).write_text("old")
    (folder / "README.md").write_text("the old scores")
    names = ("train", "parameters", "validation", "test", "test_2017", "..", "checkpoint-7", "absent")
    (folder / "metrics.json").write_text(json.dumps({key: {} for key in names}))
    for name in ("train", "validation"):  # data that happen to have the names of scores
        (folder / name).mkdir()
        (folder / name / "rows.jsonl").write_text("mine")
    (folder / "train" / "outputs.jsonl").write_text("mine")  # training leaves none
    (folder / "notes.txt").write_text("mine")
    (folder.parent / "outputs.jsonl").write_text("of another run")
    before = sorted(folder.rglob("*"))
    assert find_checkpoint(folder, None, overwrite=True) is None
    assert sorted(folder.rglob("*")) == before  # not before all that is new is known to be good
    clear(folder)
    assert {path.name for path in folder.iterdir()} == {"run.yaml", "notes.txt", "train", "validation"}
    assert (folder / "train" / "outputs.jsonl").read_text() == "mine"


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
    shutil.rmtree(folder / "checkpoint-5")
    new_checkpoint(folder / "checkpoint-20", state=False)
    with pytest.raises(UserError, match=r"checkpoint-20: .*weights alone .* --model_name_or_path .*checkpoint-20"):
        find_checkpoint(folder, resume if resume == "true" else str(folder / resume), overwrite=False)


def test_what_is_damaged_is_skipped_and_named(folder, capsys):
    (folder / "checkpoint-20" / "optimizer.pt").write_bytes(b"")
    assert find_checkpoint(folder, "true", overwrite=False) == folder / "checkpoint-5"
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("checkpoint-100 is skipped: trainer_state.json is missing; going on from checkpoint-5")
    assert lines[1].endswith("checkpoint-20 is skipped: optimizer.pt is damaged; going on from checkpoint-5")
    with pytest.raises(UserError, match=r"checkpoint-20: no complete checkpoint there \(optimizer.pt is damaged\)"):
        find_checkpoint(folder, str(folder / "checkpoint-20"), overwrite=False)


@pytest.mark.parametrize("name", ["checkpoint-100", "checkpoint-7"])
def test_a_checkpoint_that_is_cut_off_or_missing_is_refused_by_name(folder, name):
    with pytest.raises(UserError, match=rf"--resume_from_checkpoint .*{name}: no complete checkpoint"):
        find_checkpoint(folder, str(folder / name), overwrite=False)


def test_there_must_be_something_to_resume(folder, tmp_path):
    for step in (5, 20):
        (folder / f"checkpoint-{step}" / "trainer_state.json").unlink()
    for place, way in ((folder, f"--model_name_or_path {folder}"), (tmp_path / "nothing", "leave the flag out")):
        with pytest.raises(UserError, match=f"holds no complete checkpoint.*{way}"):
            find_checkpoint(place, "true", overwrite=False)


def test_a_folder_of_another_name_is_no_checkpoint_by_number(folder):
    (folder / "checkpoint-best").mkdir()
    (folder / "checkpoint-best" / "trainer_state.json").write_text("{}")
    assert find_checkpoint(folder, "true", overwrite=False) == folder / "checkpoint-20"


def test_a_file_is_no_output_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file: give a folder"):
        find_checkpoint(tmp_path / "file", None, overwrite=True)


@pytest.mark.parametrize(
    ("task_name", "changes", "message"),
    [
        ("copying", {}, None),
        ("copying", {"relative_attention": 0}, None),  # what the weights bring along
        ("music", {}, "is of a copying run, not of music"),
        ("copying", {"max_length": 64}, "was trained with --max_length 32, not 64"),
        ("copying", {"position_period": 8}, "was trained with --position_period 4, not 8"),
        ("copying", {"mask": "prefix"}, "was trained with --mask causal, not prefix"),
    ],
    ids=str,
)
def test_only_what_a_checkpoint_was_trained_for_is_resumed(tmp_path, task_name, changes, message):
    model = {"size": "tiny", "config_overrides": None, "max_length": 32, "mask": "causal", "relative_attention": 8}
    model |= {"position_period": 4, "copy_attention": 16}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"task": "copying", "model": model}))
    asked = {**model, **changes}
    kind = {**TASKS, "copying": Copying}[task_name]
    if message is None:
        check_resumed(tmp_path / "checkpoint-2", kind, kind.Arguments(), asked, "muon")
        return
    with pytest.raises(UserError, match=message) as caught:
        check_resumed(tmp_path / "checkpoint-2", kind, kind.Arguments(), asked, "muon")
    assert "\n" not in str(caught.value)


def test_another_optimizers_state_is_not_resumed(tmp_path):
    settings = {"task": "copying", "model": {}, "training": {"optim": "adamw_torch"}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    model = dict.fromkeys(FIXED)
    check_resumed(tmp_path / "checkpoint-2", Copying, DataArguments(), model, "adamw_torch")
    with pytest.raises(UserError, match="was trained with --optim adamw_torch, not muon"):
        check_resumed(tmp_path / "checkpoint-2", Copying, DataArguments(), model, "muon")


@pytest.mark.parametrize(
    ("name", "before", "asked", "message"),
    [
        ("music", {"velocity": "note"}, {"velocity": "on_change"}, "with --velocity note, not on_change"),
        ("music", {"velocity": "on_change"}, {}, "with --velocity on_change, not note"),
        ("music", {"lengths": "note_off"}, {"lengths": "with_note"}, "with --lengths note_off, not with_note"),
        ("music", {"job": ["compose"]}, {"job": ["continue"]}, None),
        ("music", {}, {}, None),  # of a version that had no such setting
        ("translation", {"target_lang": "de"}, {"target_lang": "fr"}, "with --target_lang de, not fr"),
        ("translation", {"both_directions": False}, {"both_directions": True}, "--both_directions False, not True"),
        ("music", {}, {"lengths": "with_note"}, "with --lengths note_off, not with_note"),
        ("summarization", {"separator_text": None}, {"separator_text": "TL;DR:"}, "--separator_text None, not TL;DR:"),
    ],
    ids=str,
)
def test_the_tokens_of_a_line_go_on_to_mean_the_same(tmp_path, name, before, asked, message):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"task": name, "task_arguments": before}))
    kind, model = TASKS[name], dict.fromkeys(FIXED)
    if message is None:
        check_resumed(tmp_path / "checkpoint-2", kind, kind.Arguments(**asked), model, "muon")
        return
    with pytest.raises(UserError, match=message) as caught:
        check_resumed(tmp_path / "checkpoint-2", kind, kind.Arguments(**asked), model, "muon")
    assert "\n" not in str(caught.value)
