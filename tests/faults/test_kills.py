"""A training that is killed at any moment goes on to the weights that it would have had, bit for bit."""

import os
import random
import signal
import time

import pytest

from shared.training.checkpoints import checkpoints, why_not_resumed
from tests.faults.harness import FULL, cases, finish, in_one_line, training, wait_for
from tests.interrupting import after


def same(folder, other):
    """Whether two runs have the same weights, in the end and in their last checkpoints, and the same state there."""
    names = ["model.safetensors"]
    names += [f"checkpoint-12/{name}" for name in ("model.safetensors", "last_step.safetensors", "optimizer.pt")]
    return all((folder / name).read_bytes() == (other / name).read_bytes() for name in names)


def all_whole(folder):
    """Whatever is named as a checkpoint can be resumed."""
    return all(why_not_resumed(checkpoint) is None for checkpoint in checkpoints(folder))


@pytest.mark.parametrize("case", cases(25, 1))
def test_killed_at_a_random_moment(unbroken, tmp_path, case):
    seconds = float((unbroken.parent / "seconds").read_text())
    folder = tmp_path / "run"
    child = training(folder)
    time.sleep(random.Random(case).uniform(0.2, 1) * seconds)
    child.kill()
    child.end()
    assert all_whole(folder)
    finish(folder)
    assert same(folder, unbroken)


def killed_at(call):
    """Kill this process at its `call`-th call that changes the disk while it writes its third checkpoint."""

    def arm():
        counted = after(call, lambda: os.kill(os.getpid(), signal.SIGKILL))
        from shared.training.trainer import Trainer  # noqa: PLC0415 (in the child alone)

        write = Trainer._save_checkpoint

        def armed(self, *args):
            if self.state.global_step == 6:
                for name in ("rename", "replace", "unlink", "rmdir", "mkdir", "fsync", "open"):
                    setattr(os, name, counted(getattr(os, name)))
            write(self, *args)

        Trainer._save_checkpoint = armed

    return arm


@pytest.mark.parametrize("replaced", [False, True] if FULL else [True], ids=lambda replaced: "replaced" * replaced)
@pytest.mark.parametrize("case", cases(13, 1))
def test_killed_while_a_checkpoint_is_written(unbroken, tmp_path, case, replaced):
    folder = tmp_path / "run"
    flags = []
    if replaced:  # a training that goes on from an earlier checkpoint writes the sixth step's once more
        assert training(folder, save_total_limit=9).end() == 0
        flags = [f"--resume_from_checkpoint={folder / 'checkpoint-4'}"]
    child = training(folder, *flags, before=killed_at(5 * case + (2 if replaced else 4)), save_total_limit=9)
    assert child.end() == -signal.SIGKILL, child.printed()
    assert all_whole(folder)
    finish(folder)
    assert all_whole(folder)
    assert same(folder, unbroken)


@pytest.mark.parametrize("case", cases(8, 1))
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM] if FULL else [signal.SIGINT], ids=lambda it: it.name)
def test_a_signal_ends_with_a_checkpoint_and_the_command_that_goes_on(tmp_path, number, case):
    folder = tmp_path / "run"
    child = training(folder, save_strategy="no", max_steps=4000)
    wait_for(lambda: "loss" in child.printed())
    time.sleep(random.Random(case).uniform(0, 0.2))
    child.kill(number)
    assert child.end() == 128 + number
    line = in_one_line(child.printed())
    assert "stopped after step" in line and line.endswith("--resume_from_checkpoint true")
    (checkpoint,) = checkpoints(folder)
    assert why_not_resumed(checkpoint) is None
    assert f"step {checkpoint.name[11:]} of 4000" in line


def slow_steps():
    """Leave the time for a signal between two steps."""
    from shared.training.trainer import Trainer  # noqa: PLC0415 (in the child alone)

    step = Trainer.training_step

    def slow(self, *args, **kwargs):
        time.sleep(0.4)
        return step(self, *args, **kwargs)

    Trainer.training_step = slow


@pytest.mark.parametrize("case", cases(6, 1))
def test_what_a_signal_ended_goes_on_to_the_same_weights(unbroken, tmp_path, case):
    folder = tmp_path / "run"
    child = training(folder, before=slow_steps)
    wait_for((folder / "run.yaml").is_file)
    time.sleep(random.Random(case).uniform(0.2, 1.2))
    child.kill(signal.SIGTERM)
    assert child.end() == 128 + signal.SIGTERM
    assert "--resume_from_checkpoint true" in in_one_line(child.printed())
    finish(folder)
    assert same(folder, unbroken)


def test_a_second_interruption_leaves_at_once(tmp_path):
    def stuck():
        from shared.training.stopping import Stop  # noqa: PLC0415 (in the child alone)
        from shared.training.trainer import Trainer  # noqa: PLC0415

        asked = Stop._ask

        def told(*arguments):
            asked(*arguments)
            print("asked", flush=True)

        def never(*_, **__):
            print("loss", flush=True)
            time.sleep(60)

        Stop._ask, Trainer.training_step = told, never

    child = training(tmp_path / "run", before=stuck)
    wait_for(lambda: "loss" in child.printed())
    child.kill(signal.SIGINT)
    wait_for(lambda: "asked" in child.printed())
    time.sleep(0.2)  # sooner it could be the same interruption, told twice
    assert child.running()
    start = time.monotonic()
    child.kill(signal.SIGINT)
    assert child.end() == 128 + signal.SIGINT
    assert time.monotonic() - start < 30  # in place of 60
    assert "interrupted, without a checkpoint" in in_one_line(child.printed())
    assert not list((tmp_path / "run").rglob(".*"))


def test_two_runs_do_not_write_into_one_folder(unbroken, tmp_path):
    folder = tmp_path / "run"
    first = training(folder, before=slow_steps)
    wait_for(lambda: (folder / ".lock").is_file() and (folder / ".lock").read_text())
    for flags in ([], ["--overwrite_output_dir"], ["--resume_from_checkpoint=true"]):
        second = training(folder, *flags)
        assert second.end() == 2
        line = in_one_line(second.printed())
        assert line.startswith(f"error: {folder} is in use by process {first.pid}")
    assert first.end() == 0
    assert same(folder, unbroken)
