"""Files that are whole or absent, and folders that one process at a time writes to."""

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from safetensors import SafetensorError

from shared.errors import UserError

STAGING = ".writing-"  # begins the names of folders that are being written
LOCK = ".lock"


def user_cache() -> Path:
    """The folder for what can be made again: `$XDG_CACHE_HOME/onedecoder`, by default `~/.cache/onedecoder`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onedecoder"


@contextmanager
def atomic_directory(folder: Path) -> Iterator[Path]:
    """A folder to write into, whose files move to `folder` only once all are written.

    A full disk, or an interruption before that, thus leaves `folder` as it was, and each file there is always whole.

    Raises:
        UserError: if the files cannot be written.
    """
    staging = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
        yield staging
        complete(staging)
        for path in sorted(staging.rglob("*")):
            if path.is_file():
                place = folder / path.relative_to(staging)
                place.parent.mkdir(parents=True, exist_ok=True)
                path.replace(place)
    except (OSError, SafetensorError) as error:
        refuse_writing(folder, error)
    finally:
        if staging:
            shutil.rmtree(staging, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Make `folder`, and find out before long work whether its results can be written there.

    Raises:
        UserError: if they cannot be.
    """
    with atomic_directory(folder):
        pass


def refuse_writing(folder: Path, error: Exception) -> NoReturn:
    """Say in one line that nothing can be written to `folder`.

    Raises:
        UserError: always.
    """
    raise UserError(
        f"could not write to {folder}: {' '.join(str(error).split())}; free some space, or write elsewhere"
    ) from error


def complete(folder: Path) -> None:
    """Return once the disk holds all in `folder`, readable as files usually are (safetensors' own are not)."""
    mask = os.umask(0o077)
    os.umask(mask)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o666 & ~mask)
    flush(*folder.rglob("*"), folder)


def flush(*paths: Path) -> None:
    """Return once the disk holds these files, or these folders' lists of names."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """`folder`, made where it is missing, for this process alone; one that stays empty is removed in the end.

    The lock is the system's own, which ends with the process however it ends, and no child inherits it.

    Raises:
        UserError: if another process has it, or nothing can be written there.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"--output_dir {folder} is a file: give a folder")
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
    except OSError as error:  # its name is too long, for one
        refuse_writing(folder, error)
    lock = None
    try:
        try:
            lock = _lock(folder)
        except BlockingIOError as error:
            raise UserError(f"{folder} is in use {_user(folder)}: wait for its end, or write elsewhere") from error
        except OSError as error:
            refuse_writing(folder, error)
        yield
    finally:
        if lock is not None:
            with suppress(OSError):
                (folder / LOCK).unlink()
            os.close(lock)
        for place in missing:
            with suppress(OSError):  # it is not empty
                place.rmdir()


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """What is done inside is done by one process after the other, as reading a file and writing it again."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    """The descriptor of the folder's lock file, locked; BlockingIOError where another process has it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (folder / LOCK).stat().st_ino == os.fstat(descriptor).st_ino:
                os.truncate(descriptor, 0)
                os.write(descriptor, f"by process {os.getpid()} of {socket.gethostname()}".encode())
                return descriptor
        except FileNotFoundError:  # its owner removed it meanwhile, as it may have replaced it
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _user(folder: Path) -> str:
    """What the lock file says of who has it."""
    try:
        return (folder / LOCK).read_text(encoding="utf-8") or "by another process"
    except (OSError, UnicodeDecodeError):
        return "by another process"
