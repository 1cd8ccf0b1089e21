"""C++ compiled for the processor that it runs on: once on each machine, and loaded from there."""

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from shared.files import user_cache

HEADER = Path(__file__).with_name("vectors.h")  # which every source may include
WIDEST = 16  # floats that a processor takes at once, at most: the largest of `LANES` there
POINTER, NUMBER = ctypes.c_void_p, ctypes.c_int64  # what functions are given
COMPILERS = ("c++", "g++", "clang++")
# Sums may be added in any order, as vectors do: without that, a loop over them stays one.
SUMS = ("-fno-math-errno", "-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math")
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp", *SUMS, "-fPIC", "-shared", "-w")


class NotCompiledError(Exception):
    """Why there is no library, in one line."""


@functools.cache
def library(source: Path, **constants: int) -> ctypes.CDLL:
    """The library of a `source` file in which these `constants` are defined.

    It is kept in the user's cache (see `shared.files.user_cache`), under a name that says what it was made of.

    Raises:
        NotCompiledError: without a compiler, or where it fails.
    """
    command = [*compiler(), *FLAGS, *(f"-D{name}={value}" for name, value in constants.items())]
    # What the compiler knows of itself and of the processor, for which the machine's name does not stand.
    known = _run([*command, "-dM", "-E", "-x", "c++", os.devnull])
    made_of = "\0".join([*command, known, *(each.read_text(encoding="utf-8") for each in (HEADER, source))])
    folder = user_cache()
    place = folder / f"{source.stem}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.so"
    try:
        if not place.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as apart:
                made = Path(apart) / place.name
                _run([*command, f"-I{HEADER.parent}", str(source), "-o", str(made)])
                made.replace(place)
        return ctypes.CDLL(str(place))
    except OSError as error:
        raise NotCompiledError(f"{place} cannot be written or loaded ({error})") from error


def has_compiler() -> bool:
    """Whether there is a compiler."""
    try:
        return bool(compiler())
    except NotCompiledError:
        return False


def compiler() -> list[str]:
    """The command of the compiler: `$CXX`, or the first that there is.

    Raises:
        NotCompiledError: if there is none.
    """
    for command in (shlex.split(name) for name in (os.environ.get("CXX", ""), *COMPILERS)):
        if command and shutil.which(command[0]):
            return command
    raise NotCompiledError(f"there is no C++ compiler ({', '.join(COMPILERS)}, or the one that CXX names)")


def _run(command: list[str]) -> str:
    """What a command prints.

    Raises:
        NotCompiledError: with the first error that it names.
    """
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        lines = finished.stderr.splitlines() or [f"exit code {finished.returncode}"]
        error = next((line for line in lines if "error" in line), lines[-1])
        raise NotCompiledError(f"{command[0]} fails: {error}")
    return finished.stdout
