"""How many threads a process may compute in, and how many processes."""

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

CGROUPS = Path("/sys/fs/cgroup")
THREADS = "OMP_NUM_THREADS"


def processors(cgroups: Path = CGROUPS, own: str | None = None) -> int:
    """The CPUs that this process may use at once: those it may run on, within the quota of its container.

    The quota is that of control groups, version 2 (`cpu.max`: microseconds of CPU in a period, and the period), the
    least of the process's group and those above it. `own` is the group's path, by default as the kernel says.
    """
    allowed = len(os.sched_getaffinity(0))
    if own is None:
        try:
            lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        except OSError:
            lines = []
        own = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    group = cgroups / own.strip("/")
    for place in (group, *group.parents):
        if not place.is_relative_to(cgroups):
            break
        try:
            quota, period = (place / "cpu.max").read_text(encoding="utf-8").split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            allowed = min(allowed, max(1, math.floor(int(quota) / int(period))))
    return allowed


def spawned_pool() -> "ProcessPoolExecutor":
    """A process for each of the `processors`, but eight at most: every one of them imports what it needs anew.

    To fork a process with threads instead, as torch and tokenizers start them, may hang.
    """
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 (which --help does without)
    from multiprocessing import get_context  # noqa: PLC0415 (as above)

    return ProcessPoolExecutor(min(8, processors()), mp_context=get_context("spawn"))


def settle_threads() -> None:
    """Compute in no more threads than there are processors for, and in all where a launcher chose fewer.

    `accelerate launch` allows each process one thread; one that is alone may have all. What the user says counts.
    """
    confined = _set_by_launcher()
    if "WORLD_SIZE" in os.environ or (THREADS in os.environ and not confined):
        return
    threads = processors()
    if confined or threads < len(os.sched_getaffinity(0)):  # PyTorch itself knows of no quota
        os.environ[THREADS] = str(threads)
        # PyTorch has read its environment, but where another thread is just loading it.
        if set_threads := getattr(sys.modules.get("torch"), "set_num_threads", None):
            set_threads(threads)


def _set_by_launcher(launcher: Path | None = None) -> bool:
    """Whether the number in the environment is `accelerate launch`'s own choice.

    The environment and the command line that the `launcher` was started with, in /proc, say what the user chose.
    """
    if "ACCELERATE_MIXED_PRECISION" not in os.environ:
        return False
    launcher = launcher or Path(f"/proc/{os.getppid()}")
    try:
        environment = (launcher / "environ").read_bytes().split(b"\0")
        flags = (launcher / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    said = any(variable.startswith(THREADS.encode() + b"=") for variable in environment)
    return not said and not any(b"num_cpu_threads_per_process" in flag.replace(b"-", b"_") for flag in flags)
