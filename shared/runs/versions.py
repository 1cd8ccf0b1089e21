"""Which versions of the program trained a run."""

import os
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PROGRAMS = ("onedecoder", "torch", "transformers")


@cache
def versions() -> Mapping[str, str]:
    """Those of this program and of what computes, without the kind of build (`+cpu`)."""
    found = {}
    for name in PROGRAMS:
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:  # run from its sources
            found[name] = "unknown"
    return found


def tell_other_versions(folder: Path, settings: Mapping[str, Any]) -> None:
    """Say in one line where the run in `folder` was trained by others than those here."""
    trained, here = settings.get("versions"), versions()
    if not isinstance(trained, dict):
        _say(f"{folder} was trained by an earlier version of this program, which left no number; here: {_text(here)}")
    elif others := [name for name in PROGRAMS if trained.get(name) != here[name]]:
        _say(
            f"{folder} was trained with {_text({name: trained.get(name, 'unknown') for name in others})}; here: "
            f"{_text({name: here[name] for name in others})}"
        )


def _text(numbers: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items())


@cache
def _say(line: str) -> None:
    """Once, however often the run is opened, and by one process."""
    if os.environ.get("RANK", "0") == "0":
        print(line, file=sys.stderr)
