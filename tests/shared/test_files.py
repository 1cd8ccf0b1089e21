import errno
import os

import pytest

from shared.errors import UserError
from shared.files import atomic_directory, in_turn, reserved


def files(folder):
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    """A run that holds something already."""
    (tmp_path / "run" / "samples").mkdir(parents=True)
    (tmp_path / "run" / "metrics.json").write_text("old")
    (tmp_path / "run" / "samples" / "1.txt").write_text("old")
    return tmp_path / "run"


def test_everything_moves_to_its_place_at_the_end(folder):
    with atomic_directory(folder) as staging:
        (staging / "metrics.json").write_text("new")
        (staging / "samples").mkdir()
        (staging / "samples" / "2.txt").write_text("new")
        (staging / "deep" / "er").mkdir(parents=True)
        (staging / "deep" / "er" / "3.txt").write_text("new")
        assert (folder / "metrics.json").read_text() == "old"
    assert files(folder) == {
        "metrics.json": "new",
        "samples/1.txt": "old",
        "samples/2.txt": "new",
        "deep/er/3.txt": "new",
    }
    assert {path.name for path in folder.iterdir()} == {"metrics.json", "samples", "deep"}


def test_a_new_folder_is_made(tmp_path):
    with atomic_directory(tmp_path / "a" / "b") as staging:
        (staging / "c.txt").write_text("new")
    assert files(tmp_path) == {"a/b/c.txt": "new"}


def test_a_full_disk_leaves_the_folder_as_it_was(folder):
    before = files(folder)
    with pytest.raises(UserError, match="No space left on device") as caught, atomic_directory(folder) as staging:
        (staging / "metrics.json").write_text("half of the ne")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files(folder) == before
    assert {path.name for path in folder.iterdir()} == {"metrics.json", "samples"}


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ZeroDivisionError])
def test_another_fault_passes_through_and_leaves_the_folder_as_it_was(folder, fault):
    before = files(folder)
    with pytest.raises(fault), atomic_directory(folder) as staging:
        (staging / "metrics.json").write_text("half of the ne")
        raise fault
    assert files(folder) == before
    assert {path.name for path in folder.iterdir()} == {"metrics.json", "samples"}


def test_a_file_in_the_folders_place_is_an_error_of_the_user(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(UserError, match="could not write to"), atomic_directory(tmp_path / "run"):
        pass
    assert files(tmp_path) == {"run": "a file"}


def test_what_is_written_can_be_read_by_whoever_may_read_the_folder(tmp_path):
    with atomic_directory(tmp_path / "run") as staging:
        (staging / "samples").mkdir()
        (staging / "samples" / "1.txt").write_text("new")
        (staging / "samples" / "1.txt").chmod(0o600)  # as safetensors leaves its files
    (tmp_path / "usual").mkdir()
    (tmp_path / "usual" / "1.txt").write_text("new")
    assert (tmp_path / "run" / "samples").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert (tmp_path / "run" / "samples" / "1.txt").stat().st_mode == (tmp_path / "usual" / "1.txt").stat().st_mode


def test_a_folder_is_reserved_for_one_process_and_left_as_it_was(tmp_path):
    folder = tmp_path / "deep" / "run"
    with reserved(folder):
        assert [path.name for path in folder.iterdir()] == [".lock"]
        reader = os.fork()
        if not reader:
            try:
                with reserved(folder):
                    os._exit(0)
            except UserError as error:
                os._exit(3 if f"in use by process {os.getppid()} of " in str(error) else 4)
        assert os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]) == 3
    assert not list(tmp_path.iterdir())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text("left by a process that was killed")
    with reserved(tmp_path / "run"):
        (tmp_path / "run" / "mine").write_text("")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine"]


def test_what_is_done_in_turn_is_not_lost(tmp_path):
    (tmp_path / "count").write_text("0")
    writers = []
    for _ in range(4):
        writers.append(os.fork())
        if not writers[-1]:
            for _ in range(50):
                with in_turn(tmp_path):
                    (tmp_path / "count").write_text(str(int((tmp_path / "count").read_text()) + 1))
            os._exit(0)
    assert all(os.waitpid(writer, 0)[1] == 0 for writer in writers)
    assert (tmp_path / "count").read_text() == "200"
