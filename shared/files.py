"""Files that are whole or absent."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from shared.errors import UserError


@contextmanager
def atomic_directory(folder: Path) -> Iterator[Path]:
    """A folder to write into, whose files move to `folder` only once all are written.

    A full disk or an interruption thus leaves `folder` as it was. OSError becomes a UserError.
    """
    staging = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
        yield staging
        for path in sorted(staging.rglob("*")):
            if path.is_file():
                place = folder / path.relative_to(staging)
                place.parent.mkdir(parents=True, exist_ok=True)
                path.replace(place)
    except (OSError, SafetensorError) as error:
        raise UserError(f"could not write to {folder}: {error}; free some space, or write elsewhere") from error
    finally:
        if staging:
            shutil.rmtree(staging, ignore_errors=True)
