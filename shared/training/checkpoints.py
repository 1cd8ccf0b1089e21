"""Checkpoints that are whole or absent: written beside their place, moved there at once, checked before they are used.

A checkpoint's last file, `manifest.json`, has the size and the CRC-32 of every other: one that lost a file, was cut off
or was damaged on its disk is told from one that can be resumed. While a checkpoint replaces another of its name, the
old one stands beside it as `.replaced-checkpoint-N`.
"""

import json
import shutil
import zipfile
import zlib
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME

from shared.errors import first_line
from shared.files import STAGING, complete, flush

MANIFEST = "manifest.json"
REPLACED = ".replaced-"
# What is needed beside the weights; deepspeed and FSDP divide the optimizer's state over files of other names.
STATE = ("optimizer*", SCHEDULER_NAME, "rng_state*.pth")
DIVIDED = ("global_step*", "pytorch_model_fsdp*")


def publish(staging: Path, checkpoint: Path) -> None:
    """Complete the checkpoint written to `staging`, and move it to its place, whatever stands there."""
    files = [path for path in staging.rglob("*") if path.is_file()]
    manifest = {str(path.relative_to(staging)): [path.stat().st_size, _checksum(path)] for path in files}
    (staging / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    complete(staging)
    replaced = checkpoint.with_name(REPLACED + checkpoint.name)
    if checkpoint.exists():
        checkpoint.rename(replaced)
    staging.rename(checkpoint)
    flush(checkpoint.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def tidy(folder: Path) -> None:
    """Remove what a process that was killed left of its writing; a checkpoint that was being replaced stands again."""
    for replaced in folder.glob(f"{REPLACED}*"):
        checkpoint = folder / replaced.name.removeprefix(REPLACED)
        if checkpoint.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            replaced.rename(checkpoint)
    for staging in (*folder.glob(f"{STAGING}*"), *folder.glob(f"*/{STAGING}*")):
        shutil.rmtree(staging, ignore_errors=True)


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint: it is whole, or its name is gone."""
    gone = checkpoint.with_name(f"{STAGING}removed-{checkpoint.name}")
    shutil.rmtree(gone, ignore_errors=True)
    checkpoint.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def rotate(folder: Path, limit: int | None, keep: set[Path]) -> None:
    """Remove the checkpoints written first, but those to `keep`, until so many are left."""
    if not limit or limit < 1:
        return
    oldest_first = sorted(checkpoints(folder), key=lambda path: path.stat().st_mtime_ns)
    spare = [path for path in oldest_first if path not in keep]
    for path in spare[: max(0, len(oldest_first) - limit)]:
        remove(path)


def checkpoints(folder: Path) -> list[Path]:
    """All folders named as checkpoints are, in the order of their steps."""
    found = [path for path in folder.glob("checkpoint-*") if path.name[11:].isdigit() and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name[11:]))


def why_not_resumed(checkpoint: Path) -> str | None:
    """What keeps a training from going on from `checkpoint`, in words; None where it is whole."""
    if not (checkpoint / TRAINER_STATE_NAME).is_file():
        return f"{TRAINER_STATE_NAME} is missing"
    # One of an earlier version has no manifest.
    wrong = _against_manifest(checkpoint) if (checkpoint / MANIFEST).is_file() else _by_looks(checkpoint)
    if wrong:
        return wrong
    if any(any(checkpoint.glob(name)) for name in DIVIDED):
        return None
    missing = [name for name in STATE if not any(checkpoint.glob(name))]
    if len(missing) == len(STATE):
        return (
            f"it holds weights alone (--save_only_model); start a new run from it by --model_name_or_path {checkpoint}"
        )
    return f"{missing[0]} is missing" if missing else None


def _against_manifest(checkpoint: Path) -> str | None:
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
        for name, (size, checksum) in manifest.items():
            path = checkpoint / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != size or _checksum(path) != checksum:
                return f"{name} is damaged"
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return f"{MANIFEST} is damaged"
    return None


def _by_looks(checkpoint: Path) -> str | None:
    """What looks wrong where no manifest says what there should be."""
    try:
        json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))["global_step"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return f"{TRAINER_STATE_NAME} is damaged"
    weights = sorted(checkpoint.glob("*.safetensors"))
    if not weights and not any(any(checkpoint.glob(name)) for name in DIVIDED):
        return "model.safetensors is missing"
    for path in weights:
        try:
            with safe_open(path, "pt"):
                pass
        except (OSError, SafetensorError) as error:
            return f"{path.name} is damaged: {first_line(error)}"
    for path in (checkpoint / OPTIMIZER_NAME, checkpoint / SCHEDULER_NAME, *checkpoint.glob("rng_state*.pth")):
        if path.is_file() and not zipfile.is_zipfile(path):
            return f"{path.name} is damaged"
    return None
