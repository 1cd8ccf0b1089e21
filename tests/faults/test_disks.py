"""A disk that fills, or takes nothing at all: one line, only whole checkpoints, and the same end once there is room.

A disk is a tmpfs where this user may mount one; elsewhere only files that may not grow are tried.
"""

import resource
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from shared.training.checkpoints import checkpoints, why_not_resumed
from tests.faults.harness import FULL, finish, in_one_line, training


def mount(*options):
    return subprocess.run(["mount", *map(str, options)], capture_output=True, check=False).returncode == 0


@contextmanager
def disk(place, kib):
    """A file system of so many KiB at `place`; gives a function that makes it larger."""
    place.mkdir()
    if not mount("-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", place):
        pytest.skip("no file system can be mounted here")
    try:
        yield lambda: mount("-o", "remount,size=20m", place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def whole_and_said(child, folder):
    """Ended well or in one line, with nothing half written."""
    code = child.end()
    assert code in (0, 2), child.printed()
    if code:
        line = in_one_line(child.printed())
        assert line.startswith("error: ") and any(word in line for word in ("could not be written", "could not write"))
    assert all(why_not_resumed(checkpoint) is None for checkpoint in checkpoints(folder))
    assert not [path for path in folder.rglob(".*") if path.name != ".lock"]
    return code


@pytest.mark.parametrize("kib", range(8, 2408, 80) if FULL else [400])
def test_a_disk_that_fills(unbroken, tmp_path, kib):
    with disk(tmp_path / "disk", kib) as enlarge:
        folder = tmp_path / "disk" / "run"
        if whole_and_said(training(folder, log=tmp_path), folder):
            assert enlarge()
            finish(folder, log=tmp_path)
        assert (folder / "model.safetensors").read_bytes() == (unbroken / "model.safetensors").read_bytes()


@pytest.mark.parametrize("kib", [1, 4, 16, 64, 128, 200, 300] if FULL else [])
def test_files_that_may_not_grow(unbroken, tmp_path, kib):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024, kib * 1024))

    folder = tmp_path / "run"
    assert whole_and_said(training(folder, before=small), folder) == 2
    finish(folder)
    assert (folder / "model.safetensors").read_bytes() == (unbroken / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "flags", [[], ["--overwrite_output_dir"], ["--resume_from_checkpoint=true"]][0 if FULL else 2 :]
)
def test_a_folder_that_cannot_be_written_is_left_as_it_is(unbroken, tmp_path, flags):
    with disk(tmp_path / "disk", 20_000):
        folder = tmp_path / "disk" / "run"
        shutil.copytree(unbroken, folder)
        files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        assert mount("-o", "remount,ro", tmp_path / "disk")
        child = training(folder, *flags, log=tmp_path)
        assert child.end() == 2
        assert in_one_line(child.printed()).startswith(f"error: could not write to {folder}: ")
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files
