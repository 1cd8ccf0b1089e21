"""A checkpoint is whole or absent, whenever the process or the machine ends."""

import json
import os
from contextlib import suppress

import pytest
import torch
from safetensors.torch import save_file

from shared.training.checkpoints import checkpoints, publish, remove, rotate, tidy, why_not_resumed
from tests.interrupting import after

STATE = ("optimizer.pt", "scheduler.pt", "rng_state.pth")
FILES = ("model.safetensors", "trainer_state.json", *STATE)


def written(folder, content=1.0):
    """The files of a checkpoint in a folder of their own, not yet complete."""
    staging = folder / ".writing-new"
    staging.mkdir(parents=True)
    save_file({"weight": torch.full((100,), content)}, staging / "model.safetensors")
    (staging / "trainer_state.json").write_text(json.dumps({"global_step": 5, "content": content}))
    for name in STATE:
        torch.save({"content": torch.full((50,), content)}, staging / name)
    return staging


@pytest.fixture
def checkpoint(tmp_path):
    publish(written(tmp_path), tmp_path / "checkpoint-5")
    return tmp_path / "checkpoint-5"


def test_what_is_published_is_whole(checkpoint, tmp_path):
    assert why_not_resumed(checkpoint) is None
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]


@pytest.mark.parametrize("manifest", [True, False], ids=["", "of an earlier version"])
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", ["removed", "emptied", "cut off"])
def test_what_lacks_something_is_told(checkpoint, name, harm, manifest):
    path = checkpoint / name
    if not manifest:
        (checkpoint / "manifest.json").unlink()
        assert why_not_resumed(checkpoint) is None
    if harm == "removed":
        path.unlink()
    else:
        path.write_bytes(b"" if harm == "emptied" else path.read_bytes()[:-9])
    reason = why_not_resumed(checkpoint)
    assert name.removesuffix(".pt").removesuffix(".pth") in reason and "\n" not in reason


@pytest.mark.parametrize("name", FILES)
def test_a_byte_that_changed_is_told(checkpoint, name):
    data = bytearray((checkpoint / name).read_bytes())
    data[len(data) // 2] ^= 1
    (checkpoint / name).write_bytes(data)
    assert why_not_resumed(checkpoint) == f"{name} is damaged"


@pytest.mark.parametrize("manifest", ["", "[1]", "nothing", '{"model.safetensors": 3}', "\udcff"])
def test_a_manifest_that_is_damaged_is_told(checkpoint, manifest):
    (checkpoint / "manifest.json").write_bytes(manifest.encode(errors="surrogateescape"))
    assert why_not_resumed(checkpoint) == "manifest.json is damaged"


def test_what_was_written_beside_a_checkpoint_does_not_matter(checkpoint):
    (checkpoint / "metrics.json").write_text("{}")
    assert why_not_resumed(checkpoint) is None


class Killed(BaseException):
    pass


def die():
    raise Killed


@pytest.mark.parametrize("step", range(40))
def test_a_checkpoint_that_is_replaced_is_the_old_one_or_the_new(checkpoint, tmp_path, monkeypatch, step):
    """Killed at any of the calls that change the disk, all of it."""
    staging = written(tmp_path, 2.0)
    counted = after(step, die)
    for name in ("rename", "unlink", "rmdir", "open", "fsync"):
        monkeypatch.setattr(f"os.{name}", counted(getattr(os, name)))
    with suppress(Killed):
        publish(staging, checkpoint)
    monkeypatch.undo()
    tidy(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-5"]
    assert why_not_resumed(checkpoint) is None
    content = json.loads((checkpoint / "trainer_state.json").read_text())["content"]
    assert content in (1.0, 2.0)


def test_a_checkpoint_that_is_removed_is_whole_or_gone(checkpoint, tmp_path, monkeypatch):
    def killed(*args, **kwargs):
        raise Killed

    monkeypatch.setattr("shutil.rmtree", lambda path, **_: path.exists() and killed())
    with pytest.raises(Killed):
        remove(checkpoint)
    monkeypatch.undo()
    assert not checkpoints(tmp_path)
    tidy(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_oldest_are_removed_but_those_to_keep(tmp_path):
    for step in (10, 2, 30, 4):  # 2 is older than 30, and 4 the newest: a training went on from an earlier one
        publish(written(tmp_path), tmp_path / f"checkpoint-{step}")
    rotate(tmp_path, 3, {tmp_path / "checkpoint-10"})
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-4", "checkpoint-10", "checkpoint-30"]
    rotate(tmp_path, 2, {tmp_path / "checkpoint-10", tmp_path / "checkpoint-4"})
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-4", "checkpoint-10"]
    rotate(tmp_path, None, set())
    assert len(checkpoints(tmp_path)) == 2


def test_what_others_left_is_removed_at_the_start(tmp_path):
    for name in (".writing-abc", "samples/.writing-def"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "half").write_text("of it")
    tidy(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["samples"]
