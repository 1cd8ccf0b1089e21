"""The kernels through Triton's compiler, on a machine without a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="Triton is not installed: pip install -e '.[dev]'")
REPOSITORY = Path(__file__).parents[3]
KERNELS = {
    *("_advance", "_attend", "_cross_entropy", "_embed", "_lerp", "_linear_row", "_linear_rows", "_maxima"),
    *("_normalise", "_paired_cross_entropy", "backward_keys", "backward_queries", "forward"),
}


def test_every_kernel_compiles_for_hopper(tmp_path):
    """What runs in the interpreter alone need not: to Triton's compiler, a variable has one type."""
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, str(Path(__file__).with_name("compiling.py")), "90"]
    finished = subprocess.run(
        command, env={**environment, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert {*finished.stdout.split()} == KERNELS
