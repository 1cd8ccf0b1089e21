"""How this process was launched: it ends with its launcher, and knows the command that goes on with its training."""

import ctypes
import os
import shlex
import shutil
import signal
import sys
from functools import cache
from pathlib import Path

PR_SET_PDEATHSIG = 1  # Linux: the signal that a process gets when its parent ends
WORLD = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")  # of torchrun and of MPIs


def launched() -> bool:
    """Whether `accelerate launch` or torchrun started this process."""
    return "ACCELERATE_MIXED_PRECISION" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ


def follow_launcher() -> None:
    """Take the launcher's end for SIGTERM: `accelerate launch` ends on one without a word to what it started."""
    _command_line()  # while there is a launcher to ask
    if launched() and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def missing_processes() -> str | None:
    """In one line, that this process is alone where several were asked for; None where it is as it should be."""
    # accelerate gives an address to meet at where it is asked for several processes, but starts them on GPUs only.
    if "ACCELERATE_MIXED_PRECISION" in os.environ and "MASTER_ADDR" in os.environ and not any(map(os.getenv, WORLD)):
        return (
            "accelerate launch was asked for several processes and started one, as it does on CPUs without MPI; "
            f"this starts two: torchrun --nproc_per_node 2 {shlex.join(sys.argv)}"
        )
    return None


def resuming_command() -> str:
    """The command line that goes on with this training."""
    return f"{shlex.join(_shortened(_command_line()))} --resume_from_checkpoint true"


@cache
def _command_line() -> list[str]:
    """What a person typed: the launcher's command line, if there is one that names this script, or this process's."""
    try:
        parent = Path(f"/proc/{os.getppid()}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]
    except (OSError, UnicodeDecodeError):
        parent = []
    return parent if launched() and sys.argv[0] in parent else [sys.executable, *sys.argv]


def _shortened(words: list[str]) -> list[str]:
    """A command as it is typed: programs that the shell finds without their folders, and no Python before a program."""
    if words[-2:] == ["--resume_from_checkpoint", "true"]:
        words = words[:-2]
    if len(words) > 1 and Path(words[1]).parent == Path(words[0]).parent and os.access(words[1], os.X_OK):
        words = words[1:]  # a script of the environment, such as accelerate, which names its Python itself
    program = Path(words[0])
    found = shutil.which(program.name)
    return [program.name if found and Path(found).resolve() == program.resolve() else words[0], *words[1:]]


def leave_group() -> None:
    """Leave the group of processes, if there is one: Python must not end before its threads, or it aborts."""
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
