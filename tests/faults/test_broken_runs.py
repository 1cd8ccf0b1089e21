"""Run folders with something wrong, and checkpoints of other trainings: one line each, and nothing changes."""

import json
import random
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from shared.errors import UserError
from shared.runs.folder import Run, read_metrics
from tests.conftest import Copying
from tests.faults.harness import FULL, cases, in_one_line, training

FILES = ("config.json", "model.safetensors", "run.yaml", "tokenizer.json", "metrics.json")
HARMS = ("removed", "emptied", "cut off", "garbage", "a list", "binary", "mixed up")


@pytest.fixture
def copy(unbroken, tmp_path):
    return shutil.copytree(unbroken, tmp_path / "run")


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def harm(path, how, rng):
    data = path.read_bytes()
    if how == "removed":
        path.unlink()
        return
    changed = bytearray(data)
    for _ in range(20):
        changed[rng.randrange(len(data))] = rng.randrange(256)
    path.write_bytes(
        {
            "emptied": b"",
            "cut off": data[: rng.randrange(1, len(data))],
            "garbage": b"all work and no play: [makes {",
            "a list": b"[1, 2, 3]",
            "binary": rng.randbytes(200),
            "mixed up": bytes(changed),
        }[how]
    )


@pytest.mark.parametrize("case", cases(35, 5))
def test_a_broken_run_opens_as_it_was_or_is_named_in_one_line(copy, case):
    """Whatever was damaged: what still loads is used, all else is named."""
    name, how = FILES[case % len(FILES)], HARMS[case // len(FILES)]
    harm(copy / name, how, random.Random(case))
    before = contents(copy)
    try:
        opened = Run.open(str(copy))
        task = opened.task({Copying.name: Copying})
        opened.decoder(task)
        read_metrics(copy)
    except UserError as error:
        assert "\n" not in str(error)
        assert str(copy) in str(error)
    else:
        assert how == "mixed up" or name == "metrics.json" or (name, how) == ("tokenizer.json", "cut off"), (name, how)
    assert contents(copy) == before


def config(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


@pytest.mark.parametrize(
    "change",
    [
        config(n_layer=1),
        config(n_layer=3),
        config(n_embd=64),
        config(n_head=3),
        config(n_head="two"),
        config(vocab_size=7),
        config(n_positions=8),
        config(n_positions=-1),
        config(model_type="bert"),
        config(model_type="onedecoder", relative_attention=8),
        config(activation_function="none such"),
        config(mask=3),
    ],
    ids=range(12),
)
def test_a_config_of_another_decoder_is_named_in_one_line(copy, change):
    change(copy)
    with pytest.raises(UserError) as caught:
        opened = Run.open(str(copy))
        opened.decoder(opened.task({Copying.name: Copying}))
    assert "\n" not in str(caught.value) and str(copy) in str(caught.value)


def test_weights_too_large_to_compute_with_are_named(copy):
    path = copy / "model.safetensors"
    save_file({name: weight * 1e30 for name, weight in load_file(path).items()}, path, {"format": "pt"})
    with pytest.raises(UserError, match="too large") as caught:
        opened = Run.open(str(copy))
        opened.decoder(opened.task({Copying.name: Copying}))
    assert "\n" not in str(caught.value) and str(copy) in str(caught.value)


MISMATCHES = {
    "max_length": {"max_length": 64},
    "mask": {"mask": "prefix"},
    "relative_attention": {"relative_attention": 8},
    "size": {"config_overrides": "n_layer=3,n_embd=32"},
    "width": {"config_overrides": "n_layer=2,n_embd=64"},
    "optim": {"optim": "muon", "max_steps": 20},
    "sgd": {"optim": "sgd", "max_steps": 20},
}


@pytest.mark.parametrize("name", list(MISMATCHES)[:: 1 if FULL else 6])
def test_a_checkpoint_of_another_training_is_refused(copy, name):
    before = contents(copy)
    child = training(copy, "--resume_from_checkpoint=true", **MISMATCHES[name])
    assert child.end() == 2, child.printed()
    assert in_one_line(child.printed()).startswith("error: --resume_from_checkpoint")
    assert contents(copy) == before


@pytest.mark.parametrize("case", cases(20, 1))
def test_a_damaged_checkpoint_is_skipped_or_refused(copy, unbroken, case):
    """The newest checkpoint is damaged in any file: the one before is taken, and the end is the same."""
    rng = random.Random(case)
    newest = copy / "checkpoint-12"
    name = rng.choice(sorted(path.name for path in newest.iterdir() if path.name != "manifest.json"))
    harm(newest / name, rng.choice(HARMS), rng)
    before = contents(copy)
    child = training(copy, f"--resume_from_checkpoint={newest}")
    assert child.end() == 2, child.printed()
    assert in_one_line(child.printed()).startswith(f"error: --resume_from_checkpoint {newest}: no complete checkpoint")
    assert contents(copy) == before
    child = training(copy, "--resume_from_checkpoint=true")
    assert child.end() == 0, child.printed()
    assert f"{newest} is skipped: {name} is" in child.printed()
    weights = (copy / "model.safetensors").read_bytes()
    assert weights == (unbroken / "model.safetensors").read_bytes()


def test_scores_that_are_damaged_are_named_before_the_training(copy):
    (copy / "metrics.json").write_text("{")
    before = contents(copy)
    child = training(copy, "--resume_from_checkpoint=true", max_steps=20)
    assert child.end() == 2
    assert "metrics.json is damaged" in in_one_line(child.printed())
    assert contents(copy) == before


def test_pickles_in_a_checkpoint_are_not_run(copy, tmp_path):
    """A checkpoint whose manifest fits, and whose optimizer's state would write a file."""

    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "written"), "w")

    for checkpoint in copy.glob("checkpoint-*"):
        torch.save(Evil(), checkpoint / "optimizer.pt")
        (checkpoint / "manifest.json").unlink()
    child = training(copy, "--resume_from_checkpoint=true", max_steps=20)
    assert child.end() == 2
    assert "optimizer's state" in in_one_line(child.printed())
    assert not (tmp_path / "written").exists()
